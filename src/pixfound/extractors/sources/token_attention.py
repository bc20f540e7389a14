"""The attention of a phrase's tokens over the image (arXiv 2502.04192)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from pixfound.errors import UserError
from pixfound.extractors.attention_maps import rounding_error, token_rows
from pixfound.extractors.sources import no_attention
from pixfound.interfaces import AttentionRows, MapRequest, MapSource, Model
from pixfound.types import FloatArray, Generation, Phrase
from pixfound.types.layer_attention import Indices
from pixfound.types.token_spans import tokens_of


class TokenAttention(MapSource):
    """The mean over the rows of a phrase's tokens; of the expression the row of the prompt's last token.

    A phrase that is all of a truncated answer has no map under `subtract_mean`: its mean minus the mean over the same
    rows is zero.
    row, step0, subtract_mean: see `pixfound.extractors.attention_maps.token_rows`. layers, heads: an index or several
    to average attention over, of those that the model keeps (`model.keep`); None for all. model: used only to check
    that it gives this attention.
    """

    needs = ("rows",)

    def __init__(
        self,
        row: Literal["predicting", "self"] = "predicting",
        step0: Literal["last", "penultimate"] = "last",
        subtract_mean: bool = True,
        layers: Indices = None,
        heads: Indices = None,
        model: Model | None = None,
    ) -> None:
        if model is not None and not model.captures:
            raise UserError(no_attention(model))
        if model is not None:
            _check_kept(layers, heads, model.keep)
        self.row, self.step0, self.subtract_mean = row, step0, subtract_mean
        self.layers, self.heads = layers, heads

    def maps(self, requests: Sequence[MapRequest]) -> list[list[FloatArray | None]]:
        """None for a phrase whose tokens have no row, or where all is rounding error.

        Raises ValueError for a generation without attention, or without the attention of `layers` and `heads`.
        """
        found: list[list[FloatArray | None]] = []
        for request in requests:
            generation = self._reduced(request.generation)
            found.append([self._map(generation, phrase) for phrase in request.phrases])
        return found

    def lacking(self, generation: Generation, phrases: Sequence[Phrase]) -> str:
        """The reason why no phrase has a map; "" where one has."""
        generation = self._reduced(generation)
        if any(self._map(generation, phrase) is not None for phrase in phrases):
            return ""
        if all(self._rows(generation, phrase) is None for phrase in phrases):
            return "no token of a phrase has an attention row of its own"
        return "the phrase is all of the answer: its attention less the mean over the answer is zero"

    def attention_rows(self, generation: Generation) -> AttentionRows | None:
        """The rows of `layers` and `heads`, the first one as `step0` says; shifted by one with `row=self`."""
        if generation.attention is None:
            return None
        rows = token_rows(self._reduced(generation), "predicting", self.step0, subtract_mean=False)
        return AttentionRows(rows, int(self.row == "self"), self.subtract_mean)

    def _reduced(self, generation: Generation) -> Generation:
        """The generation with its attention averaged over `layers` and `heads` only."""
        if self.layers is None and self.heads is None:
            return generation
        if generation.kept is None:
            raise ValueError("the generation does not carry its layers' attention")
        rows = generation.kept.mean(self.layers, self.heads)
        return replace(generation, attention=rows[1:], penultimate=rows[0], kept=None)

    def _map(self, generation: Generation, phrase: Phrase) -> FloatArray | None:
        values = self._rows(generation, phrase)
        if values is None or not self._subtracts(generation) or (np.abs(values) > rounding_error(generation)).any():
            return values
        return None

    def _subtracts(self, generation: Generation) -> bool:
        """True if the mean is subtracted; never for a single row, whose difference from its mean is zero."""
        return self.subtract_mean and generation.attention is not None and len(generation.attention) > 1

    def _rows(self, generation: Generation, phrase: Phrase) -> FloatArray | None:
        """(N,) the mean over the rows of the phrase's tokens; None where no token has a row."""
        if generation.attention is None:
            raise ValueError("the generation carries no attention")
        if phrase.span == (0, 0):
            rows, tokens = token_rows(generation, "predicting", self.step0, self._subtracts(generation)), [0]
        else:
            rows = token_rows(generation, self.row, self.step0, self._subtracts(generation))
            tokens = [t for t in tokens_of(phrase.span, generation.spans) if t < len(rows)]
        if not tokens:
            return None
        values: FloatArray = rows[tokens].mean(axis=0)
        return values


def _check_kept(layers: Indices, heads: Indices, keep: str) -> None:
    if heads is not None and keep != "heads":
        raise UserError(f"heads={heads}: the model keeps no heads apart to choose from; use model.keep=heads")
    if layers is not None and keep == "mean":
        raise UserError(f"layers={layers}: the model keeps no layers apart to choose from; use model.keep=layers")
