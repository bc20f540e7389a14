"""The command `pixfound-compare`: paired tests between finished runs.

    pixfound-compare outputs/runs/pixmmvp/a/attend_segment/1f... outputs/runs/pixmmvp/b/attend_segment/9c...
    pixfound-compare RUN --row similarity --row random
    pixfound-compare RUN:oracle OTHER:oracle --json comparison.json

The exit code is 0, or 2 for a user error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pixfound.errors import UserError
from pixfound.io.atomic import write_output
from pixfound.io.terminal import complain, prepare


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    prepare()
    options = _parser().parse_args(arguments)
    try:
        _compare(options)
    except UserError as error:
        complain("pixfound-compare", error)
        sys.exit(2)


def _compare(options: argparse.Namespace) -> None:
    from pixfound.apps.compare.report import csv, latex, markdown, show
    from pixfound.apps.compare.runs import contestants
    from pixfound.apps.compare.significance import Settings
    from pixfound.apps.compare.tournament import play

    settings = Settings(options.resamples, options.permutations, options.level, options.power, options.seed)
    threshold = options.iou_threshold
    if threshold is not None and not 0 < threshold < 1:
        raise UserError(f"--iou-threshold {threshold}: must lie between 0 and 1")
    tournament = play(contestants(options.runs, options.row), settings, options.unit, threshold)
    for path, text in (
        (options.json, json.dumps(tournament.to_json(), indent=2, ensure_ascii=False) + "\n"),
        (options.markdown, markdown(tournament)),
        (options.csv, csv(tournament)),
        (options.latex, latex(tournament)),
    ):
        if path:
            write_output(path, text)
    show(tournament)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pixfound-compare", description="Paired comparison of two or more finished runs.")
    parser.add_argument(
        "runs", nargs="+", metavar="RUN[:ROW]", help="a run's folder (it holds scores.jsonl), and a row"
    )
    parser.add_argument("--row", action="append", default=[], help="row of runs that name none (default: their first)")
    parser.add_argument("--unit", choices=("pair", "item"), help="what A, A† and joint count (default: as in the runs)")
    parser.add_argument("--iou-threshold", type=float, help="above it an object is grounded (default: as in the runs)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the differences as CSV")
    parser.add_argument("--latex", type=Path, metavar="FILE", help="write the tables as LaTeX (booktabs)")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap")
    parser.add_argument("--permutations", type=int, default=10000, help="of the test, at most")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals")
    parser.add_argument("--power", type=float, default=0.8, help="of the detectable difference")
    parser.add_argument("--seed", type=int, default=0, help="of resamples and permutations")
    return parser


if __name__ == "__main__":
    main()
