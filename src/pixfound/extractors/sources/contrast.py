"""Object minus background (DecAF, arXiv 2510.19592), of stored rows or of a rollout over the later layers.

Shapes: `L` layers, `H` heads, `Q` queries, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt

from pixfound.errors import UserError
from pixfound.extractors.attention_maps import between_0_and_1, smoothed
from pixfound.extractors.sources import check_offers, head_rows, text_before
from pixfound.extractors.sources.neutral_prompt import ImageText, read_prompt, rollout_of_prompt
from pixfound.interfaces import MapRequest, MapSource, Model, Need, without_errors
from pixfound.types import FloatArray, Generation, Phrase, Tile
from pixfound.types.arguments import Positive
from pixfound.types.layer_attention import Indices, as_indices

_WHOLE = Phrase("", "", (0, 0))


def weighted_heads(rows: FloatArray) -> FloatArray:
    """(..., N) the mean over heads of the last query's row, each times its head's weight. rows: (..., H, Q, N).

    A head's weight is the mean over queries of its largest value, over that of the strongest head of the layer.
    """
    strength = rows.max(axis=-1).mean(axis=-1)
    strongest = strength.max(axis=-1, keepdims=True)
    weights = np.divide(strength, strongest, out=np.zeros_like(strength), where=strongest > 0)
    weighted: FloatArray = (weights[..., None] * rows[..., -1, :]).mean(axis=-2)
    return weighted


def object_minus_background(
    row: FloatArray, background: FloatArray, tiles: Sequence[Tile], sigma: float, radius: int | None, zero: bool
) -> FloatArray:
    """(N,) between 0 and 1: both smoothed first, then subtracted and clamped, then scaled; zeros for no contrast."""
    first, second = (smoothed(values, tiles, sigma, radius, zero) for values in (row, background))
    return between_0_and_1((first - second).clip(0.0, 1.0), tiles)


class Contrast(MapSource):
    """The attention of the phrase minus that of a prompt about the background.

    background: that prompt; `{expression}` in it is the referring expression, and then it is asked for each of them
        anew. The authors exclude the object by its name. layers: an index or several; None for those from the middle
        on, as the authors have them. head_weights: True weighs heads as `weighted_heads` does, by this one query;
        False needs no heads apart. rollout: True takes the authors' rollout in place of stored rows: a pass of its own
        for each phrase and background, over the layers from the middle on, with their head weights. sigma, radius,
        padding: of the Gaussian, as the authors have it.
    """

    needs = ("heads", "prompts")
    needs_image = True

    def __init__(
        self,
        model: Model,
        background: str = "Describe the background of the image.",
        layers: Indices = None,
        head_weights: bool = True,
        rollout: bool = False,
        sigma: Annotated[float, Gt(0)] = 1.0,
        radius: Positive | None = 3,
        padding: Literal["symmetric", "zero"] = "zero",
    ) -> None:
        stored: Need = "rollout" if rollout else "heads" if head_weights else "layers"
        check_offers(type(self), model, (stored, "prompts"))
        if rollout and (layers is not None or not head_weights):
            raise UserError("rollout=true: takes the layers from the middle on and weighs heads; leave out the others")
        self.rollout = rollout
        self.model, self.background, self.layers, self.head_weights = model, background, layers, head_weights
        self.sigma, self.radius, self.zero = sigma, radius, padding == "zero"

    def maps(self, requests: Sequence[MapRequest]) -> list[list[FloatArray | None]]:
        """None for a phrase whose tokens have no row."""
        prompts = [(r.image, self.background.replace("{expression}", r.expression)) for r in requests]
        found: list[list[FloatArray | None]] = []
        for request, background in zip(requests, self._backgrounds(prompts), strict=True):
            tiles = request.generation.tiles
            rows = (
                self._rolled_out(request)
                if self.rollout
                else [self._combined(request.generation, phrase) for phrase in request.phrases]
            )
            found.append([row if row is None else self._contrast(row, background, tiles) for row in rows])
        return found

    def _backgrounds(self, prompts: Sequence[ImageText]) -> list[FloatArray]:
        if self.rollout:
            return rollout_of_prompt(self.model, prompts)
        rows = [self._combined(neutral, _WHOLE) for neutral in read_prompt(self.model, prompts)]
        return [row for row in rows if row is not None]

    def _rolled_out(self, request: MapRequest) -> list[FloatArray]:
        image, generation, _, phrases = request
        asked = [(image, generation.prompt, text_before(phrase, generation.text)) for phrase in phrases]
        return without_errors(self.model.rollout_maps(asked))

    def _contrast(self, row: FloatArray, background: FloatArray, tiles: Sequence[Tile]) -> FloatArray:
        return object_minus_background(row, background, tiles, self.sigma, self.radius, self.zero)

    def _combined(self, generation: Generation, phrase: Phrase) -> FloatArray | None:
        """(N,) the mean over layers of a phrase's attention."""
        rows = head_rows(generation, phrase)
        if rows is None:
            return None
        assert generation.kept is not None
        stored = generation.kept.layers
        layers = as_indices(self.layers) or stored[len(stored) // 2 :]
        missing = [layer for layer in layers if layer not in stored]
        if missing:
            raise UserError(f"layers={missing[0]}: was not stored; the model keeps {', '.join(map(str, stored))}")
        chosen = rows[[stored.index(layer) for layer in layers]]
        combined = weighted_heads(chosen[:, :, None]) if self.head_weights else chosen.mean(axis=1)
        values: FloatArray = combined.mean(axis=0)
        return values
