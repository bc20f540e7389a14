"""`make bench`: speed as ratios against a named baseline, both measured in turn in the same run.

Results go to outputs/bench/bench.json. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.speed import answering, commands, extraction, page, scoring, sharing, sources

Row = dict[str, Any]


def main() -> None:
    """Measure part by part: each row is printed and written when it is known, a part that fails is a row too."""
    options = _options()
    target = Path(options.out)
    target.parent.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    with TemporaryDirectory() as folder:
        for name, measure in _parts(Path(folder), options).items():
            if name in options.only:
                for row in _rows(name, measure):
                    rows.append(row)
                    target.write_text(json.dumps(rows, indent=2) + "\n")
                    print(_line(row), flush=True)
    print(f"written to {target}")
    failed = [row["name"] for row in rows if "error" in row]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _rows(name: str, measure: Callable[[], Iterable[Row]]) -> Iterator[Row]:
    """The rows of a part, with a last one that has an `error` where it fails."""
    try:
        yield from measure()
    except Exception as error:  # whatever it is, the other parts are measured
        traceback.print_exc()
        said = [f"{type(error).__name__}: {error}", getattr(error, "stderr", None) or ""]
        yield {"name": name, "error": "\n".join(said).strip()}


def _line(row: Row) -> str:
    if "error" in row:
        return f"{row['name']:<48} failed: {row['error'].splitlines()[0]}"
    figures = f"{row['ours']:9.3f} {row['baseline']:9.3f} {row['unit']}"
    return f"{row['name']:<48} {figures:<30} x{row['ratio']:.3f} ({row['ratio_min']:.3f} to {row['ratio_max']:.3f})"


def _parts(folder: Path, options: argparse.Namespace) -> dict[str, Callable[[], Iterable[Row]]]:
    def model(name: str, vocabulary: int = 0) -> Path:
        answering.save_model(folder / name, options.layers, options.width, vocabulary)
        return folder / name

    return {
        "answers": lambda: answering.measure(model("answers"), options),
        "sources": lambda: sources.measure(model("sources", sources.VOCABULARY), options),
        "extraction": lambda: [extraction.measure_extraction(folder / "segmenter", options)],
        "scoring": lambda: [scoring.measure_scoring(_made(folder / "scoring"), options.repeats)],
        "sharing": lambda: [sharing.measure_sharing(options.repeats, options.batches)],
        "commands": lambda: commands.measure(_made(folder / "commands"), options),
        "scale": lambda: commands.measure_scale(_made(folder / "scale"), options),
        "page": lambda: page.measure(_made(folder / "page"), options),
    }


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _options() -> argparse.Namespace:
    parts = ("answers", "sources", "extraction", "scoring", "sharing", "commands", "scale", "page")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, help="parts to measure")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="of the part `sources`")
    parser.add_argument("--layers", type=int, default=12, help="decoder layers")
    parser.add_argument("--width", type=int, default=512, help="decoder width")
    parser.add_argument("--least", type=int, default=48, help="new tokens at least")
    parser.add_argument("--tokens", type=int, default=96, help="new tokens at most")
    parser.add_argument("--images", type=int, default=4, help="images, each with three prompts")
    parser.add_argument("--side", type=int, default=512, help="pixels of the segmenter's square")
    parser.add_argument("--batches", type=int, default=48, help="batches that two processes share")
    parser.add_argument("--pairs", type=int, default=150, help="pairs of a full run; PixMMVP has as many")
    parser.add_argument(
        "--examples", type=int, default=10_000, help="examples of a small run over records; the large: ten times"
    )
    parser.add_argument("--page-examples", type=int, default=1438, help="examples of the page")
    parser.add_argument("--full-run-s", type=float, default=1 / 0.669, help="seconds an example of a full run takes")
    parser.add_argument("--out", default="outputs/bench/bench.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
