"""Grey pictures as masks. The expected levels were read off OpenCV 4.14 (and are those of 5.0), once."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixfound.io.grayscale_masks import linear, linear_mask, mask_of, nearest, read_levels
from pixfound.types.masks import RLE, iou, union


def levels(*rows):
    return np.array(rows, dtype=np.uint8)


TRUTH = RLE.encode(levels([1, 1, 0], [0, 0, 0]).astype(np.bool_))


def by_bits(picture, truth):
    """The paper's IoU in so many words: bitwise, on integers."""
    kept = [1 if v == 255 else int(v) for v in picture.ravel()]
    gold = [int(v) for v in truth.decode().ravel()]
    if not any(kept) and not any(gold):
        return 1.0
    return sum(a & b for a, b in zip(kept, gold, strict=True)) / sum(a | b for a, b in zip(kept, gold, strict=True))


def test_threshold_and_levels():
    picture = levels([255, 1, 128], [7, 0, 127])
    assert mask_of(picture, (2, 3)).decode().tolist() == [[True, False, True], [False, False, False]]
    kept = mask_of(picture, (2, 3), grey="levels")
    assert kept.decode().tolist() == [[True, True, False], [True, False, True]]
    assert kept.area == 1 + 1 + 128 + 7 + 127
    assert iou(kept, TRUTH) == 2 / (1 + 1 + 128 + 7 + 127)
    assert RLE.from_json(kept.to_json()) == kept
    assert "surplus" not in mask_of(levels([255, 1]), (1, 2), grey="levels").to_json()


def test_a_surplus_survives_a_union_of_one():
    kept = mask_of(levels([255, 1, 128], [7, 0, 127]), (2, 3), grey="levels")
    assert union([kept], (2, 3)) == kept


def test_even_levels_alone_are_something_shown_that_never_fits():
    kept = mask_of(levels([2, 2, 0], [0, 0, 0]), (2, 3), grey="levels")
    assert kept.area == 4
    assert iou(kept, TRUTH) == 0
    assert iou(kept, RLE.empty((2, 3))) == 0  # not empty, so not rightly absent


@given(st.lists(st.sampled_from([0, 1, 2, 7, 128, 254, 255]), min_size=12, max_size=12), st.integers(0, 4095))
@settings(max_examples=60, deadline=None)
def test_levels_give_the_bitwise_iou(values, bits):
    picture = np.array(values, dtype=np.uint8).reshape(3, 4)
    truth = RLE.encode(np.array([bits >> i & 1 for i in range(12)], dtype=np.bool_).reshape(3, 4))
    assert iou(mask_of(picture, (3, 4), grey="levels"), truth) == by_bits(picture, truth)


def test_linear_eats_borders_and_nearest_does_not():
    picture = levels([0, 0, 0, 0], [0, 255, 255, 0], [0, 255, 255, 0], [0, 0, 0, 0])
    assert mask_of(picture, (8, 8)).area == 16
    assert mask_of(picture, (8, 8), resize="linear").area == 4
    assert mask_of(picture, (4, 4), resize="linear") == mask_of(picture, (4, 4))


def drawn(seed, size):
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, dtype=np.bool_)
    for _ in range(6):
        y, x = sorted(rng.integers(0, size[0] + 1, 2)), sorted(rng.integers(0, size[1] + 1, 2))
        mask[y[0] : y[1], x[0] : x[1]] ^= True
    return mask, np.where(mask, rng.integers(0, 256, size), 0).astype(np.uint8)


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


EXPECTED = {
    ((40, 60), (61, 33)): ("cb7b457d042eb4a2", "427c8a38ac57bb87", "25299a5f9a3c7d6e"),
    ((40, 60), (20, 30)): ("cc7432bfc1b9cdcb", "d6d063aa6f3518e1", "bbb9f2a16f72e723"),
    ((40, 60), (80, 120)): ("82fbc6307cd5aa61", "bf218c7801150fea", "6e9068d4c7f5971d"),
    ((37, 53), (200, 11)): ("3d5343426daf0819", "00597dcb1b2a66d1", "92ae9279f153cc21"),
    ((5, 7), (90, 64)): ("412d5593674099f8", "bea51394896e6c0d", "22d5dcf73f90b14b"),
    ((120, 90), (7, 90)): ("574e9c5e6286bb3a", "574e9c5e6286bb3a", "2bf78bf5ae54d44a"),
    ((64, 48), (64, 100)): ("1beb8fbb6f78f213", "9c7a83737d965bf1", "9c8e2d646588a0eb"),
    ((3, 3), (1, 1)): ("6e340b9cffb37a98", "6e340b9cffb37a98", "df3f619804a92fdb"),
}


@pytest.mark.parametrize(("size", "wanted"), EXPECTED)
def test_the_same_levels_as_opencv(size, wanted):
    mask, grey = drawn(sum(size), size)
    found = (linear(mask, wanted).astype(np.uint8), linear_mask(mask, wanted).astype(np.uint8), linear(grey, wanted))
    assert tuple(digest(array) for array in found) == EXPECTED[size, wanted]


def test_nearest_takes_pixels_and_keeps_their_type():
    assert nearest(levels([1, 2], [3, 4]), (4, 2)).tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert nearest(np.eye(2, dtype=np.bool_), (4, 4)).dtype == np.bool_


@pytest.mark.parametrize(
    ("mode", "pixel", "level"),
    [
        ("L", 77, 77),
        ("1", 255, 255),
        ("LA", (77, 3), 77),
        ("RGB", (255, 0, 0), 76),
        ("RGB", (10, 200, 30), 123),
        ("RGBA", (10, 200, 30, 0), 123),
        ("RGB", (9, 9, 9), 9),
        ("I;16", 0x1234, 0x12),
    ],
)
def test_every_mode_is_read_as_by_opencv(tmp_path, mode, pixel, level):
    Image.new(mode, (3, 2), pixel).save(tmp_path / "m.png")
    found = read_levels(tmp_path / "m.png")
    assert found.dtype == np.uint8
    assert found.tolist() == [[level] * 3] * 2


@pytest.mark.parametrize("mode", ["I", "F"])
def test_levels_without_a_known_range_are_refused(tmp_path, mode):
    """Of 255 in 32 bits, the upper bits are 0: it would be a mask of nothing."""
    Image.new(mode, (3, 2), 255).save(tmp_path / "m.tif")
    with pytest.raises(OSError, match="grey levels have no known range; save it with 8 bits a pixel"):
        read_levels(tmp_path / "m.tif")


def test_a_jpeg_gives_its_luminance(tmp_path):
    Image.new("RGB", (16, 16), (255, 255, 255)).save(tmp_path / "m.jpg")
    assert set(read_levels(tmp_path / "m.jpg").ravel().tolist()) == {255}
