"""Boxes or points written in a model's answer -> masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pixfound.extractors.parsers.coordinates import Box, Point
from pixfound.extractors.parsers.formats import find_format
from pixfound.extractors.parsers.grammars import WrittenBox
from pixfound.interfaces import Extractor, ExtractRequest, Segmenter, SegmenterMasks
from pixfound.types import Candidate, Generation
from pixfound.types.masks import RLE, union

Combine = Literal["union", "candidates", "instances"]
Pick = Literal["best", "first", "last"]


class TextBox(Extractor):
    """Masks of the segmenter for each box in an answer; an answer without a box gives no candidate.

    format: the notation of boxes, see `pixfound.extractors.parsers.formats`; raises UserError for None, where the
    model's YAML declares none. combine: `union` makes one candidate of one mask for each box, `instances` the same that
    keeps each box with its mask, `candidates` makes one of every mask of every box. pick: the mask of each box for the
    union: `best` by predicted IoU, `first` or `last`.
    """

    def __init__(
        self, segmenter: Segmenter, format: str | None, combine: Combine = "union", pick: Pick = "best"
    ) -> None:
        self.segmenter, self.combine, self.pick = segmenter, combine, pick
        self.format = find_format(format, "boxes")

    def extract(self, requests: Sequence[ExtractRequest]) -> list[list[Candidate]]:
        """The candidates in the order of the boxes in the answer, and of the segmenter's masks."""
        boxes = [self._boxes(generation) for _, generation, _ in requests]
        prompted = [
            (image, image_boxes) for (image, _, _), image_boxes in zip(requests, boxes, strict=True) if image_boxes
        ]
        masks = iter(self.segmenter.box_masks(prompted) if prompted else ())
        return [
            _candidates(next(masks), [], image_boxes, self.combine, self.pick) if image_boxes else []
            for image_boxes in boxes
        ]

    def _boxes(self, generation: Generation) -> Sequence[Box]:
        """The boxes of an answer, in pixels of the image."""
        return [box for box, _ in self.written(generation)]

    def written(self, generation: Generation) -> list[tuple[Box, WrittenBox]]:
        """(in pixels of the image, as written) for each box of an answer that has an area."""
        assert self.format.boxes is not None
        found = self.format.boxes(generation.text)
        if not found:
            return []
        frame = self.format.frame(generation.image_size, generation.input_size)
        return [(pixels, written) for written in found for pixels in frame.boxes([written.box])]


class TextPoint(Extractor):
    """Masks of the segmenter for each point in an answer. The arguments are those of `TextBox`."""

    def __init__(
        self, segmenter: Segmenter, format: str | None, combine: Combine = "union", pick: Pick = "best"
    ) -> None:
        self.segmenter, self.combine, self.pick = segmenter, combine, pick
        self.format = find_format(format, "points")

    def extract(self, requests: Sequence[ExtractRequest]) -> list[list[Candidate]]:
        """The candidates in the order of the points in the answer, and of the segmenter's masks."""
        points = [self._points(generation) for _, generation, _ in requests]
        prompted = [
            (image, image_points) for (image, _, _), image_points in zip(requests, points, strict=True) if image_points
        ]
        masks = iter(self.segmenter.point_masks(prompted) if prompted else ())
        return [
            _candidates(next(masks), image_points, [], self.combine, self.pick) if image_points else []
            for image_points in points
        ]

    def _points(self, generation: Generation) -> Sequence[Point]:
        """The points of an answer, in pixels of the image."""
        assert self.format.points is not None
        written = self.format.points(generation.text)
        return self.format.frame(generation.image_size, generation.input_size).points(written) if written else []


def _candidates(
    segmented: SegmenterMasks, points: Sequence[Point], boxes: Sequence[Box], combine: Combine, pick: Pick
) -> list[Candidate]:
    """Candidates from masks (P, K, H, W) of P points or boxes; a union stores its point or box only where P is 1."""
    prompts, masks_each = segmented.scores.shape

    def candidate(p: int, k: int) -> Candidate:
        return Candidate(
            RLE.encode(segmented.masks[p, k]),
            point=points[p] if points else None,
            box=boxes[p] if boxes else None,
            score=round(float(segmented.scores[p, k]), 6),
        )

    if combine == "candidates":
        return [candidate(p, k) for p in range(prompts) for k in range(masks_each)]
    picked = [
        {"best": int(segmented.scores[p].argmax()), "first": 0, "last": masks_each - 1}[pick] for p in range(prompts)
    ]
    parts = [candidate(p, k) for p, k in enumerate(picked)]
    if prompts == 1:
        return parts
    mean = sum(float(segmented.scores[p, k]) for p, k in enumerate(picked)) / prompts
    mask = union([part.mask for part in parts], segmented.masks.shape[2:])
    return [Candidate(mask, score=round(mean, 6), parts=tuple(parts) if combine == "instances" else ())]
