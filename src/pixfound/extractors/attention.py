"""Attend and segment: attention of each noun phrase -> its peak -> a point -> masks (arXiv 2502.04192)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from pixfound.errors import UserError
from pixfound.extractors import segment_points
from pixfound.extractors.attention_maps import image_map, image_peak, peaks, rounding_error, token_rows
from pixfound.interfaces import Extractor, ExtractRequest, Model, PhraseFinder, Segmenter
from pixfound.types import Candidate, FloatArray, Generation, Phrase
from pixfound.types.arguments import Positive
from pixfound.types.layer_attention import Indices
from pixfound.types.token_spans import tokens_of


class AttentionPeak(Extractor):
    """One point for every noun phrase of the answer, at the peak of its tokens' mean attention.

    A phrase that is all of a truncated answer has no peak under `subtract_mean`: its mean minus the mean over the same
    rows is zero.
    row, step0, subtract_mean: see `pixfound.extractors.attention_maps.token_rows`. rank: rank of the point among the
    map's local maxima, 1 for the highest; the lowest where there are fewer. layers, heads: an index or several to
    average attention over, of those that the model keeps (`model.keep`); None for all. model: used only to check that
    it gives this attention.
    """

    maps_attention = True
    version = 2  # 2: no point where the mean over all rows leaves nothing but rounding

    def __init__(
        self,
        segmenter: Segmenter,
        phrases: PhraseFinder,
        row: Literal["predicting", "self"] = "predicting",
        step0: Literal["last", "penultimate"] = "last",
        subtract_mean: bool = True,
        rank: Positive = 1,
        layers: Indices = None,
        heads: Indices = None,
        model: Model | None = None,
    ) -> None:
        if model is not None and not model.captures:
            fitting = model.extractions
            raise UserError(
                f"this model gives no attention to extract from: type extraction={' or extraction='.join(fitting)}"
                if fitting
                else "this model gives no attention to extract from: use model.capture=step where it has that option, "
                "or another extraction"
            )
        if model is not None:
            _check_kept(layers, heads, model.keep)
        self.segmenter, self.phrases = segmenter, phrases
        self.row, self.step0, self.subtract_mean, self.rank = row, step0, subtract_mean, rank
        self.layers, self.heads = layers, heads

    def extract(self, requests: Sequence[ExtractRequest]) -> list[list[Candidate]]:
        """Candidates in the order of the phrases, and for each phrase in the order of the segmenter's masks.

        Raises ValueError for a generation without attention, or without the attention of `layers` and `heads`.
        """
        return segment_points(self.segmenter, [(image, *self._peaks(generation)) for image, generation, _ in requests])

    def _peaks(self, generation: Generation) -> tuple[list[tuple[float, float]], list[Phrase]]:
        """(points, phrases) of an answer; points are (x, y) in pixels of the image."""
        phrases, points = [], []
        generation = self.reduced(generation)
        for phrase in self.phrases.phrases(generation.text):
            values = self._values(generation, phrase)
            if values is not None:
                phrases.append(phrase)
                points.append(self._point(values, generation))
        return points, phrases

    def lacking(self, generation: Generation) -> str:
        """The reason why no phrase of an answer has a point; "" where one has, or there is no phrase."""
        generation = self.reduced(generation)
        phrases = self.phrases.phrases(generation.text)
        if not phrases or any(self._values(generation, phrase) is not None for phrase in phrases):
            return ""
        if all(self._rows(generation, phrase) is None for phrase in phrases):
            return "no token of a phrase has an attention row of its own"
        return "the phrase is all of the answer: its attention less the mean over the answer is zero"

    def reduced(self, generation: Generation) -> Generation:
        """The generation with its attention averaged over `layers` and `heads` only."""
        if self.layers is None and self.heads is None:
            return generation
        if generation.kept is None:
            raise ValueError("the generation does not carry its layers' attention")
        rows = generation.kept.mean(self.layers, self.heads)
        return replace(generation, attention=rows[1:], penultimate=rows[0], kept=None)

    def attention_map(self, generation: Generation, phrase: Phrase) -> FloatArray | None:
        """(H, W) the phrase's attention over the image, of the chosen layers and heads; None where it has no peak."""
        generation = self.reduced(generation)
        values = self._values(generation, phrase)
        return None if values is None else image_map(values, generation.tiles, generation.image_size)

    def _point(self, values: FloatArray, generation: Generation) -> tuple[float, float]:
        """(x, y) of the peak of rank `rank`, of the last one where there are fewer. values: (N,)."""
        if self.rank == 1:
            return image_peak(values, generation.tiles, generation.image_size)
        return peaks(image_map(values, generation.tiles, generation.image_size))[: self.rank][-1]

    def _values(self, generation: Generation, phrase: Phrase) -> FloatArray | None:
        """(N,) the phrase's attention over the image tokens; None without a row, or where all is rounding error."""
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
