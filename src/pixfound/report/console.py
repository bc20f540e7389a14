"""The table on the console."""

from __future__ import annotations

from rich.console import Console

from pixfound.io.text import printable
from pixfound.pipeline.results import Result
from pixfound.pipeline.run_names import main_row, selectors_of, title
from pixfound.report.console_table import print_table
from pixfound.report.summary import headline, unscored_words
from pixfound.report.table import HEADERS, legend, region_table, table

_PAPER = 6  # columns of the paper, the row's name among them
_COLUMNS = 5  # further metrics beside each other
_WIDTH = 132  # what the table needs with its intervals; also taken where the output goes to a file


def show(result: Result) -> None:
    """Print what was found, where the files are, and the shortest thing that matters at the end."""
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, markup=False)
    metrics = result.metrics
    name = title(result.names, result.config)
    counts = f"{metrics['examples']} examples, {metrics['pairs']} pairs, {metrics['absent']} absent objects"
    wide = console.width >= _WIDTH
    print_table(console, HEADERS, table(metrics, wide), f"{name}: {counts}", needed=_PAPER)
    console.print(legend(metrics), style="dim")
    headers, lines = region_table(metrics, wide)
    for first in range(1, len(headers) if lines else 0, _COLUMNS):
        part = slice(first, first + _COLUMNS)
        print_table(console, [headers[0], *headers[part]], [[line[0], *line[part]] for line in lines])
    if unscored := unscored_words(metrics["unscored"]):
        console.print(printable(f"unscored (neither right nor wrong): {unscored}"))
    if metrics.get("cut"):
        counts = ", ".join(f"{count} {kind}" for kind, count in metrics["cut"].items())
        console.print(f"answers cut off by the limit of new tokens: {counts}")
    if result.was_complete:
        console.print("nothing to do: this run is complete")
    console.print(printable(f"report: {result.folder / 'report.md'}"), soft_wrap=True)
    if (page := result.folder / "page" / "index.html").exists():
        console.print(printable(f"to look at in a browser: {page}"), soft_wrap=True)
    console.print(printable(headline(metrics, main_row(selectors_of(result.config)))), soft_wrap=True)
