"""What is written in a format is read back, whatever surrounds it; and no text raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.kosmos2.processing_kosmos2 import patch_index_to_coordinate

from pixfound.errors import UserError
from pixfound.extractors.parsers.formats import FORMATS, find_format
from pixfound.extractors.parsers.grammars import (
    coords_points,
    json_boxes,
    json_points,
    list_boxes,
    loc_boxes,
    patch_boxes,
    tag_points,
    yxyx_boxes,
)

SIZE, RESIZED = (300, 500), (252, 476)  # (H, W)


def fenced(value):
    return f"Sure.\n```json\n{json.dumps(value)}\n```\n"


def cell(x, y):
    return f"<patch_index_{y * 32 + x:04d}>"


# How each format writes boxes given in whole units of its own grid, and where a unit lies in pixels.
BOX_WRITERS = {
    "json_resized": lambda bs: fenced([{"bbox_2d": list(b), "label": "the cat"} for b in bs]),
    "json_1000": lambda bs: fenced([{"bbox_2d": list(b), "label": "a [1, 2] cat"} for b in bs]),
    "list_1000": lambda bs: f"<|begin_of_box|>{[list(b) for b in bs]}<|end_of_box|>",
    "list_padded": lambda bs: "\n".join(str([v / 1000 for v in b]) for b in bs),
    "list_image": lambda bs: "; ".join(f"({b[0] / 1000}, {b[1] / 1000}), ({b[2] / 1000},{b[3] / 1000})" for b in bs),
    "patch_index": lambda bs: "".join(f"<object>{cell(b[0], b[1])}{cell(b[2], b[3])}</object>" for b in bs),
    "loc_1000": lambda bs: "cat" + "".join(f"<loc_{v}>" for b in bs for v in b),
    "loc_1024": lambda bs: " ; ".join(f"<loc{b[1]:04d}><loc{b[0]:04d}><loc{b[3]:04d}><loc{b[2]:04d}> cat" for b in bs),
}
GRID = {"json_resized": 250, "list_padded": 800, "patch_index": 31}  # units; 999 elsewhere
POINT_WRITERS = {
    "json_resized": lambda ps: fenced([{"point_2d": list(p), "label": "cat"} for p in ps]),
    "json_1000": lambda ps: fenced([{"label": "cat", "point_2d": list(p)} for p in ps]),
    "list_1000": lambda ps: " ".join(f"({x}, {y})" for x, y in ps),
    "list_padded": lambda ps: str([[x / 1000, y / 1000] for x, y in ps]),
    "list_image": lambda ps: str([[x / 1000, y / 1000] for x, y in ps]),
    "tags": lambda ps: (
        "<points " + " ".join(f'x{i}="{x / 10}" y{i}="{y / 10}"' for i, (x, y) in enumerate(ps, 1)) + ">"
    ),
    "coords": lambda ps: (
        '<points coords="1 ' + " ".join(f"{i} {x:03d} {y:03d}" for i, (x, y) in enumerate(ps, 1)) + '">the cat</points>'
    ),
}


def to_pixels(name, x, y):
    """By hand: the unit (x, y) of a format in pixels of a 500 x 300 image."""
    if name == "json_resized":
        return x * 500 / 476, y * 300 / 252
    if name == "list_padded":  # the square is 500 wide, and 100 pixels above the image are padding
        return x / 1000 * 500, y / 1000 * 500 - 100
    if name == "loc_1000":
        return (x + 0.5) / 2, (y + 0.5) * 0.3
    if name == "patch_index":
        return (x + 0.5) / 32 * 500, (y + 0.5) / 32 * 300
    if name == "loc_1024":
        return x * 500 / 1024, y * 300 / 1024
    return x / 2, y * 0.3


def read(grammar, text):
    """The boxes alone, after a look at their characters: they are read from these alone, too."""
    found = grammar(text)
    assert all(box in [again.box for again in grammar(text[start:end])] for box, (start, end) in found)
    return [box for box, _ in found]


def pixel_boxes(name, boxes):
    corners = [(to_pixels(name, *b[:2]), to_pixels(name, *b[2:])) for b in boxes]
    return [pytest.approx((x0, max(y0, 0), x1, min(y1, 300)), abs=1e-6) for (x0, y0), (x1, y1) in corners]


@pytest.mark.parametrize("name", BOX_WRITERS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_boxes_that_are_written_are_read(name, data):
    top = GRID.get(name, 999)
    low = 201 if name == "list_padded" else 0  # not in the padding
    xs = st.tuples(st.integers(0, top - 1), st.integers(0, top)).filter(lambda v: v[0] < v[1])
    ys = st.tuples(st.integers(low, top - 1), st.integers(low, top)).filter(lambda v: v[0] < v[1])
    boxes = [(x[0], y[0], x[1], y[1]) for x, y in data.draw(st.lists(st.tuples(xs, ys), max_size=4))]
    format = find_format(name, "boxes")
    found = format.frame(SIZE, RESIZED).boxes(read(format.boxes, BOX_WRITERS[name](boxes)))
    assert found == pixel_boxes(name, boxes)


@pytest.mark.parametrize("name", POINT_WRITERS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_points_that_are_written_are_read(name, data):
    low, top = (201, 790) if name == "list_padded" else (0, GRID.get(name, 990))
    pair = st.tuples(st.integers(0, top), st.integers(low, top))
    points = data.draw(st.lists(pair, max_size=4))
    format = find_format(name, "points")
    found = format.frame(SIZE, RESIZED).points(format.points(POINT_WRITERS[name](points)))
    expected = [to_pixels(name, *point) for point in points]
    assert found == [pytest.approx((min(x, 499), min(y, 299)), abs=1e-6) for x, y in expected]


def test_every_convention_is_tested():
    assert {name for name, c in FORMATS.items() if c.boxes} == BOX_WRITERS.keys()
    assert {name for name, c in FORMATS.items() if c.points} == POINT_WRITERS.keys()


GARBAGE = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from(['"bbox_2d": ', "[", "]", "(", ")", ",", "1e999", "-5", "9" * 23, "<points x1=",
                         '"1"', "y1=", ">", "<loc_7>", "<loc0007>", "<patch_index_999999>", "```json", "{",
                         '"point_2d"', "[1,2,3,4]", "(5, 6)", "[0.1, 0.9"]),
    ),
    max_size=25,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(GARBAGE, st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_no_text_raises_and_all_lies_in_the_image(text, size, resized):
    height, width = size
    for format in FORMATS.values():
        frame = format.frame(size, resized)
        for x0, y0, x1, y1 in frame.boxes(read(format.boxes, text)) if format.boxes else ():
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
        for x, y in frame.points(format.points(text)) if format.points else ():
            assert 0 <= x <= width - 1 and 0 <= y <= height - 1


@given(st.integers(0, 1023), st.integers(0, 1023))
def test_cells_are_those_of_the_reference(first, last):
    text = f"<phrase>a cat</phrase><object><patch_index_{first:04d}><patch_index_{last:04d}></object>"
    assert read(patch_boxes, text) == [pytest.approx(patch_index_to_coordinate(first, last, 32))]


BOX = (10.0, 20.0, 110.0, 220.0)


@pytest.mark.parametrize(
    "text",
    [
        '[{"bbox_2d": [10, 20, 110, 220], "label": "cat"',  # cut off
        '```json\n```json\n{"bbox_2d": [10, 20, 110, 220]}\n```\n```',  # fences in fences
        "{'bbox_2d': [10, 20, 110, 220],}",  # no JSON
        '{"bbox_2d": "[10, 20, 110, 220]"}',
        '{"bbox_2d": [[10, 20, 110, 220]]}',
        'At [1, 2] there is {"label": "[5, 6, 7, 8]", "bbox_2d":[10,20,110,220]}',
        "The cat is at [10, 20, 110, 220].",
        "<|box_start|>(10,20),(110,220)<|box_end|>",
        '{"bbox_2d": [10, 20, 110, 220]}, {"bbox_2d": [10, 20, 11',  # the second is cut off, and not guessed at
    ],
)
def test_broken_documents_still_say_where(text):
    assert read(json_boxes, text) == [BOX]


@pytest.mark.parametrize("text", ["", "None.", "[]", "```json\n[]\n```", '{"bbox_2d": null}', '{"bbox_2d": []}'])
def test_nothing_is_nothing(text):
    assert json_boxes(text) == json_points(text) == list_boxes(text) == tag_points(text) == []


def test_corners_are_put_in_order_and_clamped_and_what_has_no_area_is_left_out():
    format = find_format("list_image", "boxes")
    frame = format.frame(SIZE, None)
    assert frame.boxes([(0.8, 0.9, 0.2, 0.1)]) == [pytest.approx((100, 30, 400, 270))]
    assert frame.boxes([(-1, -1, 2, 2)]) == [(0, 0, 500, 300)]
    assert frame.boxes([(0.5, 0.5, 0.5, 0.5), (1.5, 0, 2, 1)]) == []
    assert frame.points([(-3, 7), (1, 1)]) == [(0, 299), (499, 299)]


def test_tags():
    assert tag_points('<point x="63.5" y="44.5" alt="cat">cat</point>') == [(63.5, 44.5)]
    assert tag_points('<points x1="1" y1="2" x2="3" y2="4.5" alt="x">') == [(1, 2), (3, 4.5)]
    assert tag_points('<points x1="1" y1="2" x2="3" y2="4') == [(1, 2)]  # cut off
    assert tag_points('<points x1="1" x2="3" y2="4">') == [(3, 4)]


def test_coords():
    assert coords_points('The <points coords="1 1 073 160 2 1000 600" alt="cat">cat</points>') == [
        (73, 160),
        (1000, 600),
    ]
    assert coords_points('<points coords="1 1 073 160;2 1 005 006"/>') == [(73, 160), (5, 6)]  # of two images
    assert coords_points('<points coords="1 1 073 160 2 173 60') == [(73, 160)]  # cut off in the middle of a number
    assert coords_points("There are none.") == coords_points('<points coords="1 1 73 160">') == []


def test_tokens_of_locations():
    assert read(loc_boxes, "cat<loc_1><loc_2><loc_3><loc_4><loc_5>") == [(1.5, 2.5, 3.5, 4.5)]
    assert read(yxyx_boxes, "<loc0001><loc0002><loc0003><loc0004><seg001> cat") == [(2, 1, 4, 3)]


def test_a_model_that_does_not_say_its_size_is_told_what_to_do():
    with pytest.raises(UserError, match="format=json_1000"):
        find_format("json_resized", "boxes").frame(SIZE, None)


@pytest.mark.parametrize(("name", "what"), [("tags", "boxes"), ("loc_1000", "points"), ("jsn_1000", "boxes")])
def test_an_unknown_convention_is_refused(name, what):
    with pytest.raises(UserError, match=f"format={name}: no format for {what}"):
        find_format(name, what)
