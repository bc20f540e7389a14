"""Layout probing: the box of each view, found by running the processor on an image whose colours encode positions.

Red encodes a pixel's column and green its row, so the mean colour of a view is the position of its centre. All pixels
of the image are blue, and pixels that are not blue are padding.

A `view` here is (3, K) or (3, h, w), its pixels in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.errors import UserError
from pixfound.models.geometry.encoded_example import Box, view_shapes

_TOLERANCE = 0.25  # largest distance of a centre from the expected one, in sides of a view
_STEP = 0.02  # least distance between the centres of neighbouring parts, in sides of the image
View = npt.NDArray[np.float64]


def ramps(height: int, width: int) -> Image.Image:
    """A blue RGB image (height, width); red rises from 0 to 255 from left to right, green from top to bottom."""
    pixels = np.full((height, width, 3), 255, dtype=np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width).round()[None]
    pixels[..., 1] = np.linspace(0, 255, height).round()[:, None]
    return Image.fromarray(pixels)


def views_of(inputs: Mapping[str, Any]) -> list[View]:
    """The views of the single image of a processor's output: from pixels (..., 3, h, w), or patches of known shapes."""
    pixels = np.asarray(inputs["pixel_values"], dtype=np.float64)
    shapes = view_shapes(inputs)
    if "image_grid_thw" in inputs:  # (patches, 3 * times * side * side), in an order of its own
        return [pixels.reshape(len(pixels), 3, -1).swapaxes(0, 1).reshape(3, -1)]
    if shapes is None:
        return list(pixels.reshape(-1, *pixels.shape[-3:]))
    sizes = [rows * columns for rows, columns in shapes]
    if pixels.ndim == 3:  # (V, patches, side * side * 3), filled up
        return [view[:size].reshape(-1, 3).T for view, size in zip(pixels, sizes, strict=True)]
    # (1, 3, side, patches * side) of all views, side by side
    side = pixels.shape[2]
    ends = np.cumsum([0, *sizes]) * side
    return [pixels[0, :, :, a:b].reshape(3, -1) for a, b in pairwise(ends)]


def view_boxes(views: Sequence[View], size: tuple[int, int]) -> tuple[Box, ...]:
    """The box of each view of `ramps(*size)`, in pixels. size: (H, W).

    The views must be equal parts of the image, row by row, with at most one view of the whole image, first or last.
    They may also be such parts of a canvas with the image in its upper left corner. UserError for all others.
    """
    height, width = size
    image_box = (0.0, 0.0, float(width), float(height))
    masks = _image_masks(views)
    padded = [not bool(mask.all()) for mask in masks]
    if any(padded) and views[0].ndim < 3:
        raise _refused(
            "filled up with padding before it is cut into patches, or cut into such as are not colour by colour"
        )
    if len(views) == 1 and not any(padded):
        return (image_box,)
    x, y = (_places([view[channel][mask] for view, mask in zip(views, masks, strict=True)]) for channel in (0, 1))
    middle = [
        len(views) > 1 and not pad and abs(a - 0.5) < _STEP and abs(b - 0.5) < _STEP
        for a, b, pad in zip(x, y, padded, strict=True)
    ]
    before, after = (0, 1) if middle[-1] else (1, 0) if middle[0] else (0, 0)
    parts = slice(before, len(views) - after)
    rows, columns = _arrangement(x[parts], y[parts])
    if any(padded):
        foot, right = _canvas(masks[parts], rows, columns)
    else:
        foot = right = 1.0
        _check(x[parts], y[parts], rows, columns, size)
    boxes = [
        (
            width * right * c / columns,
            height * foot * r / rows,
            width * right * (c + 1) / columns,
            height * foot * (r + 1) / rows,
        )
        for r in range(rows)
        for c in range(columns)
    ]
    return (*[image_box] * before, *boxes, *[image_box] * after)


def _image_masks(views: Sequence[View]) -> list[npt.NDArray[np.bool_]]:
    """Masks of each view: True on the blue pixels of the image, False on padding."""
    blue = max(view[2].max() for view in views)
    span = max(max(view[c].max() for view in views) - min(view[c].min() for view in views) for c in (0, 1))
    return [view[2] >= blue - span / 2 for view in views]


def _canvas(masks: Sequence[npt.NDArray[np.bool_]], rows: int, columns: int) -> tuple[float, float]:
    """Ratios of a canvas to the image in its upper left corner: of heights, of widths.

    masks: (h, w) of each part. UserError where the image is not in the upper left corner.
    """
    high, wide = masks[0].shape
    height = sum(int(masks[r * columns].any(axis=1).sum()) for r in range(rows))
    width = sum(int(mask.any(axis=0).sum()) for mask in masks[:columns])
    if rows * columns != len(masks) or not masks[0][0, 0]:
        raise _refused(f"laid on a canvas of {len(masks)} parts, and not into its upper left corner")
    return rows * high / height, columns * wide / width


def _places(channel: Sequence[View]) -> View:
    """Position of each view's centre along one axis, in [0, 1]; NaN for a view of padding alone.

    channel: (K,) red or green values of each view.
    """
    values = np.concatenate(channel)
    low, high = values.min(), values.max()
    means = np.array([view.mean() if len(view) else np.nan for view in channel])
    return (means - low) / (high - low) if high > low else np.full(len(means), 0.5)


def _arrangement(x: View, y: View) -> tuple[int, int]:
    """(rows, columns) of views that come row by row: a row ends where the next view lies lower, or further left.

    x, y: positions of the centres in [0, 1]. Where the image fills one row, the views of padding after it may be rows
    or columns: they are outside the image in both cases.
    """
    for i in range(1, len(x)):
        if y[i] > y[0] + _STEP or x[i] < x[i - 1] - _STEP:
            return len(x) // i, i
    visible = int(np.isfinite(x).sum())
    return (len(x) // visible, visible) if len(x) % visible == 0 else (1, len(x))


def _check(x: View, y: View, rows: int, columns: int, size: tuple[int, int]) -> None:
    height, width = size
    fits = rows * columns == len(x)
    if fits and width >= 8 * columns and height >= 8 * rows:  # smaller pictures blur from one part into the next
        index = np.arange(len(x))
        off_x = np.abs(x - (index % columns + 0.5) / columns) * columns
        off_y = np.abs(y - (index // columns + 0.5) / rows) * rows
        fits = bool((off_x < _TOLERANCE).all() and (off_y < _TOLERANCE).all())
    if not fits:
        raise _refused(f"of {height} x {width} pixels is cut into {len(x)} parts that are not equal ones, row by row")


def _refused(reason: str) -> UserError:
    return UserError(
        f"an image {reason}, which fits no layout: add the layout to pixfound.models.geometry.probe, or use "
        "model.capture=none extraction=nulls"
    )
