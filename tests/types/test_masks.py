from __future__ import annotations

import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from pixfound.types.masks import RLE, iou, overlap, union
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


def runs_of(mask):
    """The lengths of a mask's runs, column by column, outside first."""
    flat = mask.ravel(order="F")
    ends = [*(np.flatnonzero(flat[1:] != flat[:-1]) + 1), flat.size]
    runs = [int(end - start) for start, end in zip([0, *ends], ends, strict=False)]
    return [0, *runs] if flat[0] else runs


def string_of(runs):
    """COCO's string of runs, written out: five bits a character, from the fourth on as a difference."""
    text = ""
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + (bits | 32 if more else bits))
            if not more:
                break
    return text


def split(draw, runs):
    """The same mask with runs of no pixels in between."""
    found = []
    for run in runs:
        cut = draw(st.integers(0, run))
        found += [cut, 0, run - cut] if draw(st.booleans()) else [run]
    return found


@given(masks, st.data())
@settings(max_examples=150, deadline=None)
def test_runs_from_outside_are_read_whatever_they_are_written_in(mask, data):
    size, runs = list(mask.shape), runs_of(mask)
    gaps = split(data.draw, runs)
    assert string_of(runs) == RLE.encode(mask).counts
    for counts in (runs, string_of(runs), gaps, string_of(gaps)):
        assert RLE.from_coco({"size": size, "counts": counts}, mask.shape) == RLE.encode(mask)
        assert RLE.from_coco({"size": size, "counts": counts}) == RLE.encode(mask)


def test_runs_of_no_pixels_do_not_reach_pycocotools():
    """It ends a union, and an IoU, where two such runs meet: here it says 1.0."""
    one = RLE.from_coco({"size": [1, 8], "counts": [2, 2, 0, 0, 4]})
    other = RLE.from_coco({"size": [1, 8], "counts": [2, 2, 0, 0, 1, 2, 1]})
    assert iou(one, other) == 0.5
    assert union([one, other], (1, 8)) == drawn("..##.##.")


@given(sizes, st.lists(st.integers(-3, 40), max_size=8))
@settings(max_examples=150, deadline=None)
def test_runs_that_do_not_add_up_are_an_error(size, runs):
    if sum(runs) == size[0] * size[1] and min(runs, default=0) >= 0:
        return
    for counts in (runs, string_of(runs)):
        with pytest.raises(ValueError, match=r"its runs cover|its `counts`"):
            RLE.from_coco({"size": list(size), "counts": counts}, size)


@given(sizes, st.text(st.characters(max_codepoint=0x180), max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_string_is_a_mask_or_an_error(size, counts):
    """Nothing hangs, and what is taken is a mask of that size."""
    try:
        found = RLE.from_coco({"size": list(size), "counts": counts}, size)
    except ValueError:
        return
    assert RLE.encode(found.decode()) == found


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        7,
        "529",
        {},
        {"size": [4, 4]},
        {"counts": "d0"},
        {"size": [4, 4], "counts": None},
        {"size": [4, 4], "counts": []},
        {"size": [4, 4], "counts": ""},
        {"size": [4, 4], "counts": [16.0]},
        {"size": [4, 4], "counts": [True, 15]},
        {"size": [4, 4], "counts": ["16"]},
        {"size": [4, 4], "counts": [[16]]},
        {"size": [4, 4], "counts": [20, -4]},
        {"size": [4, 4], "counts": [10**400]},
        {"size": [4, 4], "counts": "`" * 500},  # more follow, for ever
        {"size": [4, 4], "counts": "o" * 30 + "0"},
        {"size": [4, 4], "counts": 16},
        {"size": [0, 4], "counts": [0]},
        {"size": [4], "counts": [4]},
        {"size": ["4", "4"], "counts": [16]},
        {"size": [4.0, 4.0], "counts": [16]},
        {"size": [2**31, 2**31], "counts": [2**62]},
        {"size": [2**20, 2**20], "counts": [2**40]},
        {"size": [2, 8], "counts": [16]},
    ],
    ids=str,
)
def test_what_is_no_segmentation_is_an_error(segmentation):
    with pytest.raises(ValueError):
        RLE.from_coco(segmentation, (4, 4))


corners = st.floats(-8, 20) | st.integers(-8, 20)
outlines = st.lists(corners, min_size=6, max_size=16).filter(lambda values: len(values) % 2 == 0)


@given(st.lists(outlines, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_polygons_near_the_image_are_drawn_as_pycocotools_does(polygons):
    try:
        found = RLE.from_polygons(polygons, (9, 12))
    except ValueError as error:
        assert "no polygon lies in the image" in str(error)
        found = RLE.empty((9, 12))
    plain = [list(map(float, polygon)) for polygon in polygons]
    wanted = coco.decode(coco.merge(coco.frPyObjects(plain, 9, 12)))
    np.testing.assert_array_equal(found.decode(), wanted)


def inside_of(points, height, width):
    """By the even-odd rule at the pixels' centres, and how far each is from the next edge."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside, distance = np.zeros((height, width), bool), np.full((height, width), np.inf)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        length = np.hypot(x1 - x0, y1 - y0)
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / max(length**2, 1e-12), 0, 1)
        distance = np.minimum(distance, np.hypot(x0 + along * (x1 - x0) - x, y0 + along * (y1 - y0) - y))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # edges that cross no row
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside, distance


@given(st.lists(st.tuples(*[st.floats(-2, 30) | st.floats(-3000, 3000)] * 2), min_size=3, max_size=7))
@settings(max_examples=200, deadline=None)
def test_far_corners_cut_no_pixel_off(points):
    height, width = 24, 31
    try:
        found = RLE.from_polygons([[v for point in points for v in point]], (height, width)).decode()
    except ValueError as error:
        assert "no polygon lies in the image" in str(error)
        found = np.zeros((height, width), bool)
    inside, distance = inside_of(points, height, width)
    np.testing.assert_array_equal(found[distance > 2], inside[distance > 2])


def test_a_far_corner_takes_no_memory():
    """Twelve digits took 23 GB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wide = RLE.from_polygons([[-1e12, -1e12, 1e12, -1e12, 1e12, 2, -1e12, 2]], (4, 6))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
    assert wide == drawn("######", "######", "......", "......")


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([0, 0, 4, 0, 4, float("nan")], "coordinates are pixels, and nan is none"),
        ([0, 0, 4, 0, 4, float("inf")], "inf is none"),
        ([0, 0, 4, 0, 4, 1e300], "1e.300 is none"),
        ([0, 0, 4, 0, 4, 10**400], "1000000000"),
        ([0, 0, 4, 0, 4, "4"], "made of numbers, not of '4'"),
        ([0, 0, 4, 0, 4, None], "made of numbers, not of None"),
        ([0, 0, 4, 0, 4, True], "made of numbers, not of True"),
        ([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1]], "made of numbers"),
        (7, "stands in a list of such, not 7"),
        ("000000", "stands in a list of such"),
        ({"0": 1}, "stands in a list of such"),
        ([4, 0, 6, 0, 6, 4, 4, 4], "no polygon lies in the image of 4 x 4"),
        ([0, 0, 4, 4, 4, 0, 0, 4] * 2000, "the outline is .* pixels long"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_polygons_of_no_pixels_are_an_error(polygon, message):
    with pytest.raises(ValueError, match=message):
        RLE.from_polygons([polygon], (4, 4))


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


@given(sizes.flatmap(lambda size: arrays.arrays(np.bool_, (3, *size))))
@settings(max_examples=50, deadline=None)
def test_overlap_leaves_ignored_pixels_out(masks):
    a, b, ignored = masks
    pred, gt, ignore = map(RLE.encode, masks)
    assert overlap(pred, gt) == ((a & b).sum(), (a | b).sum())
    assert overlap(pred, gt, ignore) == ((a & b & ~ignored).sum(), ((a | b) & ~ignored).sum())
    whole = ((a | b) & ~ignored).sum()
    assert iou(pred, gt, ignore) == ((a & b & ~ignored).sum() / whole if whole else 1.0)


@given(masks)
@settings(max_examples=50, deadline=None)
def test_the_box_is_the_smallest_around_the_mask(mask):
    ys, xs = np.nonzero(mask)
    assert RLE.encode(mask).box == ((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) if len(xs) else None)


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
