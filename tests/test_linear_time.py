"""Texts of 200 KB that are made to keep a reader busy: each is read in about the time that its length takes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pixfound.analyses.concepts import read_concepts
from pixfound.benchmarks.annotations import parse_options
from pixfound.benchmarks.table.texts import split_options
from pixfound.errors import UserError
from pixfound.extractors.parsers import grammars
from pixfound.io.predictions.texts import _meta_line
from pixfound.judges.answer_parsing import pick_option
from pixfound.judges.asking import read_verdict
from pixfound.selectors.judge import read_choice

SIZE = 200_000
LIMIT_S = 10.0  # each takes well under two seconds; what is read n * n times takes minutes


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    def give_up(*_: Any) -> None:
        raise TimeoutError(f"not read within {LIMIT_S} seconds")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def options(text: str) -> Any:
    return pick_option(text, ("Open", "Closed"))


def choice(text: str) -> Any:
    return read_choice(text, 3)


def meta(text: str) -> None:
    with pytest.raises(UserError, match="is not of the form"):
        _meta_line(text, "here")


def labels(text: str) -> Any:
    return grammars.spans_of(text, grammars.list_boxes(text))


CASES = [
    (grammars.list_boxes, "[1,1,1", "1", ""),
    (grammars.json_boxes, '{"bbox_2d": [1,1,1', "1", ""),
    (grammars.json_points, "[1,", "1", ""),
    (grammars.list_points, "(1", " ", ""),
    (grammars.tag_points, '<point x="', "1", ""),
    (grammars.tag_points, "<points ", 'x="1" ', ""),
    (grammars.coords_points, "<points ", "coords ", ""),
    (grammars.coords_points, '<points coords="', "1 100 ", ""),
    (grammars.loc_polygons, "", "<loc_1>", "<poly>"),
    (grammars.loc_polygons, "</poly>", "<poly>", ""),
    (grammars.loc_boxes, "", "<loc_1>", ""),
    (grammars.coded_masks, "", "<loc0001>", ""),
    (labels, "", "a", " [1, 2, 3, 4]"),
    (labels, "", "a", "[[1, 2, 3, 4]]"),
    (labels, "", " ", "[[1, 2, 3, 4]]"),
    (labels, "", "a [1, 2, 3, 4] ", ""),
    (labels, "", "[1, 2, 3, 4], ", ""),
    (labels, "[1, 2, 3, 4]", '"label": "', ""),
    (labels, "", "<ref>a", "[1, 2, 3, 4]"),
    (options, "", "answer ", ""),
    (options, "", "the answer is ", ""),
    (options, "a", "\n", "!"),
    (options, "A", " ", "!"),
    (options, "", "not ", ""),
    (options, "", "(a) is ", ""),
    (read_verdict, "yes", " ", "x"),
    (read_verdict, "", "<think>", ""),
    (read_verdict, "", "the answer is ", ""),
    (read_verdict, "", "no ", ""),
    (choice, "", "1", ""),
    (choice, "of ", "the ", ""),
    (choice, "not ", "image ", ""),
    (read_concepts, "", "<think>", ""),
    (read_concepts, "", "a, ", ""),
    (meta, "a.jpg - 1 - ", "| ", "x"),
    (meta, "", "a.jpg - 1 - ", ""),
    (parse_options, "(a) x", " ", "y (b) z"),
    (split_options, "(a) x", "(a) ", "y (b) z"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "start", "unit", "end"), CASES)
def test_no_text_keeps_a_reader_busy(read: Callable[[str], Any], start: str, unit: str, end: str) -> None:
    read(start + unit * (SIZE // len(unit)) + end)


def test_what_stands_behind_one_of_many_cues_is_still_read() -> None:
    assert options("The answer is (b). " * 30) == (1, "letter")
    assert options("My answer is (a). " + "An answer needs words. " * 3)[0] == 0


def test_a_number_of_any_length_is_a_number() -> None:
    assert grammars.list_boxes(f"[1, 2, 3, {'4' * 5000}]")[0].box[:3] == (1.0, 2.0, 3.0)
    assert read_choice("9" * 5000, 3)[0] is None
    assert read_choice("0002", 3) == (1, "")
