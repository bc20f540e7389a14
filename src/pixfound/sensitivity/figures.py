"""The figures of a cell with their bootstrap draws, and the outcome of every example.

A figure is named by a tuple: ("A",), ("A_dagger",), or (name, row) for M, M_dagger and S.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pixfound.scoring.bootstrap import Array, Estimate, Resampler
from pixfound.scoring.metrics import miou_figures, vqa_figures
from pixfound.sensitivity.cells import Cell
from pixfound.types import Kind

Figure = tuple[str, ...]
KINDS_OF: Mapping[str, tuple[Kind, ...]] = {
    "A": ("open",),
    "A_dagger": ("choice",),
    "M": ("open",),
    "M_dagger": ("ground",),
    "S": ("open", "choice", "ground"),
}


def rows_of(cells: Sequence[Cell]) -> list[str]:
    """The rows that all cells have, in the first one's order."""
    first = list(cells[0].metrics["rows"])
    return [row for row in first if all(row in cell.metrics["rows"] for cell in cells)]


def figures(cell: Cell, rows: Sequence[str], clusters: Resampler) -> dict[Figure, Estimate]:
    """All figures of a cell. clusters: the same for all cells, so that they share their draws."""
    vqa = vqa_figures([s for s in cell.scores if s.row is None], cell.metrics["accuracy_unit"], clusters)
    found: dict[Figure, Estimate] = {(name,): vqa[name] for name in ("A", "A_dagger")}
    for row in rows:
        masks = miou_figures([s for s in cell.scores if s.row == row], vqa["best"], clusters)
        found |= {(name, row): masks[name] for name in ("M", "M_dagger", "S")}
    return found


def outcomes(cell: Cell, figure: Figure) -> dict[str, bool]:
    """Example id -> whether its answer is right, or its IoU above the threshold; what is unscored is left out."""
    (kind,) = KINDS_OF[figure[0]]
    row = figure[1] if len(figure) > 1 else None
    mine = [s for s in cell.scores if s.kind == kind and s.row == row]
    if row is None:
        return {s.example_id: s.correct for s in mine if s.correct is not None}
    threshold = cell.metrics["iou_threshold"]
    return {s.example_id: s.iou > threshold for s in mine if s.iou is not None}


def flips(cells: Sequence[Cell], figure: Figure) -> dict[str, float]:
    """Example id -> chance that two different variations give it different outcomes.

    Of n variations that scored it, k of them with success: 2 k (n - k) / (n (n - 1)). Left out where n < 2.
    """
    by_cell = [outcomes(cell, figure) for cell in cells]
    rates = {}
    for id in dict.fromkeys(id for found in by_cell for id in found):
        seen = [found[id] for found in by_cell if id in found]
        n, k = len(seen), sum(seen)
        if n > 1:
            rates[id] = 2 * k * (n - k) / (n * (n - 1))
    return rates


def correlation(pairs: Sequence[tuple[str, float, float]], clusters: Resampler) -> Estimate:
    """Pearson's correlation of (cluster, x, y) items, in every resample too; nan where one of them never moves."""
    x, y = clusters.mean([(c, x) for c, x, _ in pairs]), clusters.mean([(c, y) for c, _, y in pairs])
    xx, yy = clusters.mean([(c, x * x) for c, x, _ in pairs]), clusters.mean([(c, y * y) for c, _, y in pairs])
    xy = clusters.mean([(c, x * y) for c, x, y in pairs])
    value = _pearson(*(np.array([e.value]) for e in (x, y, xx, yy, xy)))
    return Estimate(float(value[0]), len(pairs), lambda: _pearson(*(e.draws for e in (x, y, xx, yy, xy))))


def _pearson(x: Array, y: Array, xx: Array, yy: Array, xy: Array) -> Array:
    """The correlation from the means of x, y, and their products."""
    spread = (xx - x**2) * (yy - y**2)
    moves = spread > 1e-12
    r = np.full_like(x, np.nan)
    r[moves] = np.clip((xy - x * y)[moves] / np.sqrt(spread[moves]), -1, 1)
    return r
