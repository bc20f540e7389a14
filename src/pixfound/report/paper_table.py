"""The table of runs in the layout of the paper: rows by group, columns A, A†, M, M†, S for each benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixfound.io.atomic import write_atomic
from pixfound.io.table_formats import ENDINGS, GroupedTable, as_csv, as_latex
from pixfound.scoring.formatting import plain

COLUMNS = ("A", "A†", "M", "M†", "S")
_CONTROLS = ("first", "best_score", "random", "random_point", "centre_point", "empty", "full")
_GROUPS = {
    "native": "Pixel-level MLLM: its own masks",
    "masks": "Pixel-level MLLM: its own masks",
    "text_box": "Plain MLLM: boxes that it writes, then a segmenter",
    "text_point": "Plain MLLM: points that it writes, then a segmenter",
    "text_mask": "MLLM: masks that it writes",
    "similarity": "Attend and segment: choice by similarity (a+s)",
    "automatic": "Attend and segment: choice by a judge (automatic)",
}
_ORACLES = {  # by extraction
    "attend_segment": "Attend and segment: oracle, an upper bound",
    "automatic": "Attend and segment: oracle, an upper bound",
    "text_box": "Plain MLLM: the best of the boxes that it writes (oracle, an upper bound)",
}

Figure = Mapping[str, Any]


@dataclass(frozen=True)
class TableRun:
    """A run to show. names, metrics: those of its metrics.json. apart: what sets it apart besides its names."""

    names: Mapping[str, str]
    metrics: Mapping[str, Any]
    apart: str = ""

    @property
    def block(self) -> tuple[str, str]:
        """The benchmark and the scoring: its block of columns."""
        return self.names["benchmark"], self.names.get("scoring", "")

    @property
    def label(self) -> str:
        """The model, with what sets the run apart."""
        return f"{self.names['model']} {self.apart}".rstrip()

    def figures(self, row: str) -> list[Figure]:
        """The figures of a row of its table, in the order of COLUMNS."""
        vqa, masks = self.metrics["vqa"], self.metrics["rows"][row]
        return [vqa["A"], vqa["A_dagger"], masks["M"], masks["M_dagger"], masks["S"]]


@dataclass(frozen=True)
class PaperTable:
    """Figures by (group, label) and block of columns, all in order of appearance; those missing are not there.

    blocks: (benchmark, scoring).
    """

    blocks: Sequence[tuple[str, str]]
    figures: Mapping[tuple[str, str], Mapping[tuple[str, str], Sequence[Figure]]]

    def texts(self) -> GroupedTable:
        """The table in percent, `-` where there is no figure."""
        groups: dict[str, list[tuple[str, list[str]]]] = {}
        for (group, label), of in self.figures.items():
            empty = ["-"] * len(COLUMNS)
            cells = [c for block in self.blocks for c in ([*map(plain, of[block])] if block in of else empty)]
            groups.setdefault(group, []).append((label, cells))
        return GroupedTable("model", [(title, COLUMNS) for title in self.titles], list(groups.items()))

    @property
    def titles(self) -> list[str]:
        """A title for each block; the scoring where it is not the same in all."""
        several = len({scoring for _, scoring in self.blocks}) > 1
        return [f"{benchmark}, {scoring}" if several else benchmark for benchmark, scoring in self.blocks]

    def csv(self) -> str:
        """A line for each row and block: figures in percent, unrounded, each with the ends of its interval."""
        figures = [f"{name}{end}" for name in COLUMNS for end in ("", " low", " high")]
        lines: list[list[str | float | None]] = [
            [group, label, *block, *(_percent(figure[end]) for figure in of[block] for end in ("value", "low", "high"))]
            for (group, label), of in self.figures.items()
            for block in self.blocks
            if block in of
        ]
        return as_csv(["group", "model", "benchmark", "scoring", *figures], lines)


def paper_table(runs: Sequence[TableRun]) -> PaperTable:
    """The table of some runs; of a single one its rows, controls too, under its name.

    Of several runs the controls (`random`, `empty` ...) are left out where a run has other rows.
    """
    blocks = list(dict.fromkeys(run.block for run in runs))
    cells: dict[tuple[str, str], dict[tuple[str, str], Sequence[Figure]]] = {}
    for run in runs:
        rows = list(run.metrics["rows"])
        if len(runs) > 1:
            rows = [row for row in rows if row not in _CONTROLS] or rows
        for row in rows:
            one = (f"{run.label}, {run.names['extraction']}", row)
            place = one if len(runs) == 1 else (_group(run.names["extraction"], row), run.label)
            cells.setdefault(place, {})[run.block] = run.figures(row)
    order = list(dict.fromkeys(group for group, _ in cells))
    return PaperTable(blocks, dict(sorted(cells.items(), key=lambda cell: order.index(cell[0][0]))))


def write_tables(folder: Path, stem: str, table: PaperTable, formats: Sequence[str]) -> None:
    """Write STEM.csv (`csv`), STEM.tex (`latex`) to a folder, as far as they are asked for."""
    for name in formats:
        write_atomic(folder / f"{stem}.{ENDINGS[name]}", table.csv() if name == "csv" else as_latex(table.texts()))


def _group(extraction: str, row: str) -> str:
    known = _ORACLES.get(extraction) if row == "oracle" else _GROUPS.get(row)
    return known or (extraction if row == extraction else f"{extraction}: {row}")


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
