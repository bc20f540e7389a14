"""Relative attention: a row over that of a neutral prompt (ViCrop, arXiv 2502.17422)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge

from pixfound.errors import UserError
from pixfound.extractors.sources import check_offers
from pixfound.extractors.sources.neutral_prompt import read_prompt
from pixfound.extractors.sources.token_attention import TokenAttention
from pixfound.interfaces import MapRequest, MapSource, Model
from pixfound.types import FloatArray, Phrase
from pixfound.types.layer_attention import Indices

_WHOLE = Phrase("", "", (0, 0))


def relative_attention(row: FloatArray, neutral: FloatArray, eps: float = 0.0, log: bool = False) -> FloatArray:
    """(N,) row / neutral, with `eps` added to the divisor; or the logarithm of the ratio, with `eps` added to both.

    0 where nothing is divided by nothing, as for tokens outside of a sliding window.
    """
    below = neutral + np.float32(eps)
    above = row + np.float32(eps) if log else row
    ratio: FloatArray = np.divide(above, below, out=np.full_like(row, 1.0 if log else 0.0), where=below > 0)
    return np.log(ratio, out=ratio) if log else ratio


class Relative(MapSource):
    """The attention of the phrase over that of a prompt that asks for nothing in particular, which removes the sinks.

    neutral: that prompt; the authors ask for a general description, with the words about the form of the answer that
        the question ends with. layers, heads: an index or several, as of `TokenAttention`; the authors take layer 14 of
        32 (LLaVA-1.5-7B), 22 of 36 (Qwen2.5-VL-3B). eps, log: see `relative_attention`; the authors have neither.
    """

    needs = ("rows", "prompts")
    needs_image = True

    def __init__(
        self,
        model: Model,
        neutral: str = "Describe the image as a whole.",
        layers: Indices = None,
        heads: Indices = None,
        eps: Annotated[float, Ge(0)] = 0.0,
        log: bool = False,
    ) -> None:
        check_offers(type(self), model)
        if log and not eps:
            raise UserError("log=true: the logarithm needs an eps above 0; type eps=1e-6")
        self.model, self.neutral, self.eps, self.log = model, neutral, eps, log
        self._rows = TokenAttention(subtract_mean=False, layers=layers, heads=heads, model=model)

    def maps(self, requests: Sequence[MapRequest]) -> list[list[FloatArray | None]]:
        """None for a phrase whose tokens have no row."""
        generations = read_prompt(self.model, [(request.image, self.neutral) for request in requests])
        neutrals = self._rows.maps(
            [r._replace(generation=g, phrases=[_WHOLE]) for r, g in zip(requests, generations, strict=True)]
        )
        found: list[list[FloatArray | None]] = []
        for rows, (neutral,) in zip(self._rows.maps(requests), neutrals, strict=True):
            assert neutral is not None
            found.append([r if r is None else relative_attention(r, neutral, self.eps, self.log) for r in rows])
        return found
