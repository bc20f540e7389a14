"""Masks predicted by the model itself."""

from __future__ import annotations

from typing import Literal

from PIL import Image

from pixfound.interfaces import Extractor
from pixfound.types import Candidate, Generation
from pixfound.types.masks import union


class NativeMasks(Extractor):
    """The union of a generation's masks as the only candidate; no candidate where the model predicted no mask.

    combine: `union`, or `instances` for a union that keeps each as an instance. Its score is their highest.
    """

    needs_image = False

    def __init__(self, combine: Literal["union", "instances"] = "union") -> None:
        self.combine = combine

    def extract_one(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """A list of one candidate, or an empty list."""
        masks = generation.masks
        if not masks:
            return []
        scores = generation.mask_scores or (None,) * len(masks)
        parts = [Candidate(mask, score=score) for mask, score in zip(masks, scores, strict=True)]
        kept = tuple(parts) if self.combine == "instances" and len(masks) > 1 else ()
        best = max((score for score in scores if score is not None), default=None)
        return [Candidate(union(masks, generation.image_size), score=best, parts=kept)]
