"""Conversion of a model's coordinates to pixels of the image. Values outside the image are clamped and never raise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Polygon = tuple[Point, ...]


@dataclass(frozen=True)
class Frame:
    """pixel = value * scale + offset, for x and y. size: (H, W) of the image."""

    scale: Point
    offset: Point
    size: tuple[int, int]

    def boxes(self, values: Iterable[Box]) -> list[Box]:
        """(x0, y0, x1, y1) in pixels with ordered corners, clamped to the image; boxes without area are left out."""
        height, width = self.size
        boxes = []
        for box in values:
            xs = sorted(_clamp(v * self.scale[0] + self.offset[0], width) for v in box[0::2])
            ys = sorted(_clamp(v * self.scale[1] + self.offset[1], height) for v in box[1::2])
            if xs[0] < xs[1] and ys[0] < ys[1]:
                boxes.append((xs[0], ys[0], xs[1], ys[1]))
        return boxes

    def polygons(self, values: Iterable[Polygon]) -> list[Polygon]:
        """Corners (x, y) in pixels, clamped to the image."""
        height, width = self.size
        (sx, sy), (dx, dy) = self.scale, self.offset
        return [tuple((_clamp(x * sx + dx, width), _clamp(y * sy + dy, height)) for x, y in v) for v in values]

    def points(self, values: Iterable[Point]) -> list[Point]:
        """(x, y) in pixels, clamped to the middle of the first and of the last pixel of a side."""
        height, width = self.size
        (sx, sy), (dx, dy) = self.scale, self.offset
        return [(_clamp(x * sx + dx, width - 1), _clamp(y * sy + dy, height - 1)) for x, y in values]


def of_image(size: tuple[int, int], extent: float) -> Frame:
    """The frame of coordinates from 0 to `whole` along each side of the image."""
    return Frame((size[1] / extent, size[0] / extent), (0.0, 0.0), size)


def of_padded_square(size: tuple[int, int]) -> Frame:
    """The frame of coordinates from 0 to 1 over the square that the image was padded to on both sides (LLaVA)."""
    height, width = size
    side = max(size)
    return Frame((side, side), (-float((side - width) // 2), -float((side - height) // 2)), size)


def of_resized(size: tuple[int, int], resized: tuple[int, int]) -> Frame:
    """The frame of pixels of the resized image. size, resized: (H, W) before and after resizing."""
    return Frame((size[1] / resized[1], size[0] / resized[0]), (0.0, 0.0), size)


def _clamp(value: float, high: float) -> float:
    return min(max(value, 0.0), float(high))
