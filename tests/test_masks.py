from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from pixfound.masks import RLE, iou, union
from tests.support.examples import drawn

sizes = st.tuples(st.integers(1, 13), st.integers(1, 13))
masks = sizes.flatmap(lambda size: arrays.arrays(np.bool_, size))
pairs = sizes.flatmap(lambda size: st.tuples(arrays.arrays(np.bool_, size), arrays.arrays(np.bool_, size)))


def test_counts_are_runs_down_the_columns_starting_outside():
    mask = np.zeros((4, 4), dtype=np.bool_)
    mask[1:3, 1] = True  # column-major runs: 5 outside, 2 inside, 9 outside
    assert RLE.encode(mask).counts == "529"  # each below 16, so one character each: chr(48 + run)


@pytest.mark.parametrize(
    ("rows", "area"),
    [
        (("....", "....", "....", "...."), 0),
        (("####", "####", "####", "####"), 16),
        (("#...", "....", "....", "...#"), 2),
        ((".##.", "####", "####", ".##."), 12),
        (("#.#.", ".#.#", "#.#.", ".#.#"), 8),
    ],
)
def test_hand_drawn_masks_keep_their_pixels_and_area(rows, area):
    rle = drawn(*rows)
    assert ["".join(".#"[int(v)] for v in row) for row in rle.decode()] == list(rows)
    assert rle.area == area
    assert rle.size == (4, 4)


def test_axis_0_is_y():
    rle = drawn("###", "...")
    assert rle.size == (2, 3)
    assert rle.decode().sum(axis=1).tolist() == [3, 0]


@given(masks)
@settings(max_examples=80, deadline=None)
def test_round_trips(mask):
    rle = RLE.encode(mask)
    np.testing.assert_array_equal(rle.decode(), mask)
    assert rle.decode().dtype == np.bool_
    assert rle.area == mask.sum()
    assert RLE.from_json(rle.to_json()) == rle
    assert rle.to_json() == {"size": list(mask.shape), "counts": rle.counts}


@pytest.mark.parametrize("height", [127, 128, 129, 300])
def test_masks_of_many_rows_are_packed_as_pycocotools_does_it_at_once(height):
    mask = np.random.default_rng(height).random((height, 70)) < 0.5
    for seen in (mask, mask[:, ::2], np.asfortranarray(mask)):
        counts = coco.encode(np.asfortranarray(seen, np.uint8))["counts"].decode()
        assert RLE.encode(seen).counts == counts


@given(masks)
@settings(max_examples=30, deadline=None)
def test_memory_order_does_not_matter(mask):
    assert RLE.encode(np.asfortranarray(mask)) == RLE.encode(np.ascontiguousarray(mask))
    assert RLE.encode(mask[::-1]) == RLE.encode(mask[::-1].copy())


def test_empty_and_full():
    assert not RLE.empty((3, 5)).decode().any()
    assert RLE.full((3, 5)).decode().all()
    assert RLE.empty((3, 5)).decode().shape == (3, 5)
    assert (RLE.empty((3, 5)).area, RLE.full((3, 5)).area) == (0, 15)


def test_polygons():
    square, bar = [1, 1, 3, 1, 3, 3, 1, 3], [3, 0, 4, 0, 4, 4, 3, 4]
    assert RLE.from_polygons([square], (4, 4)) == drawn("....", ".##.", ".##.", "....")
    assert RLE.from_polygons([square, bar], (4, 4)) == drawn("...#", ".###", ".###", "...#")
    assert RLE.from_polygons([square, square], (4, 4)).area == 4
    assert RLE.from_polygons([], (4, 6)) == RLE.empty((4, 6))
    assert RLE.from_polygons([[0, 0, 6, 0, 6, 2, 0, 2]], (4, 6)) == drawn("######", "######", "......", "......")
    assert RLE.from_polygons([[2, -9, 9, -9, 9, 9, 2, 9]], (2, 4)) == drawn("..##", "..##")  # cut at the border


@pytest.mark.parametrize("polygon", [[], [1, 1], [1, 1, 2, 2], [0, 0, 4, 0, 4]])
def test_what_is_no_polygon_is_an_error(polygon):
    """Two points are no polygon (COCO's tool reads four numbers as a box), nor is an odd count of numbers."""
    with pytest.raises(ValueError, match="polygon"):
        RLE.from_polygons([polygon], (4, 4))
    with pytest.raises(ValueError, match="polygon"):
        RLE.from_polygons([[0, 0, 4, 0, 4, 4], polygon], (4, 4))


@given(sizes.flatmap(lambda size: st.lists(arrays.arrays(np.bool_, size), min_size=1, max_size=4)))
@settings(max_examples=40, deadline=None)
def test_union_is_or(parts):
    np.testing.assert_array_equal(union(map(RLE.encode, parts), parts[0].shape).decode(), np.any(parts, axis=0))


def test_union_of_none_is_empty():
    assert union([], (2, 3)) == RLE.empty((2, 3))
    with pytest.raises(ValueError, match="different sizes"):
        union([RLE.empty((2, 3))], (3, 2))


@given(pairs)
@settings(max_examples=80, deadline=None)
def test_iou_is_intersection_over_union(pair):
    a, b = pair
    together = np.count_nonzero(a | b)
    expected = np.count_nonzero(a & b) / together if together else 1.0
    assert iou(RLE.encode(a), RLE.encode(b)) == pytest.approx(expected)
    assert iou(RLE.encode(b), RLE.encode(a)) == pytest.approx(expected)


def test_iou_by_hand():
    left, top = drawn("##..", "##..", "##..", "##.."), drawn("####", "####", "....", "....")
    assert iou(left, top) == pytest.approx(4 / 12)
    assert iou(left, left) == 1.0
    assert iou(left, drawn("..##", "..##", "..##", "..##")) == 0.0


def test_iou_of_empty_masks():
    empty, one = RLE.empty((4, 4)), drawn("#...", "....", "....", "....")
    assert iou(empty, empty) == 1.0
    assert iou(empty, one) == 0.0
    assert iou(one, empty) == 0.0


def test_iou_of_different_sizes_names_both():
    with pytest.raises(ValueError, match=r"\(4, 5\) and \(5, 4\)"):
        iou(RLE.empty((4, 5)), RLE.empty((5, 4)))


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4), np.float32),
        np.zeros(4, np.bool_),
        np.zeros((1, 4, 4), np.bool_),
        np.zeros((), np.bool_),
        np.zeros((0, 4), np.bool_),
        np.zeros((4, 0), np.bool_),
    ],
    ids=lambda mask: f"{mask.dtype}{mask.shape}",
)
def test_only_2d_bool_arrays_are_masks(mask):
    with pytest.raises(ValueError, match="mask"):
        RLE.encode(mask)


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4), (4,), (4, 4, 4)])
def test_sizes_are_checked(size):
    with pytest.raises(ValueError, match="height, width"):
        RLE(size, "")


def test_contains_takes_x_then_y():
    rle = drawn("...#", "....", "....")  # 3 high, 4 wide
    assert rle.contains((3, 0))
    assert not rle.contains((0, 3))


@pytest.mark.parametrize(
    ("point", "inside"),
    [
        ((0, 0), True),
        ((0.99, 0.99), True),  # still the first pixel
        ((3.99, 2.99), True),  # the last one
        ((4.0, 0), False),
        ((0, 3.0), False),
        ((-1, 0), False),
        ((0, -1), False),
        ((-0.5, 0), False),  # outside of the image, by half a pixel
        ((0, -0.01), False),
    ],
)
def test_contains_at_the_borders(point, inside):
    assert RLE.full((3, 4)).contains(point) is inside


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 6), st.integers(1, 6))))
@settings(max_examples=60, deadline=None)
def test_every_pixel_is_inside_where_the_mask_says_so(mask):
    packed = RLE.encode(mask)
    for (y, x), inside in np.ndenumerate(mask):
        assert packed.contains((x + 0.5, y)) == inside
