"""The plan of a grid (`dry_run=true`) on the console and as Markdown: its cells, weights, and what is missing here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pixfound.io.atomic import write_atomic
from pixfound.io.text import escape, printable
from pixfound.io.text import grid as markdown

_COLUMNS = ("n", "weights", "memory GB", "time")
_WEIGHTS = ("", "weights", "revision", "GB", "gated", "here")
_YES = {True: "yes", False: "no", None: "?"}
_WIDTH = 100  # where the output goes to a file


def show_plan(cells: Sequence[Mapping[str, Any]], assumption: str, folder: Path | None) -> None:
    """Print the plan, and write it to plan.md and plan.json in `folder`.

    cells: notes with cell, why, and `plan` (`pixfound.apps.dry_run.plan`) where there is one.
    """
    plans = [(cell["cell"], cell["plan"]) for cell in cells if "plan" in cell]
    weights = list({json.dumps(one): one for _, plan in plans for one in plan["weights"]}.values())
    several = len({plan["names"]["benchmark"] for _, plan in plans}) > 1
    names = [*(["benchmark"] if several else []), "model", "extraction", "scoring"]
    headers = ["cell", *names, *_COLUMNS]
    lines = [_line(cell, plan, names, weights) for cell, plan in plans]
    listed = [
        [str(i), one["repo"], one["revision"], _gb(one["gb"]), _YES[one["gated"]], _YES[one["here"]]]
        for i, one in enumerate(weights, start=1)
    ]
    problems = [*_not_here(weights), *_missing(cells)]
    total = _total([plan for _, plan in plans])
    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, markup=False)
    _print(console, headers, lines, left=len(names) + 1)
    if listed:
        _print(console, _WEIGHTS, listed, left=3)
    for line in (total, assumption, f"missing on this machine: {len(problems) or 'nothing'}"):
        console.print(printable(line))
    for problem, where in problems:
        console.print(printable(f"- {problem}{where}"))
    if folder is not None:
        items = "\n".join(f"- {escape(problem)}{escape(where)}" for problem, where in problems) or "Nothing."
        blocks = ["# Plan", markdown(headers, lines), markdown(_WEIGHTS, listed), total, assumption]
        blocks += ["## Missing on this machine", items]
        write_atomic(folder / "plan.md", "\n\n".join(blocks) + "\n")
        write_atomic(folder / "plan.json", json.dumps(list(cells), indent=2) + "\n")
        console.print(printable(f"plan: {folder}/plan.md"), soft_wrap=True)


def _line(cell: str, plan: Mapping[str, Any], names: Sequence[str], weights: Sequence[Mapping[str, Any]]) -> list[str]:
    seconds = plan["seconds"]
    return [
        cell,
        *(str(plan["names"].get(name, "")) for name in names),
        str(plan["examples"]),
        " ".join(str(weights.index(one) + 1) for one in plan["weights"]) or "-",
        _gb(plan["memory_gb"]),
        "?" if seconds is None else _time(sum(seconds.values())),
    ]


def _total(plans: Sequence[Mapping[str, Any]]) -> str:
    """The total time; prompts that several cells ask of one model count once."""
    known = [plan["seconds"] for plan in plans if plan["seconds"] is not None]
    shared = {what: spent for of in known for what, spent in of.items() if what.startswith("generate")}
    apart = sum(spent for of in known for what, spent in of.items() if not what.startswith("generate"))
    unknown = len(plans) - len(known)
    return (
        f"All cells: {_time(sum(shared.values()) + apart)}, where cells share the answers that they have in common"
        + (f"; without {unknown} cells whose weights are not known" if unknown else "")
    )


def _missing(cells: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(problem, cells that have it in brackets), each problem once; "" for all cells."""
    owners: dict[str, list[str]] = {}
    for cell in cells:
        for problem in cell["plan"]["missing"] if "plan" in cell else [cell["why"]]:
            owners.setdefault(problem, []).append(cell["cell"])
    return [
        (problem, "" if len(of) == len(cells) else f" (cells {_ranges(of)})" if len(of) > 1 else f" (cell {of[0]})")
        for problem, of in owners.items()
    ]


def _not_here(weights: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    absent = [one for one in weights if not one["here"]]
    if not absent:
        return []
    size = sum(one["gb"] or 0 for one in absent)
    more = "" if all(one["gb"] for one in absent) else " or more"
    return [(f"{len(absent)} of {len(weights)} weights: the runs fetch {size:.0f} GB{more}", "")]


def _ranges(cells: Sequence[str]) -> str:
    """Numbers of cells, `0003-0005` for those that follow each other."""
    parts: list[list[str]] = []
    for cell in cells:
        if parts and int(cell) == int(parts[-1][-1]) + 1:
            parts[-1].append(cell)
        else:
            parts.append([cell])
    return ", ".join(part[0] if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def _gb(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _print(console: Console, headers: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> None:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, header in enumerate(headers):
        grid.add_column(header, overflow="fold", no_wrap=i < left, justify="left" if i < left else "right")
    for line in lines:
        grid.add_row(*map(printable, line))
    console.print(grid)
