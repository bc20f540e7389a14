"""Extraction baselines: each module turns a generation into candidate masks."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from pixfound.interfaces import Segmenter
from pixfound.masks import RLE
from pixfound.types import Candidate, Phrase


def segment_points(
    segmenter: Segmenter,
    image: Image.Image,
    points: Sequence[tuple[float, float]],
    phrases: Sequence[Phrase | None],
) -> list[Candidate]:
    """All masks of all points, in one call of the segmenter: a candidate each, in order."""
    found = segmenter.masks(image, points)
    return [
        Candidate(RLE.encode(mask), phrase, point, score=round(float(score), 6))
        for point, phrase, masks, scores in zip(points, phrases, found.masks, found.scores, strict=True)
        for mask, score in zip(masks, scores, strict=True)
    ]
