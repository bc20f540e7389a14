"""Extraction baselines: each module turns a generation into candidate masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from PIL import Image

from pixfound.interfaces import Box, Point, Segmenter, SegmenterMasks
from pixfound.types import Candidate, Phrase
from pixfound.types.masks import RLE

_PIXELS = 2**26  # limit of mask pixels of an image in one request to the segmenter, counting one mask a point

Points = Sequence[Point]
Boxes = Sequence[Box]
Phrases = Sequence[Phrase | None]
T = TypeVar("T")


def segment_points(
    segmenter: Segmenter, requests: Sequence[tuple[Image.Image, Points, Phrases]]
) -> list[list[Candidate]]:
    """Candidates for each (image, points, a phrase for each point): one for each mask of each point, in order.

    The segmenter is called once, and the masks of an image's points are in memory together. For an image so large that
    they would fill it, a few points are segmented at a time.
    """
    pieces = _pieces(requests)
    candidates: list[list[Candidate]] = [[] for _ in requests]
    if pieces:
        masks = segmenter.point_masks([(image, points) for _, image, points, _ in pieces])
        for (i, _, points, phrases), segmented in zip(pieces, masks, strict=True):
            candidates[i] += _candidates(segmented, [(point, None) for point in points], phrases)
    return candidates


def segment_boxes(
    segmenter: Segmenter, requests: Sequence[tuple[Image.Image, Boxes, Phrases]]
) -> list[list[Candidate]]:
    """Candidates for each (image, boxes, a phrase for each box), as `segment_points` makes them."""
    pieces = _pieces(requests)
    candidates: list[list[Candidate]] = [[] for _ in requests]
    if pieces:
        masks = segmenter.box_masks([(image, boxes) for _, image, boxes, _ in pieces])
        for (i, _, boxes, phrases), segmented in zip(pieces, masks, strict=True):
            candidates[i] += _candidates(segmented, [(None, box) for box in boxes], phrases)
    return candidates


def _pieces(
    requests: Sequence[tuple[Image.Image, Sequence[T], Phrases]],
) -> list[tuple[int, Image.Image, Sequence[T], Phrases]]:
    """(number of the request, image, prompts, phrases) of calls of the segmenter whose masks fit into memory."""
    pieces = []
    for i, (image, prompts, phrases) in enumerate(requests):
        together = max(1, _PIXELS // (image.width * image.height))
        for start in range(0, len(prompts), together):
            pieces.append((i, image, prompts[start : start + together], phrases[start : start + together]))
    return pieces


def _candidates(
    segmented: SegmenterMasks, prompts: Sequence[tuple[Point | None, Box | None]], phrases: Phrases
) -> list[Candidate]:
    return [
        Candidate(RLE.encode(mask), phrase, point, box, score=round(float(score), 6))
        for (point, box), phrase, masks, scores in zip(prompts, phrases, segmented.masks, segmented.scores, strict=True)
        for mask, score in zip(masks, scores, strict=True)
    ]
