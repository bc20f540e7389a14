"""Extraction baselines: each module turns a generation into candidate masks."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from pixfound.interfaces import Point, Segmenter, SegmenterMasks
from pixfound.types import Candidate, Phrase
from pixfound.types.masks import RLE

_PIXELS = 2**26  # limit of mask pixels of an image in one request to the segmenter, counting one mask a point

Points = Sequence[Point]


def segment_points(
    segmenter: Segmenter, requests: Sequence[tuple[Image.Image, Points, Sequence[Phrase | None]]]
) -> list[list[Candidate]]:
    """Candidates for each (image, points, a phrase for each point): one for each mask of each point, in order.

    The segmenter is called once, and the masks of an image's points are in memory together. For an image so large that
    they would fill it, a few points are segmented at a time.
    """
    pieces = []
    for i, (image, points, phrases) in enumerate(requests):
        together = max(1, _PIXELS // (image.width * image.height))
        for start in range(0, len(points), together):
            pieces.append((i, image, points[start : start + together], phrases[start : start + together]))
    candidates: list[list[Candidate]] = [[] for _ in requests]
    if pieces:
        masks = segmenter.point_masks([(image, points) for _, image, points, _ in pieces])
        for (i, _, points, phrases), segmented in zip(pieces, masks, strict=True):
            candidates[i] += _candidates(segmented, points, phrases)
    return candidates


def _candidates(segmented: SegmenterMasks, points: Points, phrases: Sequence[Phrase | None]) -> list[Candidate]:
    return [
        Candidate(RLE.encode(mask), phrase, point, score=round(float(score), 6))
        for point, phrase, masks, scores in zip(points, phrases, segmented.masks, segmented.scores, strict=True)
        for mask, score in zip(masks, scores, strict=True)
    ]
