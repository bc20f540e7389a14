"""Null baselines for extraction: points that use neither the model nor the expression's meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from pixfound.extractors import segment_points
from pixfound.interfaces import Extractor, ExtractRequest, Segmenter
from pixfound.io.images import pixel_hash
from pixfound.types import Candidate, Generation


class RandomPoint(Extractor):
    """A point drawn uniformly over the image, deterministic for the same image, expression and seed."""

    def __init__(self, segmenter: Segmenter, seed: int = 0) -> None:
        self.segmenter, self.seed = segmenter, seed

    def extract(self, requests: Sequence[ExtractRequest]) -> list[list[Candidate]]:
        """The segmenter's masks of the point."""
        return segment_points(
            self.segmenter, [(image, [self._point(image, expression)], [None]) for image, _, expression in requests]
        )

    def _point(self, image: Image.Image, expression: str) -> tuple[float, float]:
        digest = pixel_hash(image)
        digest.update(f"{self.seed}:{expression}".encode())
        rng = np.random.default_rng(int.from_bytes(digest.digest()[:8], "little"))
        return (float(rng.integers(image.width)), float(rng.integers(image.height)))


class Nothing(Extractor):
    """No candidates, without image or segmenter: for rows whose selector uses no candidate."""

    needs_image = False

    def extract_one(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """An empty list."""
        return []


class CentrePoint(Extractor):
    """The middle of the image."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def extract(self, requests: Sequence[ExtractRequest]) -> list[list[Candidate]]:
        """The segmenter's masks of the point."""
        return segment_points(self.segmenter, [(image, [self._point(image)], [None]) for image, _, _ in requests])

    def _point(self, image: Image.Image) -> tuple[float, float]:
        return (float(image.width // 2), float(image.height // 2))
