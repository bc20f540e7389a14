"""Attend and segment: attention of each noun phrase -> its peak -> a point -> masks (arXiv 2502.04192)."""

from __future__ import annotations

from typing import Literal

from PIL import Image

from pixfound.errors import UserError
from pixfound.extractors import segment_points
from pixfound.interfaces import Model, PhraseFinder, Segmenter
from pixfound.maps import image_map, peak, token_rows
from pixfound.models.spans import tokens_of
from pixfound.types import Candidate, FloatArray, Generation, Phrase


class AttentionPeak:
    """A point for every noun phrase of the answer, where the attention of its tokens peaks.

    row, step0, subtract_mean: see `pixfound.maps.token_rows`. model: only asked whether it gives attention.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        phrases: PhraseFinder,
        row: Literal["predicting", "self"] = "predicting",
        step0: Literal["last", "penultimate"] = "last",
        subtract_mean: bool = True,
        model: Model | None = None,
    ) -> None:
        if model is not None and not model.captures:
            raise UserError(
                "this model gives no attention to extract from: use model.capture=step where it has that option, "
                "or another extraction"
            )
        if row not in ("predicting", "self"):
            raise UserError(f"row={row}: valid values are predicting and self")
        if step0 not in ("last", "penultimate"):
            raise UserError(f"step0={step0}: valid values are last and penultimate")
        self.segmenter, self.phrases = segmenter, phrases
        self.row, self.step0, self.subtract_mean = row, step0, subtract_mean

    def candidates(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """Candidates in the order of the phrases, and for each in the order of the segmenter's masks."""
        phrases, points = [], []
        for phrase in self.phrases.phrases(generation.text):
            heat = self.heat(generation, phrase)
            if heat is not None:
                phrases.append(phrase)
                points.append(peak(heat))
        return segment_points(self.segmenter, image, points, phrases) if points else []

    def heat(self, generation: Generation, phrase: Phrase) -> FloatArray | None:
        """(H, W) the phrase's attention over the image; None where none of its tokens has a row."""
        if generation.attention is None:
            raise ValueError("the generation carries no attention")
        # The mean over a single row is that row: subtracting it would leave nothing.
        subtract = self.subtract_mean and len(generation.attention) > 1
        rows = token_rows(generation, self.row, self.step0, subtract)
        tokens = [t for t in tokens_of(phrase.span, generation.spans) if t < len(rows)]
        return image_map(rows[tokens].mean(axis=0), generation.tiles, generation.image_size) if tokens else None
