"""Region proposers: what of a map is shown to the segmenter, or is the mask itself.

Shapes: `N` image tokens, `R` x `C` cells, `H` x `W` image pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Interval

from pixfound.extractors.attention_maps import (
    CellGrid,
    between_0_and_1,
    cell_grid,
    image_map,
    image_peak,
    peaks,
)
from pixfound.extractors.sources.localization_heads import elbow_by_chord
from pixfound.interfaces import Box, RegionProposer, Regions
from pixfound.types import FloatArray, Tile
from pixfound.types.arguments import Fraction, Positive, Share

_RATIOS = (1, 1.2, 1.4, 1.6, 1.8, 2)  # of ViCrop's windows


class Peak(RegionProposer):
    """The peak of the upsampled map, as a point.

    rank: among the local maxima, 1 for the highest; the lowest where there are fewer.
    """

    proposes = "points"

    def __init__(self, rank: Positive = 1) -> None:
        self.rank = rank

    def regions(self, values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> Regions:
        """One point."""
        if self.rank == 1:
            return Regions(points=[image_peak(values, tiles, size)])
        return Regions(points=[peaks(image_map(values, tiles, size))[: self.rank][-1]])


class PointsAtShare(RegionProposer):
    """The centre of each cell whose value is at least a share of the largest, as a point (DecAF, arXiv 2510.19592).

    The authors take a share of .8 of a map between 0 and 1.
    """

    proposes = "points"

    def __init__(self, share: Share = 0.8) -> None:
        self.share = share

    def regions(self, values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> Regions:
        """Points in reading order; none where no value is positive, or outside of the image."""
        grid = cell_grid(values, tiles, size)
        largest = grid.cells.max(initial=0.0)
        if not largest > 0:
            return Regions()
        width, height = grid.cell
        points = [
            (grid.box[0] + (float(column) + 0.5) * width, grid.box[1] + (float(row) + 0.5) * height)
            for row, column in np.argwhere(grid.cells >= self.share * largest)
        ]
        return Regions(points=[(x, y) for x, y in points if 0 <= x < size[1] and 0 <= y < size[0]])


class MeanBox(RegionProposer):
    """The box around the cells above the map's mean (arXiv 2503.06287).

    region: `all`, one box around all these cells, as in the released code; `largest`, the box of the largest area among
        those of 8-connected components, as in the paper. hull: True fills the convex hull of each component first,
        which may join some.
    """

    proposes = "boxes"

    def __init__(self, region: Literal["all", "largest"] = "all", hull: bool = False) -> None:
        self.region, self.hull = region, hull

    def regions(self, values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> Regions:
        """One box; none for a constant map, or where it lies outside of the image."""
        grid = cell_grid(values, tiles, size)
        box = mean_box(grid.cells, self.region == "largest", self.hull)
        pixels = None if box is None else _in_pixels(box, grid, size)
        return Regions() if pixels is None else Regions(boxes=[pixels])


class ElbowBoxes(RegionProposer):
    """Boxes around the parts above the elbow of a map's values that hold the most of it (arXiv 2604.08456).

    count: of boxes, the best first; the authors zoom into two. sigma: of a Gaussian in cells, under which the parts are
        looked for, not ranked.
    """

    proposes = "boxes"

    def __init__(self, count: Positive = 2, sigma: Annotated[float, Gt(0)] = 1.5) -> None:
        self.count, self.sigma = count, sigma

    def regions(self, values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> Regions:
        """At most `count` boxes, the best first; none for a constant map, or outside of the image."""
        grid = cell_grid(values, tiles, size)
        (left, top, *_), (width, height) = grid.box, grid.cell
        boxes = []
        for first, upper, last, lower in elbow_boxes(grid.cells, self.sigma)[: self.count]:
            x0, y0 = int(left + first * width), int(top + upper * height)
            x1, y1 = int(x0 + (last + 1 - first) * width), int(y0 + (lower + 1 - upper) * height)
            boxes.append(_clipped((x0, y0, x1, y1), size))
        return Regions(boxes=[box for box in boxes if box is not None])


class OtsuMask(RegionProposer):
    """Pixels above Otsu's threshold of the map, in 256 levels between its smallest and its largest value.

    The map is upsampled bilinearly, and levels are truncated, as in DecAF (arXiv 2510.19592).
    """

    proposes = "masks"

    def regions(self, values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> Regions:
        """One mask; none for a constant map."""
        from skimage.filters import threshold_otsu

        heat = image_map(between_0_and_1(values, tiles), tiles, size, "bilinear").clip(0, 1)
        levels = (heat * 255).astype(np.uint8)
        if levels.min() == levels.max():
            return Regions()
        return Regions(masks=[levels > threshold_otsu(levels)])  # type: ignore[no-untyped-call]


class QuantileMask(RegionProposer):
    """Pixels of the upsampled map at or above a quantile of its pixels."""

    proposes = "masks"

    def __init__(self, quantile: Fraction = 0.9) -> None:
        self.quantile = quantile

    def regions(self, values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> Regions:
        """One mask; none for a constant map."""
        heat = image_map(values, tiles, size)
        constant = heat.size == 0 or heat.min() == heat.max()
        return Regions() if constant else Regions(masks=[heat >= np.quantile(heat, self.quantile)])


class ViCropWindow(RegionProposer):
    """ViCrop's window (arXiv 2502.17422), as a box: of six sizes the one whose sum stands out most from its neighbours.

    side: of the smallest window in pixels of the image; the authors take the model's input size, 336 or 224. The others
    are 1.2, 1.4, 1.6, 1.8 and 2 times as large. An image not larger than the smallest is its own window.
    """

    version = 2
    proposes = "boxes"

    def __init__(self, side: Annotated[int, Interval(ge=2)] = 336) -> None:
        self.side = side

    def regions(self, values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> Regions:
        """One box; none where it lies outside of the image."""
        grid = cell_grid(values, tiles, size)
        left, top, right, bottom = grid.box
        x0, y0, x1, y1 = vicrop_window(grid.cells, (right - left, bottom - top), self.side)
        box = _clipped((x0 + left, y0 + top, x1 + left, y1 + top), size)
        return Regions() if box is None else Regions(boxes=[box])


def mean_box(cells: FloatArray, largest: bool, hull: bool) -> tuple[int, int, int, int] | None:
    """(first column, first row, last column, last row) around the cells above the mean; None where none is.

    cells: (R, C). largest: of the boxes of 8-connected components that of the largest area, the first in reading order
    among equals. hull: see `MeanBox`.
    """
    from scipy.ndimage import find_objects, label

    above = cells > cells.mean()
    if not above.any():
        return None
    if hull:
        from skimage.morphology import convex_hull_object

        above = convex_hull_object(above, connectivity=2)  # type: ignore[no-untyped-call]
    parts = find_objects(label(above, np.ones((3, 3)))[0] if largest else above.astype(np.int64))
    rows, columns = max(parts, key=lambda part: math.prod(axis.stop - axis.start for axis in part))
    return int(columns.start), int(rows.start), int(columns.stop) - 1, int(rows.stop) - 1


def elbow_boxes(cells: FloatArray, sigma: float) -> list[tuple[int, int, int, int]]:
    """(first column, first row, last column, last row) of each part above the elbow, by the sum of its cells.

    cells: (R, C). Parts are 4-connected, and those of the cells after a Gaussian; the sums are of the cells before.
    """
    from scipy.ndimage import find_objects, gaussian_filter, label

    smooth = gaussian_filter(cells, sigma)
    labels, _ = label(smooth > elbow_by_chord(smooth.ravel()))
    parts = find_objects(labels)
    sums = [-float(cells[labels == number].sum()) for number in range(1, len(parts) + 1)]
    boxes = [(x.start, y.start, x.stop - 1, y.stop - 1) for y, x in parts]
    return [boxes[i] for i in np.argsort(sums, kind="stable")]


def vicrop_window(cells: FloatArray, size: tuple[float, float], side: int) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) of the window. cells: (R, C) over a picture of `size` (width, height).

    Of equal sums the leftmost counts, then the topmost; of equal differences the smallest window.
    """
    rows, columns = cells.shape
    width, height = size[0] / columns, size[1] / rows
    best: tuple[float, float, tuple[int, int, int, int]] | None = (
        None  # difference, ratio, place and cells of the window
    )
    for ratio in _RATIOS:
        across = max(1, min(int(side * ratio / width), columns))
        down = max(1, min(int(side * ratio / height), rows))
        if across == columns and down == rows:
            break  # larger windows cover all as well
        sums = np.array(
            [
                [cells[y : y + down, x : x + across].sum() for x in range(columns - across + 1)]
                for y in range(rows - down + 1)
            ],
            np.float64,  # as the authors compare them
        )
        x, y = (int(i) for i in np.unravel_index(sums.T.argmax(), sums.T.shape))
        beside = [(y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x)]
        around = [sums[at] for at in beside if 0 <= at[0] < sums.shape[0] and 0 <= at[1] < sums.shape[1]]
        difference = float((sums[y, x] - np.mean(around)) / (across * down))
        if best is None or difference > best[0]:
            best = difference, ratio, (x, y, across, down)
    if best is None:
        return 0, 0, size[0], size[1]
    _, ratio, (x, y, across, down) = best
    half = side * ratio // 2
    edges = []
    for start, cell, count, whole in ((x, width, across, size[0]), (y, height, down, size[1])):
        centre = float(int(start * cell + cell * count / 2))
        centre = min(max(centre, half), whole - half)
        edges.append((max(0, centre - half), min(whole, centre + half)))
    (x0, x1), (y0, y1) = edges
    return x0, y0, x1, y1


def _in_pixels(box: tuple[int, int, int, int], grid: CellGrid, size: tuple[int, int]) -> Box | None:
    """(x0, y0, x1, y1) the pixels of a box of cells, whose last are inside; None outside of the image.

    The first and the last pixel are truncated as in the released code of arXiv 2503.06287.
    """
    left, top, *_ = grid.box
    width, height = grid.cell
    x0, y0 = int(left + box[0] * width), int(top + box[1] * height)
    x1, y1 = int(left + (box[2] + 1) * width - 1), int(top + (box[3] + 1) * height - 1)
    return _clipped((x0, y0, x1 + 1, y1 + 1), size)


def _clipped(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box in the image of `size` (H, W); None where there is none."""
    x0, y0 = max(0.0, float(box[0])), max(0.0, float(box[1]))
    x1, y1 = min(float(size[1]), float(box[2])), min(float(size[0]), float(box[3]))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
