"""Binary masks: one compressed container, and the IoU rules for empty masks.

Shapes: `H` image height, `W` image width. Masks are 2-D bool arrays, axis 0 is y (down), axis 1 is x.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from pixfound.types.polygons import clip_polygons

BoolMask = npt.NDArray[np.bool_]
_ROWS = 128  # a mask of 9000 x 12,000 is copied four times as fast as at once
_SIDE, _PIXELS = 10**6, 2**31  # the largest mask: pycocotools counts in 32 bits
_DIGITS = 7  # characters of the longest number in compressed runs


@dataclass(frozen=True, slots=True)
class RLE:
    """A mask in COCO's compressed run-length form.

    size: (H, W) in pixels. counts: COCO's compressed string (column-major runs).
    surplus: sum of the grey levels of the mask's image file minus the number of pixels inside; 0 unless kept
        deliberately (`pixfound.io.grayscale_masks`). It enlarges the union of an IoU, as in the paper's evaluation
        code.
    """

    size: tuple[int, int]
    counts: str
    surplus: int = 0

    def __post_init__(self) -> None:
        _check_size(self.size)

    @staticmethod
    def encode(mask: npt.NDArray[Any]) -> RLE:
        """Encode an (H, W) bool array; any other shape or dtype is an error."""
        if mask.ndim != 2 or mask.dtype != np.bool_:
            raise ValueError(f"a mask is a 2-D bool array, not {mask.dtype} of shape {mask.shape}")
        packed = coco.encode(_by_columns(mask))
        return RLE((int(mask.shape[0]), int(mask.shape[1])), packed["counts"].decode("ascii"))

    @staticmethod
    def empty(size: tuple[int, int]) -> RLE:
        """The empty mask of size (H, W)."""
        return _runs(size, (size[0] * size[1],))

    @staticmethod
    def full(size: tuple[int, int]) -> RLE:
        """The mask of the whole image of size (H, W)."""
        return _runs(size, (0, size[0] * size[1]))

    @staticmethod
    def from_box(box: tuple[int, int, int, int], size: tuple[int, int]) -> RLE:
        """The pixels of a box (x0, y0, x1, y1) inside an image of size (H, W), its end not inside."""
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]):
            raise ValueError(f"the box {box} is empty or leaves the image of {size} (height, width)")
        packed = coco.frPyObjects(np.array([[x0, y0, x1 - x0, y1 - y0]], dtype=np.float64), *size)[0]
        return RLE(size, packed["counts"].decode("ascii"))

    @staticmethod
    def from_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> RLE:
        """Union of polygons [x0, y0, x1, y1, ...] in pixels, rasterised as in COCO; the empty mask for no polygons.

        Raises ValueError for an invalid polygon, and where all polygons lie outside the image.
        """
        _check_size(size)
        inside = clip_polygons(polygons, size)
        if not inside:
            return RLE.empty(size)
        merged = coco.merge(coco.frPyObjects(inside, *size))
        return RLE(size, merged["counts"].decode("ascii"))

    @staticmethod
    def from_coco(segmentation: Any, size: tuple[int, int] | None = None) -> RLE:
        """A mask from a COCO file: polygons, or a dict of `size` and `counts`, compressed or not.

        size: the required (H, W); None takes it from the dict. All masks from outside the package are read here.
        Raises ValueError unless the runs cover exactly its pixels: pycocotools decodes others to uninitialised memory,
        hangs or crashes. Empty runs, on which its unions and IoUs are wrong, are removed.
        """
        if isinstance(segmentation, list | tuple) and size is not None:
            return RLE.from_polygons(segmentation, size)
        if not isinstance(segmentation, Mapping):
            raise ValueError(
                f"a segmentation is a list of polygons or an object of size and counts, not {segmentation!r:.40}"
            )
        sides = segmentation.get("size")
        if not (isinstance(sides, list | tuple) and len(sides) == 2 and all(type(side) is int for side in sides)):
            raise ValueError(f"its `size` must be [height, width] in pixels, not {sides!r:.40}")
        stated = (sides[0], sides[1])
        _check_size(stated)
        if size is not None and stated != tuple(size):
            raise ValueError(f"the mask is of size {stated}, the image of {size} (height, width)")
        runs = _read_counts(segmentation.get("counts"))
        if runs.sum() != math.prod(stated):
            raise ValueError(f"its runs cover {runs.sum()} pixels, not {stated[0]} x {stated[1]}")
        packed = coco.frPyObjects({"size": list(stated), "counts": _without_gaps(runs)}, *stated)
        return RLE(stated, packed["counts"].decode("ascii"))

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> RLE:
        """Parse the output of `to_json`."""
        height, width = data["size"]
        return RLE((int(height), int(width)), str(data["counts"]), int(data.get("surplus", 0)))

    def to_json(self) -> dict[str, Any]:
        """COCO's JSON form, {"size": [H, W], "counts": str}, with the surplus where it is not 0."""
        return {"size": list(self.size), "counts": self.counts, **({"surplus": self.surplus} if self.surplus else {})}

    def decode(self) -> BoolMask:
        """The (H, W) bool array."""
        return np.asarray(coco.decode(self._coco()), dtype=np.bool_)

    @property
    def area(self) -> int:
        """Number of pixels inside, plus the surplus."""
        return int(coco.area(self._coco())) + self.surplus

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """The smallest box (x0, y0, x1, y1) around the mask, along the edges of pixels; None for the empty mask."""
        x, y, width, height = coco.toBbox(self._coco()).tolist()
        return (x, y, x + width, y + height) if width and height else None

    def contains(self, point: tuple[float, float]) -> bool:
        """True if the pixel under `point` (x, y in pixels, from the top left corner) is inside."""
        x, y = math.floor(point[0]), math.floor(point[1])
        if not (0 <= x < self.size[1] and 0 <= y < self.size[0]):
            return False
        before, total = x * self.size[0] + y, self.size[0] * self.size[1]
        pixel = _runs(self.size, (before, 1, total - before - 1))  # compares runs without decoding
        return bool(coco.area(coco.merge([self._coco(), pixel._coco()], intersect=True)))

    def _coco(self) -> dict[str, Any]:
        return {"size": list(self.size), "counts": self.counts.encode("ascii")}


def _check_size(size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"mask size must be (height, width), both at least 1, not {size}")
    if max(size) > _SIDE or math.prod(size) >= _PIXELS:
        raise ValueError(f"mask size {size} (height, width) is more than {_SIDE} a side or 2^31 pixels in all")


def _read_counts(counts: Any) -> Any:
    """(R,) int64 run lengths from a list of numbers or COCO's string; raises ValueError where they are malformed.

    The string encodes a number with five bits a character, the lowest first. Bit 32 marks that more characters follow,
    and bit 16 of the last character a negative number. From the fourth number on, the value is the difference to the
    number two before it.
    """
    if isinstance(counts, list | tuple):
        if not all(type(run) is int and 0 <= run < _PIXELS for run in counts):
            raise ValueError("its `counts` must be whole numbers of pixels")
        return np.array(counts, dtype=np.int64)
    if not isinstance(counts, str) or not counts.isascii():
        raise ValueError(f"its `counts` must be COCO's string or a list of numbers, not {counts!r:.40}")
    codes = np.frombuffer(counts.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("its `counts` are no string of COCO's, or are cut off")
    last = np.flatnonzero(codes & 32 == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    if lengths.max() > _DIGITS:
        raise ValueError("its `counts` have a number that no image has so many pixels for")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(first, lengths))
    runs = np.add.reduceat((codes & 31) << shifts, first) - ((codes[last] & 16 != 0) << 5 * lengths)
    runs[1::2], runs[2::2] = np.cumsum(runs[1::2]), np.cumsum(runs[2::2])
    if runs.min() < 0:
        raise ValueError("its `counts` have runs of less than no pixels")
    return runs


def _without_gaps(runs: Any) -> Any:
    """The same mask in (R,) runs of at least one pixel; the first run, which is outside, may be empty."""
    inside = np.arange(len(runs)) % 2
    runs, inside = runs[runs > 0], inside[runs > 0]
    merged = np.add.reduceat(runs, np.flatnonzero(np.diff(inside, prepend=-1)))
    return np.concatenate(([0], merged)) if inside[0] else merged


def _by_columns(mask: BoolMask) -> npt.NDArray[np.uint8]:
    """A column-major copy of the mask, the order of runs; made in blocks that fit in the CPU caches."""
    columns = np.empty(mask.shape, np.uint8, order="F")
    for top in range(0, len(mask), _ROWS):
        columns[top : top + _ROWS] = mask[top : top + _ROWS]
    return columns


@lru_cache(maxsize=256)
def _runs(size: tuple[int, int], lengths: tuple[int, ...]) -> RLE:
    """The mask of the given run lengths, outside first, without a decoded array."""
    packed = coco.frPyObjects({"size": list(size), "counts": list(lengths)}, *size)
    return RLE((int(size[0]), int(size[1])), packed["counts"].decode("ascii"))


def union(masks: Iterable[RLE], size: tuple[int, int]) -> RLE:
    """Union of masks of equal size (H, W); the empty mask for no masks. Surpluses are added."""
    parts = list(masks)
    for part in parts:
        _same_size(part.size, size)
    if not parts:
        return RLE.empty(size)
    merged = coco.merge([part._coco() for part in parts])
    return RLE(size, merged["counts"].decode("ascii"), sum(part.surplus for part in parts))


def iou(pred: RLE, gt: RLE, ignore: RLE | None = None) -> float:
    """Intersection over union of two masks of equal size, in [0, 1].

    Both empty: 1, the object is correctly not shown. One empty: 0 (arXiv 2502.04192, evaluation code).
    ignore: pixels that neither counts (ReasonSeg's label 255).
    """
    return ious([pred], gt, ignore)[0]


def overlap(pred: RLE, gt: RLE, ignore: RLE | None = None) -> tuple[int, int]:
    """(intersection, union) of two masks of equal size, in pixels, without those of `ignore`.

    A surplus counts in the union.
    """
    _same_size(pred.size, gt.size)
    both, either = (coco.merge([pred._coco(), gt._coco()], intersect=i) for i in (True, False))
    intersection, union_area = int(coco.area(both)), int(coco.area(either)) + pred.surplus + gt.surplus
    if ignore is not None:
        _same_size(ignore.size, gt.size)
        intersection, union_area = (
            size - int(coco.area(coco.merge([part, ignore._coco()], intersect=True)))
            for size, part in ((intersection, both), (union_area, either))
        )
    return intersection, union_area


def ious(preds: Sequence[RLE], gt: RLE, ignore: RLE | None = None) -> list[float]:
    """`iou` of each of several masks with the same `gt`, in one pass over the runs."""
    for pred in preds:
        _same_size(pred.size, gt.size)
    if ignore is not None:
        overlaps = [overlap(pred, gt, ignore) for pred in preds]
        return [intersection / union_area if union_area else 1.0 for intersection, union_area in overlaps]
    if not preds:
        return []
    if gt.area == 0:
        return [1.0 if pred.area == 0 else 0.0 for pred in preds]
    values = coco.iou([pred._coco() for pred in preds], [gt._coco()], [0])[:, 0]
    return [_diluted(pred, gt) if pred.surplus else float(value) for pred, value in zip(preds, values, strict=True)]


def _diluted(pred: RLE, gt: RLE) -> float:
    """The IoU of a mask with a surplus, which counts in the union but not in the intersection."""
    common = int(coco.area(coco.merge([pred._coco(), gt._coco()], intersect=True)))
    return common / (pred.area + gt.area - common)


def _same_size(a: tuple[int, int], b: tuple[int, int]) -> None:
    if tuple(a) != tuple(b):
        raise ValueError(f"masks of different sizes (height, width): {tuple(a)} and {tuple(b)}")
