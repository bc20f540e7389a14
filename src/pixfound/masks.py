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

BoolMask = npt.NDArray[np.bool_]
_ROWS = 128  # a mask of 9000 x 12,000 is copied four times as fast as at once


@dataclass(frozen=True, slots=True)
class RLE:
    """A mask in COCO's compressed run-length form.

    size: (H, W) in pixels. counts: COCO's compressed string (column-major runs).
    surplus: grey levels of the picture that the mask was read from beyond one for each pixel inside; 0 unless they are
        kept on purpose (`pixfound.greys`). They widen the union of an IoU, as in the paper's evaluation code.
    """

    size: tuple[int, int]
    counts: str
    surplus: int = 0

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"mask size must be (height, width), both at least 1, not {self.size}")

    @staticmethod
    def encode(mask: npt.NDArray[Any]) -> RLE:
        """Encode an (H, W) array of bool; any other shape or type is an error."""
        if mask.ndim != 2 or mask.dtype != np.bool_:
            raise ValueError(f"a mask is a 2-D bool array, not {mask.dtype} of shape {mask.shape}")
        packed = coco.encode(_by_columns(mask))
        return RLE((int(mask.shape[0]), int(mask.shape[1])), packed["counts"].decode("ascii"))

    @staticmethod
    def empty(size: tuple[int, int]) -> RLE:
        """The mask of nothing, (H, W)."""
        return _runs(size, (size[0] * size[1],))

    @staticmethod
    def full(size: tuple[int, int]) -> RLE:
        """The mask of the whole image, (H, W)."""
        return _runs(size, (0, size[0] * size[1]))

    @staticmethod
    def from_polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> RLE:
        """Union of polygons, each [x0, y0, x1, y1, ...] in pixels, as COCO rasterises them."""
        if not polygons:
            return RLE.empty(size)
        for polygon in polygons:
            if len(polygon) < 6 or len(polygon) % 2:
                raise ValueError(f"a polygon is x, y of three points or more, not {len(polygon)} numbers")
        parts = coco.frPyObjects([list(map(float, p)) for p in polygons], size[0], size[1])
        merged = coco.merge(parts)
        return RLE(size, merged["counts"].decode("ascii"))

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> RLE:
        """Read what `to_json` wrote."""
        height, width = data["size"]
        return RLE((int(height), int(width)), str(data["counts"]), int(data.get("surplus", 0)))

    def to_json(self) -> dict[str, Any]:
        """COCO's own JSON form, {"size": [H, W], "counts": str}, with the surplus where there is one."""
        return {"size": list(self.size), "counts": self.counts, **({"surplus": self.surplus} if self.surplus else {})}

    def decode(self) -> BoolMask:
        """The (H, W) bool array."""
        return np.asarray(coco.decode(self._coco()), dtype=np.bool_)

    @property
    def area(self) -> int:
        """Number of pixels inside, and the surplus."""
        return int(coco.area(self._coco())) + self.surplus

    def contains(self, point: tuple[float, float]) -> bool:
        """Whether the pixel under `point` (x, y in pixels, from the left top corner) is inside."""
        x, y = math.floor(point[0]), math.floor(point[1])
        if not (0 <= x < self.size[1] and 0 <= y < self.size[0]):
            return False
        before, total = x * self.size[0] + y, self.size[0] * self.size[1]
        pixel = _runs(self.size, (before, 1, total - before - 1))  # runs are compared, no picture is made
        return bool(coco.area(coco.merge([self._coco(), pixel._coco()], intersect=True)))

    def _coco(self) -> dict[str, Any]:
        return {"size": list(self.size), "counts": self.counts.encode("ascii")}


def _by_columns(mask: BoolMask) -> npt.NDArray[np.uint8]:
    """A copy of the mask that lies in memory column by column, as runs go: made in parts that the caches hold."""
    columns = np.empty(mask.shape, np.uint8, order="F")
    for top in range(0, len(mask), _ROWS):
        columns[top : top + _ROWS] = mask[top : top + _ROWS]
    return columns


@lru_cache(maxsize=256)
def _runs(size: tuple[int, int], lengths: tuple[int, ...]) -> RLE:
    """The mask of some runs, outside first, without a picture of it."""
    packed = coco.frPyObjects({"size": list(size), "counts": list(lengths)}, *size)
    return RLE((int(size[0]), int(size[1])), packed["counts"].decode("ascii"))


def union(masks: Iterable[RLE], size: tuple[int, int]) -> RLE:
    """Union of masks of one size (H, W); of none, the empty mask. Their surpluses add up."""
    parts = list(masks)
    for part in parts:
        _same_size(part.size, size)
    if not parts:
        return RLE.empty(size)
    merged = coco.merge([part._coco() for part in parts])
    return RLE(size, merged["counts"].decode("ascii"), sum(part.surplus for part in parts))


def iou(pred: RLE, gt: RLE) -> float:
    """Intersection over union of two masks of one size.

    Both empty: 1, the object is rightly not shown. One empty: 0 (arXiv 2502.04192, evaluation code).
    """
    return ious([pred], gt)[0]


def ious(preds: Sequence[RLE], gt: RLE) -> list[float]:
    """`iou` of each of several masks with the same `gt`, in one pass over the runs."""
    for pred in preds:
        _same_size(pred.size, gt.size)
    if not preds:
        return []
    if gt.area == 0:
        return [1.0 if pred.area == 0 else 0.0 for pred in preds]
    values = coco.iou([pred._coco() for pred in preds], [gt._coco()], [0])[:, 0]
    return [_diluted(pred, gt) if pred.surplus else float(value) for pred, value in zip(preds, values, strict=True)]


def _diluted(pred: RLE, gt: RLE) -> float:
    """The IoU of a mask with a surplus, all of which lies outside of the intersection."""
    common = int(coco.area(coco.merge([pred._coco(), gt._coco()], intersect=True)))
    return common / (pred.area + gt.area - common)


def _same_size(a: tuple[int, int], b: tuple[int, int]) -> None:
    if tuple(a) != tuple(b):
        raise ValueError(f"masks of different sizes (height, width): {tuple(a)} and {tuple(b)}")
