"""Means with bootstrap intervals, resampled by cluster.

The two items of a pair share a question and a scene, so they are drawn together: intervals that treat them as
independent are too narrow. All figures of one table use the same draws, which makes S's interval exact too.

Shapes: `C` clusters, `R` resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """value: the figure, in [0, 1]; nan where nothing was scored. draws: (R,) its resamples. count: scored items."""

    value: float
    draws: Array
    count: int

    def interval(self, level: float) -> tuple[float, float]:
        """The central percentile interval; (nan, nan) where there is none."""
        known = self.draws[np.isfinite(self.draws)]
        if not len(known):
            return float("nan"), float("nan")
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


class Resampler:
    """Draws clusters with replacement, the same draws for every figure. clusters: the name of each, no doubles."""

    def __init__(self, clusters: Iterable[str], resamples: int, seed: int) -> None:
        self._index = {name: i for i, name in enumerate(clusters)}
        size = len(self._index)
        rng = np.random.default_rng(seed)
        self._weights = (
            rng.multinomial(size, np.full(size, 1 / size), size=resamples) if size else np.zeros((resamples, 0))
        )

    def mean(self, values: Sequence[tuple[str, float]]) -> Estimate:
        """The mean of (cluster, value) items."""
        totals, counts = np.zeros(len(self._index)), np.zeros(len(self._index))
        for cluster, value in values:
            totals[self._index[cluster]] += value
            counts[self._index[cluster]] += 1
        return Estimate(
            _ratio(totals.sum(), counts.sum()), _ratios(self._weights @ totals, self._weights @ counts), len(values)
        )


def harmonic(a: Estimate, b: Estimate) -> Estimate:
    """2 / (1/a + 1/b); 0 where both are 0 (the score S of arXiv 2502.04192)."""
    draws = _ratios(2 * a.draws * b.draws, a.draws + b.draws, of_nothing=0.0)
    value = float(_ratios(np.array([2 * a.value * b.value]), np.array([a.value + b.value]), of_nothing=0.0)[0])
    return Estimate(value, draws, min(a.count, b.count))


def larger(a: Estimate, b: Estimate) -> Estimate:
    """The larger of two figures, in every resample too; one that was not scored is left out."""
    value = float(np.fmax(a.value, b.value))
    return Estimate(value, np.fmax(a.draws, b.draws), max(a.count, b.count))


def _ratio(total: float, count: float) -> float:
    return float(total / count) if count else float("nan")


def _ratios(totals: Array, counts: Array, of_nothing: float = float("nan")) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts == 0, of_nothing, totals / counts)
