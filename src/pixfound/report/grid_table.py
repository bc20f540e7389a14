"""The tables of a grid: what became of each cell, and the rows of all cells beside each other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pixfound.io.atomic import write_atomic
from pixfound.io.table_formats import as_markdown, as_text
from pixfound.io.text import escape, printable
from pixfound.io.text import grid as markdown
from pixfound.pipeline.run_folder import read_config, read_metrics
from pixfound.pipeline.run_names import main_row, selectors_of, titles
from pixfound.report.console_table import print_table, width_of
from pixfound.report.paper_table import TableRun, paper_table, write_tables
from pixfound.report.summary import headline
from pixfound.report.table import HEADERS, table

_NAMED = re.compile(r"\+*(benchmark|model|extraction|scoring|names\.\w+|experiment(/\w+)*)=")  # said by a run's names
_LAYOUT = (
    "In the layout of the paper, in percent. A, A†: open answers, letters; M, M†: mean IoU, open and grounding prompt."
)
_NEEDED = 7  # columns: the cell, the row, and those of the paper
_WIDTH = 176  # what the table needs with its intervals; also taken where the output goes to a file


def show_grid(cells: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print the tables, and write them to grid.md and grid.json in `folder`, and to the formats of report.tables.

    cells: notes with cell, overrides, status, why, and folder where the run is complete.
    """
    outcomes = [[c["cell"], " ".join(_own(c, cells)), c["status"], c["why"]] for c in cells]
    complete = [cell for cell in cells if cell.get("folder")]
    rows = [line for cell in complete for line in _rows(cell, cells)]
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, markup=False)
    _print(console, ("cell", "overrides", "status", "why"), outcomes)
    if rows:
        _print_rows(console, rows, [line for cell in complete for line in _rows(cell, cells, intervals=False)])
    runs = [_table_run(cell, cells) for cell in complete]
    paper = paper_table(runs)
    if len(complete) > 1:
        console.print(as_text(paper.texts()), soft_wrap=True)
    named = _titles(complete)
    for cell, title in zip(complete, named, strict=True):
        page = Path(cell["folder"]) / "page" / "index.html"
        beside = f", page: {page}" if page.exists() else ""
        console.print(printable(f"cell {cell['cell']}, {title}: {cell['folder']}/report.md{beside}"), soft_wrap=True)
    counts = {s: sum(c["status"] == s for c in cells) for s in ("done", "skipped", "failed")}
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    console.print(printable(f"{summary}; the tables: {folder}/grid.md"), soft_wrap=True)
    if best := _best(complete, cells):
        console.print(printable(best), soft_wrap=True)
    blocks = ["# Grid", markdown(("cell", "overrides", "status", "why"), outcomes)]
    if rows:
        blocks += [_LAYOUT, as_markdown(paper.texts()), markdown(("cell", "overrides", *HEADERS), rows)]
        write_tables(folder, "grid", paper, read_config(Path(complete[0]["folder"]))["report"].get("tables", ()))
    blocks += [
        f"Cell {cell['cell']}, {escape(title)}: `{escape(cell['folder'])}`"
        for cell, title in zip(complete, named, strict=True)
    ]
    write_atomic(folder / "grid.md", "\n\n".join(blocks) + "\n")
    write_atomic(folder / "grid.json", json.dumps(list(cells), indent=2) + "\n")


def _titles(complete: Sequence[Mapping[str, Any]]) -> list[str]:
    folders = [Path(cell["folder"]) for cell in complete]
    return titles([read_metrics(folder)["names"] for folder in folders], [read_config(folder) for folder in folders])


def _rows(cell: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], intervals: bool = True) -> list[list[str]]:
    metrics = read_metrics(Path(cell["folder"]))["metrics"]
    return [[cell["cell"], " ".join(_own(cell, cells)), *line] for line in table(metrics, intervals)]


def _table_run(cell: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> TableRun:
    run = read_metrics(Path(cell["folder"]))
    apart = " ".join(override for override in _own(cell, cells) if not _NAMED.match(override))
    return TableRun(run["names"], run["metrics"], apart)


def _best(complete: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]]) -> str:
    """The cell with the highest S of the row that is its model's score; "" where cells are of several benchmarks."""
    scored = []
    for cell in complete:
        body, config = read_metrics(Path(cell["folder"])), read_config(Path(cell["folder"]))
        row = main_row(selectors_of(config))
        share = body["metrics"]["rows"][row]["S"]["value"]
        if share is not None:
            scored.append((share, cell, body, row))
    if len(scored) < 2 or len({body["names"]["benchmark"] for _, _, body, _ in scored}) > 1:
        return ""
    _, cell, body, row = max(scored, key=itemgetter(0))
    return f"highest S: cell {cell['cell']} ({' '.join(_own(cell, cells))}): {headline(body['metrics'], row)}"


def _own(cell: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The overrides that not all cells have."""
    shared = set.intersection(*(set(other["overrides"]) for other in cells)) if len(cells) > 1 else set()
    return [override for override in cell["overrides"] if override not in shared]


def _print_rows(console: Console, rows: Sequence[Sequence[str]], narrow: Sequence[Sequence[str]]) -> None:
    """The rows of all cells: with intervals, else without, else without the overrides, which the table above has."""
    headers = ("cell", "overrides", *HEADERS)
    for lines in (rows, narrow):
        if width_of(headers, lines) <= console.width:
            _print(console, headers, lines)
            return
    print_table(console, ("cell", *HEADERS), [[line[0], *line[2:]] for line in narrow], left=2, needed=_NEEDED)


def _print(console: Console, headers: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, header in enumerate(headers):
        grid.add_column(header, overflow="fold", justify="left" if i < 3 else "right" if len(headers) > 4 else "left")
    for line in lines:
        grid.add_row(*map(printable, line))
    console.print(grid)
