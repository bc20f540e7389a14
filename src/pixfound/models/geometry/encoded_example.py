"""One example of a processed batch, with the queries that layouts need (see `pixfound.models.geometry.layouts`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixfound.errors import UserError
from pixfound.types import Tile

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Encoded:
    """One example of a processed batch.

    inputs: the batch's tensors. index: the example's index in the batch. count: its number of image tokens.
    size: (H, W) of the image given to the processor, in pixels. image_processor, config: the model's.
    views: maps an image size (H, W) to the box of each view in it, in the order of the views.
    """

    inputs: Mapping[str, Any]
    index: int
    count: int
    size: tuple[int, int]
    image_processor: Any
    config: Any
    views: Callable[[tuple[int, int]], Sequence[Box]]

    @property
    def whole(self) -> Box:
        """The box of the whole image."""
        return (0.0, 0.0, float(self.size[1]), float(self.size[0]))

    @property
    def view_size(self) -> tuple[int, int]:
        """(H, W) of a view in pixels; (1, 1) where `pixel_values` holds no images (3, H, W), as with flat patches."""
        pixels = self.inputs.get("pixel_values")
        return (1, 1) if pixels is None or pixels.ndim < 4 else (int(pixels.shape[-2]), int(pixels.shape[-1]))


def view_shapes(inputs: Mapping[str, Any]) -> list[tuple[int, int]] | None:
    """(rows, columns) of patches of every view of a batch; None where the processor does not output them."""
    shapes = next((inputs[key] for key in ("spatial_shapes", "target_sizes") if key in inputs), None)
    return None if shapes is None else [(int(rows), int(columns)) for rows, columns in shapes]


def grid_of(encoded: Encoded, first: int, count: int, box: Box) -> Tile:
    """A grid of `count` tokens with the aspect ratio of a view, from token `first` on; UserError where none fits."""
    height, width = encoded.view_size
    rows = max(1, round(math.sqrt(count * height / width)))
    columns = count // rows
    if rows * columns != count or count == 1 or abs(rows * width / height - columns) >= 0.5:
        raise unknown(encoded, f"for a view of {height} x {width} pixels")
    return Tile(first, (rows, columns), columns, box)


def encoded_part(encoded: Encoded, box: Box) -> Box:
    """The part of a view's box that the vision tower encodes, without incomplete patches at the right and bottom."""
    patch = getattr(getattr(encoded.config, "vision_config", None), "patch_size", None)
    if patch is None or encoded.view_size == (1, 1):
        return box
    seen_y, seen_x = (side // side_of(patch) * side_of(patch) / side for side in encoded.view_size)
    x0, y0, x1, y1 = box
    return (x0, y0, x0 + (x1 - x0) * seen_x, y0 + (y1 - y0) * seen_y)


def side_of(patch: Any) -> int:
    """The side of a square patch in pixels, from an int or an (H, W)."""
    return int(patch if isinstance(patch, int) else patch[0])


def check_count(encoded: Encoded, expected: int) -> None:
    """UserError where the example's number of image tokens is not the `expected` one of its layout."""
    if expected != encoded.count:
        raise unknown(encoded, f"where the picture's grid makes {expected}")


def unknown(encoded: Encoded, why: str) -> UserError:
    """The UserError for an example that no layout fits. why: phrase after the number of image tokens."""
    return UserError(
        f"{encoded.count} image tokens {why} make no grid, and no other layout fits this processor: "
        "add the layout to pixfound.models.geometry.layouts, or use model.capture=none extraction=nulls"
    )
