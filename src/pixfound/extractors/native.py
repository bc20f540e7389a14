"""Masks that the model drew itself."""

from __future__ import annotations

from PIL import Image

from pixfound.types import Candidate, Generation
from pixfound.types.masks import union


class NativeMasks:
    """The union of the masks of a generation as the one candidate; none where the model drew none."""

    needs_image = False

    def candidates(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """One candidate or none."""
        if not generation.masks:
            return []
        return [Candidate(union(generation.masks, generation.image_size))]
