"""Precomputed candidates, stored in the generation."""

from __future__ import annotations

from PIL import Image

from pixfound.interfaces import Extractor
from pixfound.types import Candidate, Generation


class GivenCandidates(Extractor):
    """The candidates of a generation, unchanged."""

    needs_image = False

    def extract_one(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """Return `generation.candidates` as a list, in the same order."""
        return list(generation.candidates)
