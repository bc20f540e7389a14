"""`image_layout=pad` against the padded square made by hand: mean colour, image in the middle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixfound.errors import UserError
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Prompt


@pytest.mark.parametrize("size", [(40, 64), (64, 41), (50, 50), (1, 7)])
def test_the_square_is_padded_with_the_mean_colour(size: tuple[int, int], family_folder: Callable[[str], Path]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    side = max(size)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = (122, 116, 104)  # CLIP's mean, times 255, cut off
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    square[top : top + size[0], left : left + size[1]] = pixels
    folder = str(family_folder("llava"))
    prompt = Prompt("x", "open", "v", "What?")
    padded = HuggingFace(folder, image_layout="pad")
    found = padded._encoder.encode([(Image.fromarray(pixels), prompt)])
    expected = HuggingFace(folder)._encoder.encode([(Image.fromarray(square), prompt)])
    np.testing.assert_array_equal(found["pixel_values"], expected["pixel_values"])
    (tile,) = padded.tiles(Image.fromarray(pixels))
    assert tile.box == (-left, -top, side - left, side - top)


def test_another_layout_is_refused() -> None:
    with pytest.raises(UserError, match=r"image_layout=stretch: must be one of"):
        HuggingFace("embedded:tiny_llava", image_layout="stretch")  # type: ignore[arg-type]
