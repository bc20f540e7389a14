"""The table on the console."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from pixfound.pipeline.evaluate import Result
from pixfound.report.table import HEADERS, legend, table


def show(result: Result) -> None:
    """Print what was found, and where the files are."""
    console = Console(width=None if Console().is_terminal else 150, highlight=False, soft_wrap=False)
    metrics = result.metrics
    names = result.names
    title = f"{names['model']} on {names['benchmark']}, {names['extraction']}: {metrics['examples']} examples"
    grid = Table(title=f"{title}, {metrics['pairs']} pairs, {metrics['absent']} absent objects", title_justify="left")
    for header in HEADERS:
        grid.add_column(header, justify="left" if header == "row" else "right", overflow="fold")
    for cells in table(metrics):
        grid.add_row(*cells)
    console.print(grid)
    console.print(legend(metrics), style="dim")
    unscored = ", ".join(f"{count} {what}" for what, count in metrics["unscored"].items())
    if unscored:
        console.print(f"unscored (neither right nor wrong): {unscored}")
    if result.was_complete:
        console.print("nothing to do: this run is complete")
    console.print(f"report: {result.folder / 'report.md'}", soft_wrap=True)
