"""Conversion of attention over image tokens to a map in image pixels.

Shapes: `T` answer tokens, `N` image tokens, `H` x `W` image pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from pixfound.interfaces import Box
from pixfound.types import FloatArray, Generation, Tile

Kernel = Literal["bicubic", "bilinear"]
_BAND = 4 * 2**20  # pixels that are computed at a time: 32 MB a number
_CUBIC = -0.75  # the coefficient that torch's bicubic interpolation uses


def token_rows(
    generation: Generation,
    row: Literal["predicting", "self"] = "predicting",
    step0: Literal["last", "penultimate"] = "last",
    subtract_mean: bool = True,
) -> FloatArray:
    """(T, N) the attention row of each answer token.

    row: `predicting` takes the query that predicts the token, `self` the query of the token itself. With `self` the
        last token of an answer has no row and is left out, so that T is one less.
    step0: prompt position of the first row. The original takes the last but one (arXiv 2502.04192, its infer
        scripts); the query at the last position predicts the first token.
    subtract_mean: True subtracts the mean over all rows, that of the end token included, which removes the attention
        common to all tokens.
    """
    assert generation.attention is not None and generation.penultimate is not None
    rows = generation.attention
    if step0 == "penultimate":
        rows = np.concatenate([generation.penultimate[None], rows[1:]])
    if subtract_mean:
        rows = rows - rows.mean(axis=0, keepdims=True)
    return rows if row == "predicting" else rows[1:]


def rounding_error(generation: Generation) -> FloatArray:
    """(N,) bound of the rounding error in a mean over some of the answer's rows minus the mean over all.

    Rows are positive, and T of them are summed in order in fp32. The mean is off by T half units in the last place of
    the largest, the mean of the differences by as many again, and the divisions and the subtraction by one each.
    """
    assert generation.attention is not None and generation.penultimate is not None
    largest = np.maximum(generation.attention.max(axis=0), generation.penultimate)
    error: FloatArray = (len(generation.attention) + 1) * np.finfo(np.float32).eps * largest
    return error


def token_index(tile: Tile) -> npt.NDArray[np.int64]:
    """(rows, columns) the index of each of a tile's tokens among the image tokens."""
    rows, columns = tile.grid
    return tile.first + np.arange(rows)[:, None] * tile.stride + np.arange(columns)[None]


def smoothed(
    values: FloatArray, tiles: Sequence[Tile], sigma: float, radius: int | None = None, zero: bool = False
) -> FloatArray:
    """(N,) the values after a Gaussian over the cells of each tile; those outside of all tiles as they were.

    sigma: in cells. radius: of the kernel, 4 sigma by default. zero: True pads with zeros, False mirrors at the edge.
    """
    from scipy.ndimage import gaussian_filter

    result = values.copy()
    for tile in tiles:
        index = token_index(tile)
        result[index] = gaussian_filter(values[index], sigma, mode="constant" if zero else "reflect", radius=radius)
    return result


def between_0_and_1(values: FloatArray, tiles: Sequence[Tile]) -> FloatArray:
    """(N,) the values moved and scaled so that those of the tiles are between 0 and 1; zeros where these are equal."""
    inside = [values[token_index(tile)] for tile in tiles]
    low, high = min(part.min() for part in inside), max(part.max() for part in inside)
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


@dataclass(frozen=True, slots=True)
class CellGrid:
    """A map as cells. cells: (R, C). box: (x0, y0, x1, y1) the pixels that they cover; may extend beyond the image."""

    cells: FloatArray
    box: Box

    @property
    def cell(self) -> tuple[float, float]:
        """(width, height) of a cell in pixels."""
        x0, y0, x1, y1 = self.box
        return (x1 - x0) / self.cells.shape[1], (y1 - y0) / self.cells.shape[0]


def cell_grid(values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> CellGrid:
    """The values in the cells of the tile; of several tiles interpolated to cells as small as the smallest.

    size: (H, W) of the image, which the grid of several tiles covers.
    """
    if len(tiles) == 1:
        return CellGrid(values[token_index(tiles[0])], tiles[0].box)
    height, width = size
    cells = [((t.box[2] - t.box[0]) / t.grid[1], (t.box[3] - t.box[1]) / t.grid[0]) for t in tiles]
    columns = max(1, round(width / min((w for w, _ in cells), default=width)))
    rows = max(1, round(height / min((h for _, h in cells), default=height)))
    return CellGrid(
        image_map(values, resized_tiles(tiles, size, (rows, columns)), (rows, columns)),
        (0.0, 0.0, float(width), float(height)),
    )


def resized_tiles(tiles: Sequence[Tile], size: tuple[int, int], other: tuple[int, int]) -> tuple[Tile, ...]:
    """The tiles of an image of `size` (H, W) in the same image at another size."""
    across, down = other[1] / size[1], other[0] / size[0]
    return tuple(
        replace(t, box=(t.box[0] * across, t.box[1] * down, t.box[2] * across, t.box[3] * down)) for t in tiles
    )


def image_map(
    values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int], kernel: Kernel = "bicubic"
) -> FloatArray:
    """(H, W) upsampling of N token values to the image's pixels.

    Overlapping tiles are averaged. Pixels outside all tiles are set just below the lowest value, so that they are
    never the peak. A tile that extends beyond the image is cropped.
    """
    result = np.zeros(size, dtype=np.float32)
    inside = np.zeros(size, dtype=np.bool_)
    for top, heat, covered in _bands(values, tiles, size, kernel):
        result[top : top + len(heat)], inside[top : top + len(heat)] = heat, covered
    low = np.nextafter(result.min(where=inside, initial=np.inf), np.float32(-np.inf)) if inside.any() else 0.0
    np.copyto(result, low, where=~inside)
    return result


def image_peak(values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> tuple[float, float]:
    """`peak` of the `image_map` of the same arguments, without a map of the whole image in memory."""
    best, point = np.float32(-np.inf), (0.0, 0.0)
    for top, heat, covered in _bands(values, tiles, size):
        heat[~covered] = -np.inf
        x, y = peak(heat)
        value = heat[int(y), int(x)]
        if value > best:  # of equals the first is kept
            best, point = value, (x, y + top)
    return point


def peak(heat: FloatArray) -> tuple[float, float]:
    """(x, y) of the pixel with the highest value; the first in reading order among equals."""
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    return float(x), float(y)


def peaks(heat: FloatArray) -> list[tuple[float, float]]:
    """(x, y) of all local maxima, the highest first and in reading order among equals; the first is `peak`.

    At a local maximum none of the eight neighbours is higher, and none earlier in reading order is equal.
    """
    height, width = heat.shape
    around = np.pad(heat, 1, constant_values=-np.inf)
    top = np.ones(heat.shape, dtype=np.bool_)
    for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        neighbour = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        top &= heat > neighbour if (dy, dx) < (0, 0) else heat >= neighbour
    ys, xs = np.nonzero(top)
    order = np.argsort(-heat[ys, xs], kind="stable")
    return [(float(x), float(y)) for x, y in zip(xs[order], ys[order], strict=True)]


def _bands(
    values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int], kernel: Kernel = "bicubic"
) -> Iterator[tuple[int, FloatArray, npt.NDArray[np.bool_]]]:
    """The map in bands of whole rows, to bound memory: (first row, values (R, W), mask (R, W) of pixels in a tile).

    Values outside all tiles are 0.
    """
    height, width = size
    grids, weights = [], []
    for tile in tiles:
        rows, columns = tile.grid
        x0, y0, x1, y1 = tile.box
        grids.append(values[token_index(tile)].astype(np.float64))
        weights.append((*_upsampling(rows, y0, y1, height, kernel), *_upsampling(columns, x0, x1, width, kernel)))
    step = max(1, _BAND // width)
    for top in range(0, height, step):
        band = slice(top, min(top + step, height))
        total = np.zeros((band.stop - top, width), dtype=np.float64)
        count = np.zeros(total.shape, dtype=np.int64)
        for grid, (down, covered_y, across, covered_x) in zip(grids, weights, strict=True):
            covered = covered_y[band, None] & covered_x[None]
            total += np.where(covered, down[band] @ grid @ across.T, 0.0)
            count += covered
        yield top, (total / np.maximum(count, 1)).astype(np.float32), count > 0


def _upsampling(
    cells: int, start: float, end: float, pixels: int, kernel: Kernel
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """(weights (pixels, cells), covered pixels) to interpolate cells spread evenly over [start, end).

    Equal to torch's bicubic and bilinear without align_corners: repeated edges.
    """
    centre = (np.arange(pixels) + 0.5 - start) / (end - start) * cells - 0.5
    base = np.floor(centre).astype(int)
    weights = np.zeros((pixels, cells))
    for offset in (-1, 0, 1, 2):
        distance = np.abs(centre - base - offset)
        weight = _kernel(distance) if kernel == "bicubic" else np.maximum(1 - distance, 0)
        np.add.at(weights, (np.arange(pixels), np.clip(base + offset, 0, cells - 1)), weight)
    middle = np.arange(pixels) + 0.5
    return weights, (middle >= start) & (middle < end)


def _kernel(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    d, a = distance, _CUBIC
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
