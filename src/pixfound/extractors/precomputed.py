"""Candidates that came with the generation."""

from __future__ import annotations

from PIL import Image

from pixfound.types import Candidate, Generation


class GivenCandidates:
    """Hands on the candidates of a generation, as they are."""

    needs_image = False

    def candidates(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """They, in their order."""
        return list(generation.candidates)
