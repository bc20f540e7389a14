"""Extraction baselines: each module turns a generation into candidate masks."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from pixfound.interfaces import Segmenter
from pixfound.masks import RLE
from pixfound.types import Candidate, Phrase

_PIXELS = 64 * 2**20  # of all points' images together; the masks of a point are several bytes for each


def segment_points(
    segmenter: Segmenter,
    image: Image.Image,
    points: Sequence[tuple[float, float]],
    phrases: Sequence[Phrase | None],
) -> list[Candidate]:
    """All masks of all points, a candidate each, in order.

    In one call of the segmenter, but for images so large that the masks of all points would fill the memory.
    """
    together = max(1, _PIXELS // (image.width * image.height))
    candidates = []
    for start in range(0, len(points), together):
        here, of = points[start : start + together], phrases[start : start + together]
        found = segmenter.masks(image, here)
        candidates += [
            Candidate(RLE.encode(mask), phrase, point, score=round(float(score), 6))
            for point, phrase, masks, scores in zip(here, of, found.masks, found.scores, strict=True)
            for mask, score in zip(masks, scores, strict=True)
        ]
    return candidates
