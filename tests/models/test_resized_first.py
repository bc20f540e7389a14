"""The first of two resizes, against what qwen-vl-utils 0.0.14 gave, and transformers 4.57's processor after it."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import Qwen2VLImageProcessorPil

from pixfound.models.geometry.pre_resize import ResizedFirst, first_size, resize

DEFAULT, EVALUATION = (4 * 28**2, 16384 * 28**2), (4 * 28**2, 1280 * 28**2)
# size; its size with the library's limits, and with RGA3's; CRC-32 of the former's pixels; the patches of Sa2VA with
# Qwen2.5-VL (14 pixels) and with Qwen3-VL (16 pixels), whose processors are given 512 to 2048 squares of 28 pixels
ORIGINAL = [
    ((40, 56), (56, 84), (56, 84), 753401108, (38, 56), (34, 50)),
    ((10, 400), (28, 392), (28, 392), 3321576717, (14, 170), (12, 150)),
    ((400, 10), (392, 28), (392, 28), 2868896400, (170, 14), (150, 12)),
    ((13, 13), (56, 56), (56, 56), 2746064878, (46, 46), (40, 40)),
    ((333, 517), (336, 504), (336, 504), 3855588770, (38, 56), (34, 50)),
    ((700, 1000), (700, 1008), (700, 1008), 1200938851, (50, 72), (44, 64)),
    ((1, 150), (28, 140), (28, 140), 961469373, (22, 102), (18, 90)),
    ((1999, 777), (1988, 784), (1596, 616), 1089531291, (142, 56), (124, 48)),
    ((3001, 4003), (2996, 4004), (840, 1148), 4021762801, (78, 104), (68, 90)),
    ((480, 640), (476, 644), (476, 644), 4188669313, (40, 54), (36, 48)),
    ((639, 427), (644, 420), (644, 420), 3670604508, (58, 38), (50, 32)),
    ((5000, 3000), (4620, 2772), (1288, 756), 2732978321, (116, 70), (102, 60)),
]


def picture(height: int, width: int) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([(7 * x + 3 * y) % 256, (x * y) % 256, (5 * y) % 256], -1).astype(np.uint8))


@pytest.mark.parametrize(("size", "first", "shown", "crc", "patches_14", "patches_16"), ORIGINAL)
def test_sizes_and_pixels_are_the_originals(
    size: tuple[int, int],
    first: tuple[int, int],
    shown: tuple[int, int],
    crc: int,
    patches_14: tuple[int, int],
    patches_16: tuple[int, int],
) -> None:
    assert first_size(*size, *DEFAULT) == first
    assert first_size(*size, *EVALUATION) == shown
    if size[0] * size[1] < 10**6:
        assert zlib.crc32(resize(picture(*size), *DEFAULT).tobytes()) == crc
    for side, patches in ((14, patches_14), (16, patches_16)):
        limits = {"shortest_edge": 512 * 28**2, "longest_edge": 2048 * 28**2}
        processor = ResizedFirst(Again(Qwen2VLImageProcessorPil(patch_size=side, merge_size=2, size=limits)), DEFAULT)
        if first[0] * first[1] < 10**6:
            assert tuple(processor([[picture(*size)]])[0][1:].tolist()) == patches


class Again:
    """A processor of images alone, which tells its grid."""

    def __init__(self, image_processor: Qwen2VLImageProcessorPil) -> None:
        self.image_processor = image_processor

    def __call__(self, images: list[list[Image.Image]]) -> np.ndarray:
        grids: np.ndarray = self.image_processor(images[0], return_tensors="np")["image_grid_thw"]
        return grids


def test_everything_else_is_the_processors() -> None:
    inner = Again(Qwen2VLImageProcessorPil())
    assert ResizedFirst(inner, DEFAULT).image_processor is inner.image_processor
    with pytest.raises(AttributeError, match="chat_template"):
        _ = ResizedFirst(inner, DEFAULT).chat_template


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_squares_within_the_limits(height: int, width: int) -> None:
    rows, columns = first_size(height, width, *EVALUATION)
    assert rows % 28 == columns % 28 == 0
    if max(height, width) / min(height, width) <= 200:  # beyond that the original raises
        assert EVALUATION[0] <= rows * columns <= EVALUATION[1]
