"""The command `pixfound-runs`: the finished runs with the options in which they differ, and their figures.

    pixfound-runs                            all below outputs/runs
    pixfound-runs outputs/runs/pixmmvp --sort S

The exit code is 0, or 2 for a user error.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.io.terminal import complain, prepare, say

log = logging.getLogger(__name__)
_FIGURES = ("A", "A_dagger", "M", "M_dagger", "S")
_HEADERS = ("date", "benchmark", "model", "extraction", "options", "n", "row", "A", "A†", "M", "M†", "S", "run")
_TEXTS = 5  # columns of words before the numbers
_WIDTH = 200  # where the output goes to a file


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    prepare()
    options = _parser().parse_args(arguments)
    from pixfound.pipeline.run_folder import find_runs

    try:
        lines = read_lines(find_runs(options.runs))
        if options.sort == "date":
            lines.sort(key=lambda line: line["date"] or "")
        elif options.sort:
            lines.sort(key=lambda line: line[options.sort] if line[options.sort] is not None else -1.0)
        if options.json:
            say(json.dumps(lines, ensure_ascii=False))
        else:
            _print(lines)
    except UserError as error:
        complain("pixfound-runs", error)
        sys.exit(2)


def read_lines(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """A line for each run that can be read: date, names, options, examples, main row, its figures, folder.

    options: KEY=VALUE in which runs of the same benchmark, model and extraction differ. date: of the last command, None
    where an older version wrote the run. Runs that cannot be read are warned about.
    """
    from pixfound.pipeline.run_folder import read_config, read_metrics
    from pixfound.pipeline.run_names import differing, flat, main_row, model_name, selectors_of

    runs = []
    for folder in folders:
        try:
            body, config = read_metrics(folder), read_config(folder)
            row = main_row(selectors_of(config))
            vqa, masks = body["metrics"]["vqa"], body["metrics"]["rows"][row]
            names = dict(body["names"])
            figures = {name: (vqa if name in vqa else masks)[name]["value"] for name in _FIGURES}
            examples = body["metrics"]["examples"]
        except (UserError, KeyError, TypeError) as error:
            log.warning("%s: left out, it cannot be read: %s", folder, error)
            continue
        about = {**names, "model": model_name(names, config), "examples": examples, "row": row, **figures}
        runs.append((folder, flat(config), {"date": _date(folder), **about, "folder": str(folder)}))
    lines = []
    for _, config, line in runs:
        alike = [other for _, other, of in runs if all(of[k] == line[k] for k in ("benchmark", "model", "extraction"))]
        lines.append({**line, "options": differing(config, alike)})
    return lines


def _date(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["commands"][-1]["date"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _print(lines: Sequence[Mapping[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from pixfound.io.text import printable

    console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, markup=False)
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, header in enumerate(_HEADERS):
        grid.add_column(header, overflow="fold", justify="left" if i < _TEXTS or header in ("row", "run") else "right")
    for line in lines:
        date = (line["date"] or "-").replace("T", " ")[:16]
        words = [date, line["benchmark"], line["model"], line["extraction"], " ".join(line["options"])]
        shares = ["-" if line[name] is None else f"{100 * line[name]:.1f}" for name in _FIGURES]
        cells = [*words, str(line["examples"]), line["row"], *shares, Path(line["folder"]).name[:8]]
        grid.add_row(*map(printable, cells))
    console.print(grid)
    for line in lines:
        console.print(printable(f"{Path(line['folder']).name[:8]}: {line['folder']}"), soft_wrap=True, style="dim")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pixfound-runs", description="Finished runs: what differs, and what came out.")
    parser.add_argument(
        "runs",
        nargs="*",
        default=["outputs/runs"],
        metavar="FOLDER",
        help="a folder above runs (default: outputs/runs)",
    )
    parser.add_argument("--sort", choices=("date", *_FIGURES), help="in this order, the last or the best at the end")
    parser.add_argument("--json", action="store_true", help="as JSON, with whole folders and unrounded figures")
    return parser


if __name__ == "__main__":
    main()
