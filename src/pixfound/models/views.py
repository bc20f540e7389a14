"""Which part of an image each view shows, asked of the processor itself: it is given a picture whose pixels say where
they come from, red their column and green their row, and the mean colour of a view is the place of its centre.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.errors import UserError
from pixfound.models.geometry import Box

_TOLERANCE = 0.25  # of a view's side, by which a centre may lie beside the one expected
_STEP = 0.02  # of the image's side; less than that is no move from one part to the next


def ramps(height: int, width: int) -> Image.Image:
    """A picture whose red channel rises from left to right and whose green one rises from top to bottom."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width).round()[None]
    pixels[..., 1] = np.linspace(0, 255, height).round()[:, None]
    return Image.fromarray(pixels)


def view_boxes(pixel_values: Any, size: tuple[int, int]) -> tuple[Box, ...]:
    """The box of each view of `ramps(*size)`, of which a processor made `pixel_values` (..., 3, h, w).

    The views are the image in equal parts, row by row, and at most once the whole of it, first or last. UserError
    where they are something else.
    """
    height, width = size
    whole = (0.0, 0.0, float(width), float(height))
    views = np.asarray(pixel_values, dtype=np.float64).reshape(-1, *pixel_values.shape[-3:])
    if len(views) == 1:
        return (whole,)
    x, y = (_places(views[:, channel]) for channel in (0, 1))
    middle = [abs(a - 0.5) < _STEP and abs(b - 0.5) < _STEP for a, b in zip(x, y, strict=True)]
    before, after = (0, 1) if middle[-1] else (1, 0) if middle[0] else (0, 0)
    parts = slice(before, len(views) - after)
    rows, columns = _arrangement(x[parts], y[parts])
    _check(x[parts], y[parts], rows, columns, size)
    boxes = [
        (width * c / columns, height * r / rows, width * (c + 1) / columns, height * (r + 1) / rows)
        for r in range(rows)
        for c in range(columns)
    ]
    return (*[whole] * before, *boxes, *[whole] * after)


def _places(channel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Where each view's centre lies between 0 and 1. channel: (V, h, w) of one ramp."""
    low, high = channel.min(), channel.max()
    means = channel.mean(axis=(1, 2))
    return (means - low) / (high - low) if high > low else np.full(len(means), 0.5)


def _arrangement(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[int, int]:
    """(rows, columns) of views that come row by row: a row ends where the next view lies lower, or further left."""
    for i in range(1, len(x)):
        if y[i] > y[0] + _STEP or x[i] < x[i - 1] - _STEP:
            return len(x) // i, i
    return 1, len(x)


def _check(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], rows: int, columns: int, size: tuple[int, int]
) -> None:
    height, width = size
    fits = rows * columns == len(x)
    if fits and width >= 8 * columns and height >= 8 * rows:  # smaller pictures blur from one part into the next
        place = np.arange(len(x))
        off_x = np.abs(x - (place % columns + 0.5) / columns) * columns
        off_y = np.abs(y - (place // columns + 0.5) / rows) * rows
        fits = bool((off_x < _TOLERANCE).all() and (off_y < _TOLERANCE).all())
    if not fits:
        raise UserError(
            f"a picture of {height} x {width} pixels is cut into {len(x)} parts that are not equal ones, row by row: "
            "teach pixfound.models.views how, or use model.capture=none extraction=nulls"
        )
