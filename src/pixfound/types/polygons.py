"""Validation and clipping of polygons from files before pycocotools rasterises them.

pycocotools checks nothing: it reads a polygon of four numbers as a box, and takes memory for each pixel on the way to a
distant corner. Frame: image pixels, origin at the top left corner, x to the right, y down. `P` is the number of points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
_FAR = 1e13  # pixels from the image: beyond, float64 cannot locate where an edge crosses it
_TURNS = 1000  # limit of an outline in circumferences of the image, besides one pass through each pixel


def read_polygon(values: Any) -> Points:
    """(P, 2) points of a polygon [x0, y0, x1, y1, ...]; raises ValueError for an invalid one."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        raise ValueError(f"a polygon is a list [x0, y0, x1, y1, ...], and stands in a list of such, not {values!r:.40}")
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f"a polygon is x, y of three points or more, not {len(values)} numbers")
    value: Any
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise ValueError(f"a polygon is made of numbers, not of {value!r:.40}")
        if not -_FAR <= value <= _FAR:  # neither is nan
            raise ValueError(f"a polygon's coordinates are pixels, and {value!r:.40} is none")
    return np.asarray(values, dtype=np.float64).reshape(-1, 2)


def clip_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> list[list[float]]:
    """Clip polygons for pycocotools to rasterise them into an image of `size` (H, W).

    Polygons near the image are unchanged, so that their pixels equal COCO's; the others are clipped around it. Raises
    ValueError for an invalid polygon, where all lie outside the image, and for excessively long outlines.
    """
    height, width = size
    margin = float(max(size))
    clipped, any_inside, length = [], False, 0.0
    for values in polygons:
        points = read_polygon(values)
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            continue
        any_inside = True
        points = _clipped(points, margin, size)
        length += float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1, initial=0).sum())
        if len(points) > 2:  # pycocotools takes two points for a box
            clipped.append([float(value) for value in points.ravel()])
    if polygons and not any_inside:
        raise ValueError(f"no polygon lies in the image of {height} x {width} pixels (height x width)")
    if length > height * width + _TURNS * (height + width):
        raise ValueError(f"the outline is {length:.0f} pixels long in an image of {height} x {width} (height x width)")
    return clipped


def _clipped(points: Points, margin: float, size: tuple[int, int]) -> Points:
    """The part of a polygon inside the image and a margin around it, by the Sutherland-Hodgman algorithm."""
    for axis, side in ((0, size[1]), (1, size[0])):
        for sign, bound in ((-1, -margin), (1, side + margin)):
            inside = sign * (points[:, axis] - bound) <= 0
            if inside.all():
                continue
            before, was_inside = np.roll(points, 1, axis=0), np.roll(inside, 1)
            crosses = inside != was_inside
            step = np.where(crosses, points[:, axis] - before[:, axis], 1.0)
            crossing = before + (points - before) * ((bound - before[:, axis]) / step)[:, None]
            crossing[:, axis] = bound
            pairs = np.stack([crossing, points], axis=1)  # (P, 2, 2): where an edge crosses, then its end
            points = pairs[np.stack([crosses, inside], axis=1)]
    return points
