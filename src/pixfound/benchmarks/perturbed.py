"""A benchmark whose pictures are varied around the referred object: guided crop and guided mask-out.

The visual half of the prompt sensitivity study of arXiv 2502.04192. Both take a part of the object away, from the
picture and from its masks; more than a fifth of the object's mask must lie in the rectangle that is kept (crop) or
blackened (mask-out). Frame: image pixels; a rectangle is (x0, y0, x1, y1), its end not inside.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from pixfound.config.factory import build
from pixfound.errors import UserError
from pixfound.interfaces import Benchmark
from pixfound.prompts.perturbations import parse_variation
from pixfound.prompts.spelling import stream
from pixfound.types import Example, ImageSource
from pixfound.types.arguments import NonNegative, Positive
from pixfound.types.masks import RLE, BoolMask

Box = tuple[int, int, int, int]
Random = np.random.Generator | np.random.RandomState
log = logging.getLogger(__name__)
SHARE = 0.2  # of the mask, which a rectangle must hold more of
TRIES = 1000
_OFFSET = {"crop": 0, "mask_out": 10}  # the original numbers its variations 0-9 and 10-19


@dataclass(frozen=True)
class VariedImage(ImageSource):
    """An image source that changes another one when it is read.

    size: (H, W) that the other must have. kind: `crop` keeps the rectangle, which starts at the left top corner;
    `mask_out` blackens it.
    """

    source: ImageSource
    size: tuple[int, int]
    kind: str
    box: Box

    def load(self) -> Image.Image:
        """The changed picture as RGB."""
        image = self.source.load()
        if (image.height, image.width) != tuple(self.size):
            raise ValueError(
                f"the image is {image.height} x {image.width} pixels, its mask {self.size} (height, width)"
            )
        if self.kind == "crop":
            return image.crop(self.box)
        image = image.copy()
        image.paste((0, 0, 0), self.box)
        return image

    def digest(self) -> str:
        """A hash of the other's content and of the change."""
        return hashlib.sha256(f"{self.source.digest()} {self.kind} {self.box}".encode()).hexdigest()


class Varied(Benchmark):
    """The examples of another benchmark, varied. Ids, pairs, texts and tags stay.

    of: the config of the other benchmark. variation: `crop_N` or `mask_out_N`; others leave the pictures alone.
    redraw: draw size and place anew until the rectangle holds enough of the mask. Without, they are drawn once, from
        numpy's legacy generator seeded with seed + N (+ 10 for mask-out), example after example: the original's own
        draws, in which a rectangle that holds too little is only moved to the box's corner, if anything.
    seed: of the draws. least_pixels: that a crop keeps from the object's corner on, in each direction; the original
        takes 30, as some models read no picture below 28. Objects that are hardly larger are then cropped alike.

    An absent object's picture is not changed, nor one for which no draw will do; its digest stays, and so do the
    records about it.
    """

    def __init__(
        self,
        of: Mapping[str, Any],
        variation: str = "none",
        redraw: bool = True,
        seed: NonNegative = 2024,
        least_pixels: Positive = 30,
    ) -> None:
        self._variation = parse_variation(variation, "benchmark.variation")
        self._redraw, self._seed, self._least = redraw, seed, least_pixels
        try:
            examples = build(of, "benchmark.of", Benchmark).built
        except UserError as error:  # its message has the keys of an unwrapped benchmark
            raise UserError(re.sub(r"benchmark\.(?!of\.)", "benchmark.of.", str(error))) from error
        self.left_out = examples.left_out
        super().__init__(self._varied(examples) if self._variation.kind in _OFFSET else examples)

    def _varied(self, examples: Sequence[Example]) -> Iterator[Example]:
        kind, number = self._variation.kind, self._variation.number
        once = np.random.RandomState(self._seed + _OFFSET[kind] + number)  # one stream of draws for all
        for example in examples:
            box = None if example.absent else self._box(example, once)
            if box is None and not example.absent:
                log.info("%s_%d leaves example %s as it is", kind, number, example.id)
            yield example if box is None else varied(example, kind, box)

    def _box(self, example: Example, once: np.random.RandomState) -> Box | None:
        kind, mask = self._variation.kind, example.gt_mask.decode()
        if not self._redraw:
            return draw_once(kind, mask, once, self._least)
        return draw(kind, mask, stream(self._seed, kind, self._variation.number, example.id), self._least)


def varied(example: Example, kind: str, box: Box) -> Example:
    """The example with its picture and its masks cropped to a rectangle, or blackened in it.

    An object of which nothing is left is no longer known. Annotated boxes are cut by a crop and stay under a mask-out.
    """
    changed = [[change(mask, kind, box) for mask in masks] for masks in (example.objects, example.instances)]
    objects, instances = (tuple(mask for mask in masks if mask.area) for masks in changed)
    right, bottom = (box[2], box[3]) if kind == "crop" else example.gt_mask.size[::-1]
    return replace(
        example,
        image=VariedImage(example.image, example.gt_mask.size, kind, box),
        gt_mask=change(example.gt_mask, kind, box),
        objects=objects,
        instances=instances,
        boxes=tuple(
            (x0, y0, min(x1, right), min(y1, bottom)) for x0, y0, x1, y1 in example.boxes if x0 < right and y0 < bottom
        ),
        ignore=example.ignore and change(example.ignore, kind, box),
    )


def change(mask: RLE, kind: str, box: Box) -> RLE:
    """A mask after a crop to a rectangle, or without it."""
    x0, y0, x1, y1 = box
    pixels = mask.decode().copy()
    if kind == "crop":
        return RLE.encode(np.ascontiguousarray(pixels[y0:y1, x0:x1]))
    pixels[y0:y1, x0:x1] = False
    return RLE.encode(pixels)


def draw(kind: str, mask: BoolMask, rng: Random, least: int = 30) -> Box | None:
    """A rectangle that holds enough of the mask; None where there is none in many draws. least: pixels of a crop."""
    for _ in range(TRIES):
        box, inner = _sample(kind, mask, rng, least)
        if _enough(mask, inner):
            return box
    return None


def draw_once(kind: str, mask: BoolMask, rng: Random, least: int = 30) -> Box | None:
    """The same from a single draw; a mask-out that holds too little is moved to the box's corner, and that is all."""
    box, inner = _sample(kind, mask, rng, least)
    if kind == "mask_out" and not _enough(mask, inner):
        left, top, _, _ = bounding_box(mask)
        box = inner = (left, top, left + box[2] - box[0], top + box[3] - box[1])
    return box if _enough(mask, inner) else None


def _sample(kind: str, mask: BoolMask, rng: Random, least: int) -> tuple[Box, Box]:
    """(the rectangle, the one that must hold enough of the mask).

    A crop takes 0.5 to 0.8 of each side of the object's bounding box, from its left top corner, and keeps all that
    lies to the left of and above the end of that. A mask-out takes up to 0.8 of each side, from a pixel in the box.
    """
    left, top, right, bottom = bounding_box(mask)
    if kind == "crop":
        share = 0.5 + rng.random() * 0.3
        x1 = left + max(least, int((right - left) * share))
        y1 = top + max(least, int((bottom - top) * share))
        crop = (0, 0, min(x1, mask.shape[1]), min(y1, mask.shape[0]))
        return crop, (left, top, x1, y1)
    share = rng.random() * 0.8
    x0, y0 = _integer(rng, left, right), _integer(rng, top, bottom)
    box = (x0, y0, x0 + int((right - left) * share), y0 + int((bottom - top) * share))
    return box, box


def bounding_box(mask: BoolMask) -> Box:
    """The smallest rectangle around a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _enough(mask: BoolMask, box: Box) -> bool:
    x0, y0, x1, y1 = box
    return bool(mask[y0:y1, x0:x1].sum() > SHARE * mask.sum())


def _integer(rng: Random, low: int, high: int) -> int:
    return int(rng.integers(low, high) if isinstance(rng, np.random.Generator) else rng.randint(low, high))
