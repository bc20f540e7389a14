"""Where a model's image tokens lie in the image, read from what its processor did.

The layout is recognised from the processor's own outputs and settings, never from a model's name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pixfound.errors import UserError
from pixfound.types import Tile


def tiles_of(
    processor: Any, inputs: Mapping[str, Any], index: int, count: int, size: tuple[int, int]
) -> tuple[Tile, ...]:
    """The tiles of the example at `index` of a processed batch.

    count: its number of image tokens. size: (H, W) of its image in pixels.
    """
    settings = processor.image_processor
    height, width = size
    if "image_grid_thw" in inputs:  # a grid that follows the image's shape, merged in squares
        _, rows, columns = (int(v) for v in inputs["image_grid_thw"][index])
        merge = int(settings.merge_size)
        grid = (rows // merge, columns // merge)
        return (Tile(0, grid, grid[1], (0.0, 0.0, float(width), float(height))),)
    per_tile = int(getattr(processor, "image_seq_len", 0) or 0)
    if per_tile and count > per_tile and count % per_tile == 0:  # tiles, then the whole image squashed to a square
        return (_square(count - per_tile, per_tile, (0.0, 0.0, float(width), float(height))),)
    return (_square(0, count, _kept(settings, height, width)),)


def _kept(settings: Any, height: int, width: int) -> tuple[float, float, float, float]:
    """The part of the image that is left after the short side is resized and the centre cropped."""
    if not getattr(settings, "do_center_crop", False):
        return (0.0, 0.0, float(width), float(height))
    crop, target = settings.crop_size, settings.size
    short = dict(target).get("shortest_edge")
    if short is None:
        scale_y, scale_x = dict(target)["height"] / height, dict(target)["width"] / width
    else:
        scale_y = scale_x = short / min(height, width)
    kept_h, kept_w = dict(crop)["height"] / scale_y, dict(crop)["width"] / scale_x
    x0, y0 = (width - kept_w) / 2, (height - kept_h) / 2
    return (x0, y0, x0 + kept_w, y0 + kept_h)


def _square(first: int, count: int, box: tuple[float, float, float, float]) -> Tile:
    side = math.isqrt(count)
    if side * side != count:
        raise UserError(
            f"{count} image tokens make no square grid, and no other layout fits this processor: "
            "teach pixfound.models.geometry the layout, or use model.capture=none extraction=nulls"
        )
    return Tile(first, (side, side), side, box)
