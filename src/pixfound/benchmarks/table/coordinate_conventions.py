"""Audit of the convention that a table's boxes are declared to have, over all of them.

A convention is an order (xyxy, xywh), a scale (pixels, 0-1, 0-1000) and a frame (the image, the square around it).
Shapes: `B` boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_SPECK = 2  # pixels: a box of less in a direction is taken for one that is read in a wrong convention
_SURE, _WRONG = 0.9, 0.5  # shares of boxes that fit


class Convention(NamedTuple):
    """A convention of boxes: the order, scale and frame of their four numbers."""

    order: str
    scale: str
    frame: str


CONVENTIONS = tuple(
    Convention(*names)
    for names in product(("xyxy", "xywh"), ("pixels", "0-1", "0-1000"), ("image", "square"))
    if names[1:] != ("pixels", "square")
)


def read_boxes(boxes: Any, sizes: Any, convention: Convention) -> npt.NDArray[np.float64]:
    """(B, 4) corners in pixels of the image. boxes: (B, 4) as written; sizes: (B, 2) of the images, (H, W)."""
    corners = np.array(boxes, dtype=np.float64)
    extent = np.asarray(sizes, dtype=np.float64)[:, ::-1]  # (W, H)
    if convention.order == "xywh":
        corners[:, 2:] += corners[:, :2]
    square = convention.frame == "square"
    side = np.repeat(extent.max(axis=1, keepdims=True), 2, axis=1) if square else extent
    if convention.scale != "pixels":
        corners *= np.tile(side, 2) / (1000 if convention.scale == "0-1000" else 1)
    return corners - np.tile((side - extent) / 2, 2) if square else corners


def fitting_share(boxes: Any, sizes: Any, convention: Convention) -> float:
    """The share of the boxes that lie inside their images, up to 1 % of it, and are no specks."""
    corners, extent = read_boxes(boxes, sizes, convention), np.asarray(sizes, dtype=np.float64)[:, ::-1]
    slack = 1 + 0.01 * extent.max(axis=1, keepdims=True)
    inside = (corners[:, :2] >= -slack).all(axis=1) & (corners[:, 2:] <= extent + slack).all(axis=1)
    large = (corners[:, 2:] - corners[:, :2] >= np.minimum(_SPECK, extent / 2)).all(axis=1)
    return float((inside & large).mean())


def other_convention(boxes: Sequence[Sequence[float]], sizes: Sequence[tuple[int, int]], declared: Convention) -> str:
    """Advice where most boxes fit another convention than the declared one; "" otherwise.

    Those that fit as well are named, the nearest first: in small images thousandths and pixels cannot be distinguished.
    """
    if not boxes:
        return ""
    shares = {convention: fitting_share(boxes, sizes, convention) for convention in CONVENTIONS}
    best = max(shares.values())
    if shares[declared] >= _WRONG or best < _SURE:
        return ""
    fits = [convention for convention in CONVENTIONS if shares[convention] >= best - 0.01]
    fits.sort(key=lambda convention: len(list(changes(convention, declared))))
    options = " ".join(f"benchmark.columns.region.{name}={value}" for name, value in changes(fits[0], declared))
    return (
        f"{shares[declared]:.0%} of {len(boxes)} boxes lie in their images as {', '.join(declared)}, but {best:.0%} as "
        f"{' or as '.join(', '.join(fit) for fit in fits)}; type {options}"
    )


def changes(convention: Convention, declared: Convention) -> Iterator[tuple[str, str]]:
    """The (option, value) pairs in which a convention differs from the declared one."""
    for name, value, other in zip(Convention._fields, convention, declared, strict=True):
        if value != other:
            yield name, value
