"""Layouts: the tiles of image tokens in the image, read from the outputs of a model's processor.

Frame: pixels of the original image; boxes are (x0, y0, x1, y1). A `view` is one input image of the vision tower: the
whole image, or a part of it.

A layout is recognised from the processor's outputs and the model's config, never from a model's name. Each function in
`LAYOUTS` returns the tiles of the examples that it recognises, and None for all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from pixfound.models.geometry.encoded_example import (
    Box,
    Encoded,
    check_count,
    encoded_part,
    grid_of,
    side_of,
    unknown,
    view_shapes,
)
from pixfound.types import Tile

_PROBE = (173, 221)  # (H, W) that no patch, nor pair or square of them, divides


def tiles_of(encoded: Encoded) -> tuple[Tile, ...]:
    """The tiles of an example; UserError where no layout fits its tokens."""
    for layout in LAYOUTS:
        tiles = layout(encoded)
        if tiles is not None:
            return tiles
    raise AssertionError("the last layout takes every picture")


def local_views(encoded: Encoded) -> None:
    """UserError where local views come in an input of their own: their order in the prompt is not known."""
    if "pixel_values_local" in encoded.inputs or "num_local_patches" in encoded.inputs:
        raise unknown(encoded, "of a picture with a separate input for local views (num_local_patches)")


def unpadded_square(encoded: Encoded) -> tuple[Tile, ...] | None:
    """A grid over a padded square, rows or columns of padding removed, each row ended by a newline token."""
    side = getattr(encoded.image_processor, "unpadded_grid", None)
    if side is None:
        return None
    height, width = encoded.size
    top, foot, left, right = kept_of_square((height, width), side)
    cell, x, y = max(height, width) / side, (max(height, width) - width) // 2, (max(height, width) - height) // 2
    check_count(encoded, (foot - top) * (right - left + 1))
    box = (left * cell - x, top * cell - y, right * cell - x, foot * cell - y)
    return (Tile(0, (foot - top, right - left), right - left + 1, box),)


def kept_of_square(size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    """(first row, end, first column, end) of the cells of a side x side grid over a padded square that show its image.

    size: (H, W) of the image. Bars are removed in whole cells, rounded down, so a cell at the edge may show padding.
    Of an image too long and thin for the grid, the two middle rows or columns are left.
    """
    height, width = size
    along, across = max(height, width), min(height, width)
    bar = min((side - int(across * (side / along))) // 2, max(0, side // 2 - 1))
    return (bar, side - bar, 0, side) if width > height else (0, side, bar, side - bar)


def following_grid(encoded: Encoded) -> tuple[Tile, ...] | None:
    """A grid with the image's aspect ratio, of patches merged in squares (Qwen-VL, GLM-V)."""
    if "image_grid_thw" not in encoded.inputs:
        return None
    encoded.views(_PROBE)  # refused where it is padded: the grid would reach past the image
    _, rows, columns = (int(v) for v in encoded.inputs["image_grid_thw"][encoded.index])
    merge = getattr(encoded.image_processor, "merge_size", None) or encoded.config.vision_config.spatial_merge_size
    grid = (rows // int(merge), columns // int(merge))
    check_count(encoded, grid[0] * grid[1])
    return (Tile(0, grid, grid[1], encoded.whole),)


def placed_patches(encoded: Encoded) -> tuple[Tile, ...] | None:
    """A grid with the image's aspect ratio, of patches with known positions (x, y), pooled in squares (Gemma 4)."""
    places = encoded.inputs.get("image_position_ids")
    if places is None:
        return None
    pooled = int(encoded.image_processor.pooling_kernel_size)
    columns, rows = ((int(v) + 1) // pooled for v in places[encoded.index].max(0).values)
    check_count(encoded, rows * columns)
    return (Tile(0, (rows, columns), columns, encoded.whole),)


def resized_grid(encoded: Encoded) -> tuple[Tile, ...] | None:
    """A grid with the image's aspect ratio, of the resized (H, W) that the processor outputs (Pixtral)."""
    if "image_sizes" not in encoded.inputs or hasattr(encoded.image_processor, "image_grid_pinpoints"):
        return None
    cell = side_of(encoded.config.vision_config.patch_size) * int(getattr(encoded.config, "spatial_merge_size", 1))
    rows, columns = (int(v) // cell for v in encoded.inputs["image_sizes"][encoded.index])
    check_count(encoded, rows * columns)
    return (Tile(0, (rows, columns), columns, encoded.whole),)


def any_resolution(encoded: Encoded) -> tuple[Tile, ...] | None:
    """A grid of the whole image as a square, then a finer grid of its aspect ratio with a newline token after each row.

    AnyRes (LLaVA-NeXT, LLaVA-OneVision). The finer grid covers a canvas of several views, in which the image is centred
    and padded. Rows or columns of padding alone are removed. A grid above the limit `anyres_max_N` is resampled.
    """
    pinpoints = getattr(encoded.image_processor, "image_grid_pinpoints", None)
    if "image_sizes" not in encoded.inputs or pinpoints is None:
        return None
    from transformers.image_processing_utils import select_best_resolution

    vision = encoded.config.vision_config
    side = vision.image_size // vision.patch_size
    view = encoded.view_size[0]
    height, width = encoded.size
    canvas_h, canvas_w = select_best_resolution((height, width), [list(p) for p in pinpoints])
    rows, columns = canvas_h // vision.image_size * side, canvas_w // vision.image_size * side
    cell = view / side  # of the canvas, in its pixels
    scale = min(canvas_w / width, canvas_h / height)
    x0 = y0 = 0.0  # in pixels of the canvas, where the grid starts and ends
    x1, y1 = float(canvas_w), float(canvas_h)
    if width / height > columns / rows:
        removed = (rows - int(round(height * (columns / width), 7))) // 2
        rows, y0, y1 = rows - 2 * removed, y0 + removed * cell, y1 - removed * cell
    else:
        removed = (columns - int(round(width * (rows / height), 7))) // 2
        columns, x0, x1 = columns - 2 * removed, x0 + removed * cell, x1 - removed * cell
    left = (canvas_w - min(math.ceil(width * scale), canvas_w)) // 2
    top = (canvas_h - min(math.ceil(height * scale), canvas_h)) // 2
    box = ((x0 - left) / scale, (y0 - top) / scale, (x1 - left) / scale, (y1 - top) / scale)
    limit = str(getattr(encoded.config, "vision_aspect_ratio", "")).removeprefix("anyres_max_")
    if limit.isdigit():
        ratio = math.sqrt(rows * columns / (int(limit) * side**2))
        if ratio > 1.1:
            rows, columns = int(rows // ratio), int(columns // ratio)
    base = Tile(0, (side, side), side, encoded_part(encoded, encoded.whole))
    fine = Tile(side * side, (rows, columns), columns + 1, box)
    check_count(encoded, side * side + rows * (columns + 1))
    return (base, fine) if rows * columns else (base,)  # of a very long image nothing may be left


def pooled_patches(encoded: Encoded) -> tuple[Tile, ...] | None:
    """A grid of the whole image as a square, then a finer grid over it, of patches pooled in rectangles (Molmo2).

    The processor outputs the patches from which each token is pooled, -1 where there are none. Rectangles at the edges
    may reach beyond the image.
    """
    grids = encoded.inputs.get("image_grids")
    if grids is None:
        return None
    every = [[int(v) for v in grid] for grid in grids]
    first = sum(r * c + fine_r * fine_c for r, c, fine_r, fine_c in every[: encoded.index])
    rows, columns, fine_rows, fine_columns = every[encoded.index]
    check_count(encoded, rows * columns + fine_rows * fine_columns)
    height, width = (int(v) for v in encoded.image_processor.pooling_size)
    patches = encoded.inputs["image_token_pooling"].reshape(-1, height, width)
    tiles, start = [], 0
    for grid in ((rows, columns), (fine_rows, fine_columns)):
        (top, left), (foot, right) = (
            _blank(patches[first + place]) for place in (start, start + grid[0] * grid[1] - 1)
        )
        cell_y = encoded.size[0] / (grid[0] * height - top - foot)
        cell_x = encoded.size[1] / (grid[1] * width - left - right)
        x1, y1 = encoded.size[1] + right * cell_x, encoded.size[0] + foot * cell_y
        tiles.append(Tile(start, grid, grid[1], (-left * cell_x, -top * cell_y, x1, y1)))
        start += grid[0] * grid[1]
    return tuple(tiles)


def _blank(patches: Any) -> tuple[int, int]:
    """Numbers of rows and of columns of a token's patches (h, w) that hold nothing but -1."""
    filled = patches >= 0
    return int((~filled.any(1)).sum()), int((~filled.any(0)).sum())


def shaped_views(encoded: Encoded) -> tuple[Tile, ...] | None:
    """Grids of the image, or of its parts and the whole: each of its own shape, patches merged in squares (LFM2-VL)."""
    shapes = view_shapes(encoded.inputs)
    if shapes is None:
        return None
    tokens = [int((ids == encoded.config.image_token_id).sum()) for ids in encoded.inputs["input_ids"]]
    merge = math.isqrt(sum(rows * columns for rows, columns in shapes) // sum(tokens))
    grids = [(rows // merge, columns // merge) for rows, columns in shapes]
    ends = [0, *accumulate(rows * columns for rows, columns in grids)]
    start = sum(tokens[: encoded.index])
    grids_of_example = [
        (end - start, grid) for end, grid in zip(ends, grids, strict=False) if 0 <= end - start < encoded.count
    ]
    boxes = encoded.views(encoded.size)
    if ends[-1] != sum(tokens) or len(grids_of_example) != len(boxes):
        raise unknown(encoded, f"in {len(boxes)} views of {[grid for _, grid in grids_of_example]} merged patches")
    check_count(encoded, sum(grid[0] * grid[1] for _, grid in grids_of_example))
    return tuple(Tile(first, grid, grid[1], box) for (first, grid), box in zip(grids_of_example, boxes, strict=True))


def several_views(encoded: Encoded) -> tuple[Tile, ...] | None:
    """Grids of the parts of the image and, before or after them, of the whole image (Idefics3, InternVL)."""
    pixels = encoded.inputs.get("pixel_values")
    canvas = hasattr(encoded.image_processor, "resize_to_max_canvas")  # a single view may be of one as well (Llama 4)
    alone = pixels is not None and pixels.ndim == 4 and len(pixels) == len(encoded.inputs["input_ids"])
    if pixels is None or (alone and not canvas):
        return None
    boxes = encoded.views(encoded.size)
    if len(boxes) == 1 and not canvas:
        return None
    per_view, remainder = divmod(encoded.count, len(boxes))
    if remainder:
        raise unknown(encoded, f"for {len(boxes)} views")
    return tuple(grid_of(encoded, i * per_view, per_view, encoded_part(encoded, box)) for i, box in enumerate(boxes))


def one_view(encoded: Encoded) -> tuple[Tile, ...]:
    """One grid over the image (PaliGemma), its centre crop (LLaVA-1.5), or its padded square (DeepSeek-VL)."""
    height, width = encoded.size
    settings = encoded.image_processor
    if encoded.inputs.get("pixel_values") is None:
        raise unknown(encoded, "of pictures that are not given as pixel_values")
    if getattr(settings, "do_pad", False) and hasattr(settings, "pad_to_square"):
        side, left, top = max(height, width), (max(height, width) - width) / 2, (max(height, width) - height) / 2
        box = (-left, -top, side - left, side - top)
    elif getattr(settings, "do_center_crop", False):
        box = kept_by_crop(settings, height, width)
    elif tuple(encoded.views(_PROBE)) == ((0.0, 0.0, float(_PROBE[1]), float(_PROBE[0])),):
        box = encoded.whole
    else:  # padded at the right or the foot; elsewhere is refused
        (box,) = encoded.views(encoded.size)
    return (grid_of(encoded, 0, encoded.count, encoded_part(encoded, box)),)


LAYOUTS: tuple[Callable[[Encoded], tuple[Tile, ...] | None], ...] = (
    local_views,
    unpadded_square,
    following_grid,
    placed_patches,
    pooled_patches,
    any_resolution,
    resized_grid,
    shaped_views,
    several_views,
    one_view,
)


def kept_by_crop(image_processor: Any, height: int, width: int) -> Box:
    """The box of the image that the processor's resize and centre crop keep; the whole image where it does not crop."""
    if not getattr(image_processor, "do_center_crop", False):
        return (0.0, 0.0, float(width), float(height))
    crop, target = dict(image_processor.crop_size), dict(image_processor.size)
    short = target.get("shortest_edge")
    if short is None:
        scale_y, scale_x = target["height"] / height, target["width"] / width
    else:
        scale_y = scale_x = short / min(height, width)
    kept_h, kept_w = crop["height"] / scale_y, crop["width"] / scale_x
    x0, y0 = (width - kept_w) / 2, (height - kept_h) / 2
    return (x0, y0, x0 + kept_w, y0 + kept_h)
