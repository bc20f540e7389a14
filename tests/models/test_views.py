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
from pixfound.models.views import ramps, view_boxes

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
    boxes = view_boxes(cut(size, rows, columns, thumbnail), size)
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
    boxes = view_boxes(cut(size, 1 if size[0] < size[1] else 3, 3 if size[0] < size[1] else 1, "last"), size)
    assert len(boxes) == 4
    assert boxes[-1] == (0, 0, size[1], size[0])
    for a, b in pairwise(boxes[:-1]):
        assert b[0] >= a[2] or b[1] >= a[3]


def test_parts_that_are_not_equal_are_refused() -> None:
    pixels = cut((96, 96), 2, 2, "none")
    with pytest.raises(UserError, match="cut into 3 parts"):
        view_boxes(pixels[[0, 1, 3]], (96, 96))
