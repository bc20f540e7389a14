"""The rim around a mask in a picture, against PIL's own filter."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageFilter

from pixfound.io.overlays import without_rim
from pixfound.report.panels import overlay

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
MASKS = SIZES.flatmap(
    lambda size: arrays.arrays(np.bool_, size, elements=st.booleans(), fill=st.sampled_from([True, False]))
)


@given(MASKS, st.integers(1, 20))
def test_what_is_left_without_the_rim_is_what_the_slow_filter_leaves(mask: Any, width: int) -> None:
    slow = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(2 * width + 1))
    assert (without_rim(mask, width) == (np.asarray(slow) == 255)).all()


def test_a_hole_of_a_pixel_is_seen_by_the_widest_rim() -> None:
    mask = np.ones((600, 600), dtype=np.bool_)
    mask[300, 300] = False
    left = without_rim(mask, 254)
    assert not left[46:555, 46:555].any()
    assert left.sum() == 600**2 - 509**2


def test_an_overlay_has_a_white_rim_within_the_mask() -> None:
    mask = np.zeros((9, 9), dtype=np.bool_)
    mask[2:7, 2:7] = True
    pixels = np.asarray(overlay(Image.new("RGB", (9, 9)), mask, (200, 100, 0)))
    inner = np.zeros_like(mask)
    inner[3:6, 3:6] = True
    assert (pixels[mask & ~inner] == 255).all()
    assert (pixels[inner] == (110, 55, 0)).all()
    assert (pixels[~mask] == 0).all()
