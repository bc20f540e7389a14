"""Pictures without a second copy of them."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from pixfound import pixels
from pixfound.pixels import as_rgb, picture_keys, pixel_hash


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (3, 7), (64, 64)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1"])
def test_the_hash_is_that_of_the_bytes_however_they_are_cut(
    size: tuple[int, int], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode)
    for part in (1, 10, 2**22):
        monkeypatch.setattr(pixels, "_PART", part)
        assert pixel_hash(image).digest() == hashlib.sha256(image.tobytes()).digest()
    assert as_rgb(image).mode == "RGB" and (as_rgb(image) is image) == (mode == "RGB")


def test_equal_pictures_have_one_key_and_a_wide_one_is_no_tall_one() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    one, same, tall = Image.fromarray(pixels), Image.fromarray(pixels), Image.fromarray(pixels.reshape(6, 4, 3))
    grey, wide_grey = Image.new("L", (6, 4)), Image.new("L", (6, 4), 1)
    first, second, again, *others = picture_keys([one, same, one, tall, grey, wide_grey])
    assert first == second == again
    assert len({first, *others}) == 4
