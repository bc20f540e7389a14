"""Output of the analysis on the console, as sensitivity.json and as sensitivity.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixfound.apps.sensitivity.cells import read_cells
from pixfound.apps.sensitivity.charts import draw_changes, draw_scatter
from pixfound.apps.sensitivity.study import study
from pixfound.apps.sensitivity.tables import Table, headlines, legend, tables
from pixfound.errors import UserError, nearest
from pixfound.io.atomic import make_folder, write_atomic
from pixfound.io.charts import chart_lines, write_chart
from pixfound.io.terminal import say
from pixfound.io.text import escape, grid, printable

_WIDTH = 160  # also taken where the output goes to a file


def report(
    runs: Sequence[Path],
    out: Path,
    row: str | None,
    resamples: int,
    level: float,
    seed: int,
    last: Callable[[str], None] = say,
) -> dict[str, Any]:
    """Analyse runs, print the tables and write both files to `out`.

    row: the row of the runs' tables to show; None for their first. The JSON file holds all rows. last: prints the
    lines for the end, one for each subject.
    """
    results = study(read_cells(runs), resamples, level, seed)
    rows = results["rows"]
    if row is not None and row not in rows:
        raise UserError(f"--row {row}: not a row of all runs; {nearest(row, rows)}")
    row_tables = list(tables(results, row or rows[0]))
    make_folder(out)
    write_atomic(out / "sensitivity.json", json.dumps(results, indent=2, allow_nan=False) + "\n")
    charts = _write_charts(results, row or rows[0], out)
    write_atomic(out / "sensitivity.md", _markdown(results, row_tables, charts))
    _print(results, row_tables)
    say(f"report: {out / 'sensitivity.md'}")
    for line in headlines(results, row or rows[0]):
        last(line)
    return results


def _write_charts(results: Mapping[str, Any], row: str, out: Path) -> list[str]:
    """Write the charts of a row to `out`; return their names without ending."""
    charts = {"scatter": draw_scatter(results, row)}
    charts |= {f"changes_{i}": chart for i, chart in enumerate(draw_changes(results, row).values(), 1)}
    for name, chart in charts.items():
        write_chart(out / name, chart)
    return list(charts)


def _markdown(results: Mapping[str, Any], row_tables: Sequence[Table], charts: Sequence[str]) -> str:
    parts = ["# Prompt sensitivity", legend(results), *map(chart_lines, charts)]
    for table in row_tables:
        parts.append(f"## {escape(table.title)}\n\n{grid(table.headers, table.lines)}")
    runs = [
        f"- {escape(subject)}, {escape(name)}: `{escape(cell['run'])}`"
        for subject, subject_results in results["subjects"].items()
        for name, cell in subject_results["variations"].items()
    ]
    return "\n\n".join([*parts, "## Runs", "\n".join(runs)]) + "\n"


def _print(results: Mapping[str, Any], row_tables: Sequence[Table]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, markup=False)
    for table in row_tables:
        console.print(f"\n{printable(table.title)}", style="italic")
        console_table = Grid(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for i, header in enumerate(table.headers):
            console_table.add_column(header, justify="left" if i == 0 else "right", no_wrap=True)
        for line in table.lines:
            console_table.add_row(*map(printable, line))
        console.print(console_table)
    console.print(legend(results), style="dim")
