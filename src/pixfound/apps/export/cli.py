"""The command `pixfound-export`: a finished run in the files of other programs.

    pixfound-export RUN --format coco --row oracle --to masks.json
    pixfound-export RUN --format fiftyone --row oracle --to masks.json
    pixfound-export RUN --format lmms-eval --kind choice --to samples.jsonl
    pixfound-export RUN --format vlmevalkit --kind choice --to answers.tsv
    pixfound-export RUN --format model-card --row oracle

The exit code is 0, or 2 for a user error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pixfound.errors import UserError, nearest
from pixfound.io.atomic import write_output
from pixfound.io.terminal import complain, prepare
from pixfound.types import KINDS, Kind

FORMATS = ("coco", "fiftyone", "lmms-eval", "vlmevalkit", "model-card")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    prepare()
    options = _parser().parse_args(arguments)
    try:
        text = export(options.run, options.format, options.kind, options.row)
        if options.to is None:
            print(text, end="")
        else:
            write_output(options.to, text)
    except UserError as error:
        complain("pixfound-export", error)
        sys.exit(2)


def export(folder: Path, format: str, kind: Kind | None, row: str | None) -> str:
    """The text of a run in a format. kind: of prompt; None: `ground` for masks, else `choice`. row: None for the first.

    Raises UserError where the run cannot be read or has no such row.
    """
    from pixfound.apps.export import export_formats
    from pixfound.pipeline.run_data import RunData
    from pixfound.pipeline.run_folder import read_metrics

    if not (folder / "metrics.json").is_file():
        raise UserError(f"{folder}: not a finished run, no metrics.json; give the folder of a run")
    run_metrics = read_metrics(folder)
    rows = run_metrics["metrics"]["rows"]
    name = next(iter(rows)) if row is None else row
    if name not in rows:
        raise UserError(f"--row {row}: the run has no such row; {nearest(name, rows)}")
    if format == "model-card":
        return export_formats.model_card(run_metrics, name)
    run = RunData.open(folder)
    if format in ("coco", "fiftyone"):
        entries = {"coco": export_formats.coco_results, "fiftyone": export_formats.fiftyone_labels}[format]
        return json.dumps(entries(run, kind or "ground", name)) + "\n"
    if format == "lmms-eval":
        return "".join(export_formats.lmms_eval_lines(run, kind or "choice"))
    return export_formats.as_tsv(export_formats.vlmevalkit_rows(run, kind or "choice"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pixfound-export", description="A finished run in the files of other programs.")
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder (it holds metrics.json)")
    parser.add_argument("--format", choices=FORMATS, required=True, help="chosen masks, answers, or a card's block")
    parser.add_argument("--kind", choices=KINDS, help="of prompt (default: ground for masks, else choice)")
    parser.add_argument("--row", help="row of the table whose masks are meant (default: the first)")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where to write (default: the console)")
    return parser


if __name__ == "__main__":
    main()
