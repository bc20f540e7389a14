"""Tables on the console: in a narrow terminal columns are left out, and no figure is cut."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pixfound.io.text import printable

_BETWEEN = 2  # blanks between columns


def width_of(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> int:
    """Columns of the terminal that a table needs at least."""
    return sum(_widths(headers, lines)) + _BETWEEN * (len(headers) + 1)


def print_table(
    console: Console,
    headers: Sequence[str],
    lines: Sequence[Sequence[str]],
    title: str = "",
    left: int = 1,
    needed: int = 1,
) -> None:
    """Print a table. The last columns go where they do not fit, and are named below.

    left: how many columns are words. needed: how many stay in any case, though a line be longer than the terminal.
    """
    shown = len(headers)
    while shown > needed and width_of(headers[:shown], [line[:shown] for line in lines]) > console.width:
        shown -= 1
    named = Text(printable(title)) if title else None
    grid = Table(title=named, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    widths = _widths(headers[:shown], lines)
    whole = [max(pair) for pair in zip(widths, map(len, headers), strict=False)]
    if sum(whole) + _BETWEEN * (shown + 1) <= console.width:
        widths = whole
    for i, (header, width) in enumerate(zip(headers, widths, strict=False)):
        grid.add_column(header, justify="left" if i < left else "right", width=width)
    for line in lines:
        grid.add_row(*map(printable, line[:shown]))
    terminal = console.width
    console.width = max(terminal, sum(widths) + _BETWEEN * (shown + 1))  # rich would squeeze what is needed
    console.print(grid)
    console.width = terminal
    if shown < len(headers):
        console.print(f"for a wider terminal: {', '.join(headers[shown:])}", style="dim")


def _widths(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> list[int]:
    """The least width of each column: headers are broken between words, cells are not."""
    words = [max(map(len, header.split()), default=0) for header in headers]
    return [max([word, *(len(printable(line[i])) for line in lines)]) for i, word in enumerate(words)]
