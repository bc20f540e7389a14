"""Extraction baselines: each module turns a generation into candidate masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from PIL import Image

from pixfound.interfaces import Segmenter, SegmenterMasks, batched
from pixfound.types import Candidate, Phrase
from pixfound.types.masks import RLE

_PIXELS = 2**26  # limit of mask pixels of an image in one request to the segmenter, counting one mask a point

Points = Sequence[tuple[float, float]]  # (x, y) in pixels of the image
Boxes = Sequence[tuple[float, float, float, float]]  # (x0, y0, x1, y1) in pixels of the image


def masks_many(segmenter: Segmenter, requests: Sequence[tuple[Image.Image, Points]]) -> Iterable[SegmenterMasks]:
    """The masks of each (image, points), in one batch where the segmenter supports it."""
    many = batched(segmenter, "masks_many", "masks")
    return many(requests) if many else (segmenter.masks(*request) for request in requests)


def box_masks_many(segmenter: Segmenter, requests: Sequence[tuple[Image.Image, Boxes]]) -> Iterable[SegmenterMasks]:
    """The masks of each (image, boxes), in one batch where the segmenter supports it."""
    many = batched(segmenter, "box_masks_many", "box_masks")
    return many(requests) if many else (segmenter.box_masks(*request) for request in requests)


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
    found: list[list[Candidate]] = [[] for _ in requests]
    if pieces:
        masks = masks_many(segmenter, [(image, points) for _, image, points, _ in pieces])
        for (i, _, points, phrases), these in zip(pieces, masks, strict=True):
            found[i] += _candidates(these, points, phrases)
    return found


def _candidates(found: SegmenterMasks, points: Points, phrases: Sequence[Phrase | None]) -> list[Candidate]:
    return [
        Candidate(RLE.encode(mask), phrase, point, score=round(float(score), 6))
        for point, phrase, masks, scores in zip(points, phrases, found.masks, found.scores, strict=True)
        for mask, score in zip(masks, scores, strict=True)
    ]
