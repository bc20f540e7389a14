"""What a model says is shown, and does nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.io.text import escape, grid, printable
from pixfound.pipeline.stage_loop import describe

EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](http://tracker.example/a.png)",
    "[click](javascript:alert(1))",
    "[click][there]",
    "[there]: http://example.com",
    "a | b \\| c \\\\| d",
    "`code`",
    "line one\nline two\r\n# a heading",
    "\x1b[31mred\x1b[0m \x1b]8;;http://example.com\x07link\x1b]8;;\x07 \x07\x08\x7f\x9b2J",
    "\u202eesrever\u2066 \u2028 \ud800",
]


@pytest.mark.parametrize("text", EVIL)
def test_it_makes_no_tag_no_link_no_cell_and_moves_no_cursor(text: str) -> None:
    shown = escape(text)
    assert not re.search(r"[<>`]", shown)
    assert not re.search(r"\]\s?[(\[:]", shown)
    assert all(c.isprintable() for c in shown)
    assert shown.encode()  # no half of a surrogate pair either
    (header, _, line) = grid(["one", "two"], [[text, "end"]]).split("\n")
    assert line.endswith("| end |")
    assert cells(line) == cells(header) == 2


def cells(line: str) -> int:
    """How many cells GitHub reads: bars after a backslash are text, unless that is escaped itself."""
    return len(re.findall(r"(?:\\.|[^|\\])+\|", line[1:]))


@given(st.text())
def test_any_text_is_one_cell(text: str) -> None:
    assert cells(grid(["one"], [[text]]).split("\n")[-1]) == 1


def test_plain_text_stays_as_it_is() -> None:
    for text in ("A red square, 3 cm (left) [12.3, 45.6] naïve 🙂 50 %", "M† 中文", ""):
        assert escape(text) == printable(text) == text


def test_errors_that_quote_a_server_move_no_cursor() -> None:
    assert describe(RuntimeError("\x1b[2Jgone\n\x07 for good")) == "RuntimeError: [2Jgone for good"
