"""Precomputed candidates, stored in the generation."""

from __future__ import annotations

from PIL import Image

from pixfound.types import Candidate, Generation


class GivenCandidates:
    """The candidates of a generation, unchanged."""

    needs_image = False

    def candidates(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """Return `generation.candidates` as a list, in the same order."""
        return list(generation.candidates)
