"""Masks predicted by the model itself."""

from __future__ import annotations

from PIL import Image

from pixfound.types import Candidate, Generation
from pixfound.types.masks import union


class NativeMasks:
    """The union of a generation's masks as the only candidate; no candidate where the model predicted no mask."""

    needs_image = False

    def candidates(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """A list of one candidate, or an empty list."""
        if not generation.masks:
            return []
        return [Candidate(union(generation.masks, generation.image_size))]
