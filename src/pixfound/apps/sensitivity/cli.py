"""The command `pixfound-sensitivity`: analysis of finished runs. It loads no model."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pixfound.errors import UserError
from pixfound.io.terminal import complain, prepare


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the exit code is 0 on success, 2 for a user error."""
    prepare()
    parser = argparse.ArgumentParser(
        prog="pixfound-sensitivity",
        description="How much the figures move over the variations of a sweep: worst, best, spread, flips, ranks.",
        epilog="example: pixfound -m experiment=sensitivity; pixfound-sensitivity outputs/runs/pixshapes/tiny",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run, a folder above several, or a pattern")
    parser.add_argument("--row", help="row of the runs' tables to show (default: the first)")
    parser.add_argument("--out", type=Path, help="for sensitivity.json and .md (default: the folder above all runs)")
    parser.add_argument("--resamples", type=int, default=2000, help="of the bootstrap (default: %(default)s)")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: %(default)s)")
    options = parser.parse_args(arguments)
    from pixfound.apps.sensitivity.report import report
    from pixfound.pipeline.run_folder import find_runs

    try:
        if options.resamples < 100 or not 0 < options.level < 1 or options.seed < 0:
            raise UserError("--resamples must be 100 or more, --level between 0 and 1, --seed 0 or more")
        runs = find_runs(options.runs)
        out = options.out or Path(os.path.commonpath([run.parent for run in runs]))
        report(runs, out, options.row, options.resamples, options.level, options.seed)
    except UserError as error:
        complain("pixfound-sensitivity", error)
        sys.exit(2)


if __name__ == "__main__":
    main()
