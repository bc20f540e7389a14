"""Agreement of rankings with ties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from pixfound.scoring.estimates import Array


def kendall(x: Sequence[float], y: Sequence[float]) -> float:
    """Kendall's tau-b of two sequences; nan where one of them is all ties."""
    agree = ties_x = ties_y = pairs = 0
    for i, j in combinations(range(len(x)), 2):
        a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
        agree += int(a * b)
        ties_x += a == 0
        ties_y += b == 0
        pairs += 1
    size = math.sqrt((pairs - ties_x) * (pairs - ties_y))
    return float(agree / size) if size else float("nan")


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's rho of two sequences, ties at their mean rank; nan where one of them is all ties."""
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum() / size) if size else float("nan")


def _ranks(values: Sequence[float]) -> Array:
    array = np.asarray(values, dtype=np.float64)
    below = (array[:, None] > array[None]).sum(axis=1)
    same = (array[:, None] == array[None]).sum(axis=1)
    return np.asarray(below + (same + 1) / 2)


def stability(table: Sequence[Sequence[float]]) -> dict[str, float | int | None]:
    """Mean pairwise agreement of rankings. table: one row of figures for each perturbation.

    A perturbation with an unscored figure (nan) has no ranking, and is left out. winner_changes: share of the pairs of
    perturbations without a common winner.
    """
    table = [row for row in table if all(map(math.isfinite, row))]
    pairs = list(combinations(table, 2))
    winners = [{i for i, v in enumerate(row) if v == max(row)} for row in table]
    changes = [not (a & b) for a, b in combinations(winners, 2)]
    return {
        "variations": len(table),
        "ranked": len(table[0]) if table else 0,
        "kendall": _mean([kendall(a, b) for a, b in pairs]),
        "spearman": _mean([spearman(a, b) for a, b in pairs]),
        "winner_changes": _mean([float(c) for c in changes]),
    }


def _mean(values: Sequence[float]) -> float | None:
    finite = [v for v in values if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else None
