"""Conversion of attention over image tokens to a map in image pixels.

Shapes: `T` answer tokens, `N` image tokens, `H` x `W` image pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from pixfound.types import FloatArray, Generation, Tile

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


def image_map(values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]) -> FloatArray:
    """(H, W) bicubic upsampling of N token values to the image's pixels.

    Overlapping tiles are averaged. Pixels outside all tiles are set just below the lowest value, so that they are
    never the peak. A tile that extends beyond the image is cropped.
    """
    result = np.zeros(size, dtype=np.float32)
    inside = np.zeros(size, dtype=np.bool_)
    for top, heat, covered in _bands(values, tiles, size):
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
    values: FloatArray, tiles: Sequence[Tile], size: tuple[int, int]
) -> Iterator[tuple[int, FloatArray, npt.NDArray[np.bool_]]]:
    """The map in bands of whole rows, to bound memory: (first row, values (R, W), mask (R, W) of pixels in a tile).

    Values outside all tiles are 0.
    """
    height, width = size
    grids, weights = [], []
    for tile in tiles:
        rows, columns = tile.grid
        index = tile.first + np.arange(rows)[:, None] * tile.stride + np.arange(columns)[None]
        x0, y0, x1, y1 = tile.box
        grids.append(values[index].astype(np.float64))
        weights.append((*_bicubic(rows, y0, y1, height), *_bicubic(columns, x0, x1, width)))
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


def _bicubic(
    cells: int, start: float, end: float, pixels: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """(weights (pixels, cells), covered pixels) to interpolate cells spread evenly over [start, end).

    Equal to torch's bicubic without align_corners: cubic convolution with repeated edges.
    """
    centre = (np.arange(pixels) + 0.5 - start) / (end - start) * cells - 0.5
    base = np.floor(centre).astype(int)
    weights = np.zeros((pixels, cells))
    for offset in (-1, 0, 1, 2):
        weight = _kernel(np.abs(centre - base - offset))
        np.add.at(weights, (np.arange(pixels), np.clip(base + offset, 0, cells - 1)), weight)
    middle = np.arange(pixels) + 0.5
    return weights, (middle >= start) & (middle < end)


def _kernel(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    d, a = distance, _CUBIC
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
