"""What a processor does with a picture, read off a picture that says where its pixels come from."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixfound.errors import UserError
from pixfound.models.geometry.probe import ramps, view_boxes, views_of

SIDE = 16


def cut(size: tuple[int, int], rows: int, columns: int, thumbnail: str) -> Any:
    """(V, 3, 16, 16) what a processor that cuts a picture into rows x columns views gives, scaled as one would."""
    large = ramps(*size).resize((SIDE * columns, SIDE * rows), Image.Resampling.BICUBIC)
    views = [
        large.crop((SIDE * c, SIDE * r, SIDE * (c + 1), SIDE * (r + 1))) for r in range(rows) for c in range(columns)
    ]
    whole = ramps(*size).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    views = {"first": [whole, *views], "last": [*views, whole], "none": views}[thumbnail]
    pixels = np.stack([np.asarray(view, dtype=np.float32).transpose(2, 0, 1) for view in views])
    return (pixels / 255 - 0.48) / 0.27


def boxes_of(pixels: Any, size: tuple[int, int]) -> Any:
    return view_boxes(views_of({"pixel_values": pixels}), size)


@given(
    st.tuples(st.integers(40, 300), st.integers(40, 300)),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from(["first", "last", "none"]),
)
@settings(max_examples=60, deadline=None)
def test_the_parts_are_found_in_order(size: tuple[int, int], rows: int, columns: int, thumbnail: str) -> None:
    if rows * columns == 1:
        thumbnail = "none"
    boxes = boxes_of(cut(size, rows, columns, thumbnail), size)
    height, width = size
    if thumbnail != "none":
        assert boxes[0 if thumbnail == "first" else -1] == (0, 0, width, height)
        boxes = boxes[1:] if thumbnail == "first" else boxes[:-1]
    assert len(boxes) == rows * columns
    for i, box in enumerate(boxes):
        r, c = divmod(i, columns)
        expected = (c / columns * width, r / rows * height, (c + 1) / columns * width, (r + 1) / rows * height)
        assert box == pytest.approx(expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_pictures_of_a_few_pixels_are_cut_as_well(size: tuple[int, int]) -> None:
    """Where one row or column of pixels is all there is, any arrangement along it gives the same map."""
    boxes = boxes_of(cut(size, 1 if size[0] < size[1] else 3, 3 if size[0] < size[1] else 1, "last"), size)
    assert len(boxes) == 4
    assert boxes[-1] == (0, 0, size[1], size[0])
    for a, b in pairwise(boxes[:-1]):
        assert b[0] >= a[2] or b[1] >= a[3]


def test_parts_that_are_not_equal_are_refused() -> None:
    pixels = cut((96, 96), 2, 2, "none")
    with pytest.raises(UserError, match="cut into 3 parts"):
        boxes_of(pixels[[0, 1, 3]], (96, 96))


@given(
    st.tuples(st.integers(8, 300), st.integers(8, 300)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, SIDE - 1),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_parts_of_a_canvas_reach_past_the_image(
    size: tuple[int, int], rows: int, columns: int, bar: int, below: bool
) -> None:
    """A picture in the upper left corner of a canvas, of which the parts have a black bar at the right or the foot."""
    high, wide = SIDE * rows - bar * below, SIDE * columns - bar * (not below)
    canvas = Image.new("RGB", (SIDE * columns, SIDE * rows))
    canvas.paste(ramps(*size).resize((wide, high), Image.Resampling.BICUBIC), (0, 0))
    parts = [
        canvas.crop((SIDE * c, SIDE * r, SIDE * (c + 1), SIDE * (r + 1))) for r in range(rows) for c in range(columns)
    ]
    if rows * columns > 1:
        parts.append(ramps(*size).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    boxes = boxes_of(np.stack([np.asarray(part, dtype=np.float32).transpose(2, 0, 1) for part in parts]), size)
    y, x = size[0] / high * SIDE, size[1] / wide * SIDE
    for i in range(rows * columns):
        r, c = divmod(i, columns)
        assert boxes[i] == pytest.approx((c * x, r * y, (c + 1) * x, (r + 1) * y))
    assert boxes[rows * columns :] == (((0, 0, size[1], size[0]),) if rows * columns > 1 else ())


def test_a_canvas_with_the_image_in_its_middle_is_refused() -> None:
    canvas = Image.new("RGB", (32, 32))
    canvas.paste(ramps(60, 30).resize((16, 32)), (8, 0))
    with pytest.raises(UserError, match="not into its upper left corner"):
        boxes_of(np.asarray(canvas, dtype=np.float32).transpose(2, 0, 1)[None], (60, 30))


@pytest.mark.parametrize("bar", [0, 3])
def test_patches_of_a_padded_picture_are_refused(bar: int) -> None:
    """Kimi K2.5 fills a picture up to whole patches, so that its grid reaches past it; Qwen-VL resizes it to them."""
    canvas = Image.new("RGB", (48, 32))
    canvas.paste(ramps(173, 221).resize((48 - bar, 32)), (0, 0))
    pixels = np.asarray(canvas, dtype=np.float32).transpose(2, 0, 1).reshape(3, 4, 8, 6, 8)
    inputs = {"pixel_values": pixels.transpose(1, 3, 0, 2, 4).reshape(24, -1), "image_grid_thw": np.array([[1, 4, 6]])}
    if not bar:
        assert view_boxes(views_of(inputs), (173, 221)) == ((0, 0, 221, 173),)
        return
    with pytest.raises(UserError, match="filled up with padding before it is cut into patches"):
        view_boxes(views_of(inputs), (173, 221))
