from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn.functional import interpolate

from pixfound.extractors import attention_maps
from pixfound.extractors.attention_maps import image_map, image_peak, peak, peaks, token_rows
from pixfound.types import Generation, Tile


def upsampled(grid, size):
    """The oracle: torch's own bicubic interpolation, (rows, columns) -> size."""
    found = interpolate(torch.tensor(grid, dtype=torch.float64)[None, None], size, mode="bicubic", align_corners=False)
    return found[0, 0].numpy()


def tile(grid, box, first=0, stride=None):
    return Tile(first, grid, stride or grid[1], box)


def whole(grid, size):
    return tile(grid, (0.0, 0.0, float(size[1]), float(size[0])))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("size", [(33, 47), (50, 20), (7, 7), (1, 9), (3, 2), (64, 65)])
@pytest.mark.parametrize("grid", [(4, 4), (3, 7), (1, 1), (24, 24)])
def test_a_tile_over_the_whole_image_is_torchs_bicubic(rng, grid, size):
    values = rng.normal(size=grid).astype(np.float32)
    found = image_map(values.ravel(), [whole(grid, size)], size)
    assert found.shape == size
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, upsampled(values, size), atol=1e-5)


@pytest.mark.parametrize("size", [(31, 48), (48, 31), (40, 40), (17, 60)])
def test_a_padded_square_is_upsampled_to_the_long_side_and_cropped(rng, size):
    """arXiv 2502.04192: bicubic to max(H, W) squared, then the centre of H x W."""
    height, width = size
    side = max(size)
    left, top = (side - width) // 2, (side - height) // 2
    values = rng.normal(size=(24, 24)).astype(np.float32)
    found = image_map(values.ravel(), [tile((24, 24), (-left, -top, side - left, side - top))], size)
    expected = upsampled(values, (side, side))[top : top + height, left : left + width]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("size", "box"), [((20, 31), (5, 0, 25, 20)), ((31, 20), (0, 5, 20, 25))])
def test_a_centre_crop_maps_its_own_pixels_and_leaves_the_rest_lowest(rng, size, box):
    values = rng.normal(size=(4, 4)).astype(np.float32)
    found = image_map(values.ravel(), [tile((4, 4), box)], size)
    inside = np.zeros(size, np.bool_)
    inside[box[1] : box[3], box[0] : box[2]] = True
    np.testing.assert_allclose(found[inside], upsampled(values, (20, 20)).ravel(), atol=1e-5)
    assert (found[~inside] <= found[inside].min()).all()


@given(
    arrays.arrays(np.float32, (3, 3), elements=st.floats(-1, 1, width=32)),
    st.integers(0, 6),
    st.integers(0, 6),
)
@settings(max_examples=80, deadline=None)
def test_a_pixel_outside_of_the_tiles_is_never_the_peak(values, x0, y0):
    x, y = peak(image_map(values.ravel(), [tile((3, 3), (x0, y0, x0 + 5, y0 + 5))], (11, 11)))
    assume(np.ptp(values) > 1e-3)
    assert (x0 <= x < x0 + 5) and (y0 <= y < y0 + 5)


def test_not_even_where_all_values_are_equal():
    x, y = peak(image_map(np.full(9, 0.25, np.float32), [tile((3, 3), (3.0, 3.0, 8.0, 8.0))], (11, 11)))
    assert (3 <= x < 8) and (3 <= y < 8)


def test_rows_may_end_in_separators(rng):
    values = rng.normal(size=(3, 5)).astype(np.float32)
    flat = np.concatenate([np.full(2, 99.0), np.pad(values, ((0, 0), (0, 1)), constant_values=99.0).ravel()])
    found = image_map(flat.astype(np.float32), [Tile(2, (3, 5), 6, (0, 0, 15, 9))], (9, 15))
    np.testing.assert_allclose(found, upsampled(values, (9, 15)), atol=1e-5)


def test_overlapping_tiles_are_averaged(rng):
    a, b = rng.normal(size=(2, 4, 4)).astype(np.float32)
    left, right = tile((4, 4), (0.0, 0.0, 8.0, 8.0)), tile((4, 4), (4.0, 0.0, 12.0, 8.0), first=16)
    found = image_map(np.concatenate([a.ravel(), b.ravel()]), [left, right], (8, 12))
    one, two = upsampled(a, (8, 8)), upsampled(b, (8, 8))
    np.testing.assert_allclose(found[:, :4], one[:, :4], atol=1e-5)
    np.testing.assert_allclose(found[:, 4:8], (one[:, 4:] + two[:, :4]) / 2, atol=1e-5)
    np.testing.assert_allclose(found[:, 8:], two[:, 4:], atol=1e-5)


def test_neighbouring_tiles_leave_no_gap_at_fractional_borders():
    halves = [tile((2, 2), (0.0, 0.0, 5.5, 8.0)), tile((2, 2), (5.5, 0.0, 11.0, 8.0), first=4)]
    found = image_map(np.array([1] * 4 + [2] * 4, np.float32), halves, (8, 11))
    assert sorted(set(found.ravel().round(5).tolist())) == [1.0, 2.0]  # no mean of both, no pixel without a tile
    assert (found[:, :5] == 1).all() and (found[:, 6:] == 2).all()


@pytest.mark.parametrize("cell", [(0, 0), (1, 3), (3, 1), (2, 2)])
def test_the_peak_lies_in_the_hottest_cell(cell):
    values = np.zeros((4, 4), np.float32)
    values[cell] = 1
    x, y = peak(image_map(values.ravel(), [whole((4, 4), (40, 80))], (40, 80)))
    assert (int(y // 10), int(x // 20)) == cell


def test_peak_is_x_then_y_and_the_first_of_equals():
    heat = np.zeros((3, 5), np.float32)
    heat[1, 4] = heat[2, 0] = 7
    assert peak(heat) == (4.0, 1.0)
    assert peak(np.zeros((3, 5), np.float32)) == (0.0, 0.0)


@given(arrays.arrays(np.float32, (4, 5), elements=st.integers(0, 3)))
def test_peaks_are_the_local_maxima_from_high_to_low(heat):
    found = peaks(heat)
    assert found[0] == peak(heat)
    expected = []
    for y, x in np.ndindex(heat.shape):
        near = [(v, u) for v in range(max(0, y - 1), min(4, y + 2)) for u in range(max(0, x - 1), min(5, x + 2))]
        if all(heat[p] < heat[y, x] or (heat[p] == heat[y, x] and p >= (y, x)) for p in near):
            expected.append((-heat[y, x], y, x))
    assert found == [(x, y) for _, y, x in sorted(expected)]


def said(rows, penultimate):
    return Generation("", (1, 1), attention=np.array(rows, np.float32), penultimate=np.array(penultimate, np.float32))


ROWS, BEFORE = [[1, 0], [3, 2], [5, 10]], [7, 6]  # three tokens, two image tokens; column means 3 and 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"subtract_mean": False}, [[1, 0], [3, 2], [5, 10]]),
        ({}, [[-2, -4], [0, -2], [2, 6]]),
        ({"row": "self", "subtract_mean": False}, [[3, 2], [5, 10]]),
        ({"row": "self"}, [[0, -2], [2, 6]]),  # the mean is over all rows all the same
        ({"step0": "penultimate", "subtract_mean": False}, [[7, 6], [3, 2], [5, 10]]),
        ({"step0": "penultimate"}, [[2, 0], [-2, -4], [0, 4]]),  # column means 5 and 6
        ({"step0": "penultimate", "row": "self"}, [[-2, -4], [0, 4]]),
        ({"step0": "penultimate", "row": "self", "subtract_mean": False}, [[3, 2], [5, 10]]),
    ],
)
def test_token_rows_by_hand(options, expected):
    generation = said(ROWS, BEFORE)
    np.testing.assert_allclose(token_rows(generation, **options), expected)
    np.testing.assert_array_equal(generation.attention, ROWS)  # left as it was


def test_a_single_token_has_no_row_of_its_own():
    assert token_rows(said([[1, 2]], [0, 0]), row="self", subtract_mean=False).shape == (0, 2)


OVERLAPPING = [tile((4, 4), (0.0, 0.0, 20.0, 16.0)), tile((3, 5), (12.0, 3.0, 28.0, 19.0), first=16)]


@pytest.mark.parametrize("band", [1, 31, 100, 31 * 23])
@pytest.mark.parametrize("seed", range(5))
def test_a_map_made_in_bands_is_the_map_and_its_peak_needs_no_map(band, seed, monkeypatch):
    values = np.random.default_rng(seed).normal(size=31).astype(np.float32)
    whole_map = image_map(values, OVERLAPPING, (23, 31))
    monkeypatch.setattr(attention_maps, "_BAND", band)
    np.testing.assert_allclose(image_map(values, OVERLAPPING, (23, 31)), whole_map, rtol=2e-7)
    assert image_peak(values, OVERLAPPING, (23, 31)) == peak(whole_map)


@given(arrays.arrays(np.float32, 9, elements=st.sampled_from([-1.0, 0.0, 0.5])), st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_the_peak_alone_is_the_maps_with_equals_and_pixels_outside(values, x0, y0):
    tiles = [tile((3, 3), (x0, y0, x0 + 5, y0 + 5))]
    assert image_peak(values, tiles, (11, 11)) == peak(image_map(values, tiles, (11, 11)))


def test_without_tiles_nothing_stands_out():
    assert peak(image_map(np.zeros(0, np.float32), [], (3, 4))) == (0.0, 0.0)
    assert image_peak(np.zeros(0, np.float32), [], (3, 4)) == (0.0, 0.0)
