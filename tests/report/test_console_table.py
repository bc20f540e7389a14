"""Tables in terminals of any width: a figure is whole or is left out by its column's name."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pixfound.report.console_table import print_table, width_of

HEADERS = ("row", "A", "difference [95 %]", "p (Holm)", "won:lost:equal")
LINES = [["joint", "77.4", "+25.5 [+16.4, +34.8]", "< 0.001", "16:43:1"], ["M†", "8.0", "-", "1.000", "-"]]


def printed(width: int, needed: int = 1) -> list[str]:
    stream = io.StringIO()
    print_table(Console(file=stream, width=width), HEADERS, LINES, "M: <b>", needed=needed)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_wide_terminal_has_all_in_a_line_each() -> None:
    title, _, *lines = printed(132)
    assert title == "M: <b>" and lines[0].split() == " ".join(HEADERS).split()
    assert [line.split() for line in lines[2:4]] == [" ".join(cells).split() for cells in LINES]


@pytest.mark.parametrize(("width", "shown"), [(16, 2), (30, 2), (45, 3), (58, 4), (70, 5)])
def test_what_does_not_fit_is_left_out_whole_and_named(width: int, shown: int) -> None:
    *lines, last = printed(width)
    if shown < len(HEADERS):
        assert " ".join([*lines[lines.index("") + 4 :], last]).split("terminal: ")[1] == ", ".join(HEADERS[shown:])
    table = [line for line in lines if line.startswith(" ")]
    assert max(map(len, table)) <= width
    for cells in LINES:
        assert [line.split() for line in table].count(" ".join(cells[:shown]).split()) == 1
    assert width_of(HEADERS[:shown], [line[:shown] for line in LINES]) <= width


def test_what_is_needed_stays() -> None:
    (line,) = (line for line in printed(30, needed=4) if "joint" in line)
    assert line.split() == " ".join(LINES[0][:4]).split()
