"""The figures of a cell with their bootstrap draws, and the outcome of every example.

Shapes: `E` examples, which have the same numbers in all cells; `I` items.

A figure is named by a tuple: ("A",), ("A_dagger",), or (name, row) for M, M_dagger and S.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from pixfound.apps.sensitivity.cells import Cell
from pixfound.scoring.bootstrap import Codes, Resampler
from pixfound.scoring.estimates import Array, Estimate
from pixfound.scoring.figures import MIOU, accuracies_of, mean_iou, miou_figures, vqa_figures
from pixfound.scoring.table import UNKNOWN
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
    """The rows shared by all cells, in the order of the first cell."""
    first = list(cells[0].metrics["rows"])
    return [row for row in first if all(row in cell.metrics["rows"] for cell in cells)]


def figures(cell: Cell, rows: Sequence[str], clusters: Resampler) -> dict[Figure, Estimate]:
    """All figures of a cell. clusters: the same for all cells, so that they share their draws."""
    vqa = vqa_figures(accuracies_of(cell.table, clusters), cell.metrics["accuracy_unit"])
    estimates: dict[Figure, Estimate] = {(name,): vqa[name] for name in ("A", "A_dagger")}
    for row in rows:
        mious = {name: mean_iou(cell.table.masks(row, kind), clusters) for name, kind in MIOU}
        estimates |= {(name, row): estimate for name, estimate in miou_figures(mious, vqa["best"]).items()}
    return estimates


def outcomes(cell: Cell, figure: Figure) -> npt.NDArray[np.int8]:
    """(E,) 1 where an answer is correct or an IoU above the threshold, 0 where not; UNKNOWN where unscored."""
    (kind,) = KINDS_OF[figure[0]]
    scores = cell.table.masks(figure[1], kind) if len(figure) > 1 else cell.table.answers(kind)
    results = np.full(len(cell.table.examples), UNKNOWN, dtype=np.int8)
    if len(figure) == 1:
        results[scores["example"]] = scores["correct"]
    else:
        above = scores["iou"] > cell.metrics["iou_threshold"]
        results[scores["example"]] = np.where(np.isnan(scores["iou"]), UNKNOWN, above)
    return results


def flips(cells: Sequence[Cell], figure: Figure) -> Array:
    """(E,) the probability that two different perturbations give an example different outcomes.

    For n perturbations that scored it, k of them correct: 2 k (n - k) / (n (n - 1)). nan where n < 2.
    """
    by_cell = np.array([outcomes(cell, figure) for cell in cells])
    n, k = (by_cell != UNKNOWN).sum(axis=0), (by_cell == 1).sum(axis=0)
    return np.where(n > 1, 2 * k * (n - k) / np.maximum(n * (n - 1), 1), np.nan)


def mean_of_known(values: Array, of: Codes, clusters: Resampler) -> Estimate:
    """The mean of (E,) values, ignoring nan. of: (E,) the examples' clusters."""
    scored = ~np.isnan(values)
    return clusters.mean(of[scored], values[scored])


def correlation(of: Codes, x: Array, y: Array, clusters: Resampler) -> Estimate:
    """Pearson's correlation of (I,) items, also in every resample; nan where one variable is constant.

    of: (I,) their clusters.
    """
    means = [clusters.mean(of, values) for values in (x, y, x * x, y * y, x * y)]
    value = _pearson(*(np.array([mean.value]) for mean in means))
    return Estimate(float(value[0]), len(x), lambda: _pearson(*(mean.draws for mean in means)))


def _pearson(x: Array, y: Array, xx: Array, yy: Array, xy: Array) -> Array:
    """The correlation from the means of x, y, and their products."""
    spread = (xx - x**2) * (yy - y**2)
    moves = spread > 1e-12
    r = np.full_like(x, np.nan)
    r[moves] = np.clip((xy - x * y)[moves] / np.sqrt(spread[moves]), -1, 1)
    return r
