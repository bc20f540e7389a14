"""Masks in text: polygons as transformers' own Florence-2 processor reads them, codes as they were written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.florence2.processing_florence2 import Florence2PostProcessor

from pixfound.errors import UserError
from pixfound.extractors.parsers.coordinates import of_image
from pixfound.extractors.parsers.formats import FORMATS, find_format
from pixfound.extractors.parsers.grammars import coded_masks, loc_polygons

SIZE = (300, 500)  # (H, W)


class NoTokenizer:
    """All that reading a text asks of a tokenizer."""

    all_special_tokens: tuple[str, ...] = ()


def reference(text):
    """The polygons in whole pixels that transformers' processor finds, less those of fewer than three corners."""
    reader = Florence2PostProcessor({"polygons": {}}, NoTokenizer())
    found = reader(text=text, image_size=(SIZE[1], SIZE[0]), parse_tasks=["polygons"])["polygons"]
    objects = [[polygon for polygon in one["polygons"] if len(polygon) >= 6] for one in found]
    return [polygons for polygons in objects if polygons]


def locs(values):
    return "".join(f"<loc_{v}>" for v in values)


BINS = st.integers(0, 999)
POLYGON = st.lists(BINS, min_size=1, max_size=13).map(locs)
OBJECT = st.lists(POLYGON, min_size=1, max_size=3).map("<sep>".join)
OBJECTS = st.one_of(
    OBJECT,
    st.lists(OBJECT, min_size=1, max_size=3).map(lambda many: "".join(f"<poly>{one}</poly>" for one in many)),
    st.tuples(OBJECT, OBJECT).map(lambda two: f"<poly>{two[0]}</poly><poly>{two[1]}"),  # cut off
)
ANSWER = st.lists(st.tuples(st.sampled_from(["", "the cat", "a dog "]), OBJECTS), min_size=0, max_size=3).map(
    lambda parts: "".join(label + said for label, said in parts)
)


@settings(deadline=None, max_examples=300)
@given(ANSWER)
def test_polygons_are_those_of_the_reference(text):
    frame = of_image(SIZE, 1000.0)
    found = [
        [[math.floor(v) for corner in polygon for v in corner] for polygon in frame.polygons(polygons)]
        for polygons in loc_polygons(text)
    ]
    assert found == reference(text)


TOKENS = st.lists(
    st.sampled_from(["<loc_7>", "<loc_999>", "<loc_99999>", "<sep>", "<poly>", "</poly>", "cat", " ", "<", "</s>",
                     "<loc0007>", "<loc1023>", "<seg007>", "<seg127>", "<seg128>", "<seg999>", ";", "<seg"]),
    max_size=60,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(TOKENS, st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_no_text_raises_and_all_lies_in_the_image(text, size):
    height, width = size
    for polygons in loc_polygons(text):
        assert polygons
        for polygon in FORMATS["loc_1000"].frame(size, None).polygons(polygons):
            assert len(polygon) >= 3 and all(0 <= x <= width and 0 <= y <= height for x, y in polygon)
    for _, codes in coded_masks(text):
        assert len(codes) == 16 and all(0 <= code < 128 for code in codes)


CODES = st.lists(st.integers(0, 127), min_size=16, max_size=16).map(tuple)
CORNERS = st.tuples(*[st.integers(0, 1023)] * 4)


def coded(box, codes):
    x0, y0, x1, y1 = box
    return f"<loc{y0:04d}><loc{x0:04d}><loc{y1:04d}><loc{x1:04d}>" + "".join(f"<seg{code:03d}>" for code in codes)


@given(st.lists(st.tuples(CORNERS, CODES), max_size=4), st.sampled_from([" ; ", ";", " the cat ; ", "\n"]))
def test_codes_are_read_back(objects, between):
    assert coded_masks(between.join(coded(*one) for one in objects)) == objects


SIXTEEN = tuple(range(16))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("no cat", []),
        (coded((1, 2, 3, 4), SIXTEEN[:15]) + " cat", []),  # one too few
        (coded((1, 2, 3, 4), (*SIXTEEN, 99)) + " cat", [SIXTEEN]),  # one too many
        (coded((1, 2, 3, 4), (*SIXTEEN[:15], 128)), []),  # no such code
        (coded((1, 2, 3, 4), ()) + " cat", []),  # a box alone
        (coded((1, 2, 3, 4), SIXTEEN) + " cat ; " + coded((5, 6, 7, 8), SIXTEEN)[:-4], [SIXTEEN]),  # cut off
        (coded((1, 2, 3, 4), SIXTEEN)[9:] + " cat", []),  # three corners
        ("<seg001>" * 16, []),
    ],
)
def test_objects_that_are_not_whole_are_left_out(text, found):
    assert [codes for _, codes in coded_masks(text)] == found


def test_what_has_no_masks_is_refused():
    with pytest.raises(UserError, match=r"format=tags: no format for masks; .*loc_1000"):
        find_format("tags", "masks")
