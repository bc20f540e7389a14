"""Means with bootstrap intervals, resampled by cluster.

The two items of a pair share a question and a scene, so they are drawn together: intervals that treat them as
independent are too narrow. All figures of one table use the same draws, which makes S's interval exact too.

Shapes: `C` clusters, `R` resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_ROWS = 100  # resamples that are drawn, or multiplied, at once, which bounds it too
_TOGETHER = 128  # figures whose resamples are computed in one product, which bounds its memory


@dataclass(frozen=True)
class Estimate:
    """value: the figure, in [0, 1]; nan where nothing was scored. count: scored items.

    resample: makes `draws`, (R,) the figure's resamples, when they are first asked for.
    """

    value: float
    count: int
    resample: Callable[[], Array]

    @cached_property
    def draws(self) -> Array:
        """(R,) the figure in every resample; nan where it holds nothing scored."""
        return self.resample()

    def interval(self, level: float) -> tuple[float, float]:
        """The central percentile interval; (nan, nan) where there is none."""
        known = self.draws[np.isfinite(self.draws)]
        if not len(known):
            return float("nan"), float("nan")
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


class Resampler:
    """Draws clusters with replacement, the same draws for every figure. clusters: the name of each, no doubles.

    The resamples of all figures that wait for theirs are computed together, in one matrix product.
    """

    def __init__(self, clusters: Iterable[str], resamples: int, seed: int) -> None:
        self._index = {name: i for i, name in enumerate(clusters)}
        size = len(self._index)
        rng = np.random.default_rng(seed)
        self._weights = np.zeros((resamples, size), dtype=np.min_scalar_type(size))  # (R, C) how often each was drawn
        for rows in _blocks(self._weights) if size else ():
            rows[:] = rng.multinomial(size, np.full(size, 1 / size), size=len(rows))
        self._waiting: list[Array] = []  # (C, 2) totals and counts of each figure
        self._drawn: list[Array] = []

    def mean(self, values: Sequence[tuple[str, float]]) -> Estimate:
        """The mean of (cluster, value) items."""
        sums = np.zeros((len(self._index), 2))
        total = 0.0  # added up in order: the same sum, to the last bit, as the plain loop of the paper's scripts
        for cluster, value in values:
            sums[self._index[cluster]] += (value, 1.0)
            total += value
        number = len(self._drawn) + len(self._waiting)
        self._waiting.append(sums)
        if len(self._waiting) == _TOGETHER:
            self._draws(number)
        return Estimate(_ratio(total, len(values)), len(values), lambda: self._draws(number))

    def _draws(self, number: int) -> Array:
        if number >= len(self._drawn):
            waiting = np.concatenate(self._waiting, axis=1)  # (C, 2 x figures)
            both = np.concatenate([rows.astype(np.float64) @ waiting for rows in _blocks(self._weights)])
            self._drawn += list(_ratios(both[:, 0::2], both[:, 1::2]).T)
            self._waiting = []
        return self._drawn[number]

    def median(self, values: Sequence[tuple[str, float]]) -> Estimate:
        """The median of (cluster, value) items; of an even number, the mean of the two in the middle."""
        ordered = sorted(values, key=lambda item: item[1])
        numbers = np.array([value for _, value in ordered])
        columns = [self._index[cluster] for cluster, _ in ordered]
        value = float(np.median(numbers)) if values else float("nan")

        def resample() -> Array:
            return np.concatenate([_medians(numbers, rows[:, columns]) for rows in _blocks(self._weights)])

        return Estimate(value, len(values), resample)


def harmonic(a: Estimate, b: Estimate) -> Estimate:
    """2 / (1/a + 1/b); 0 where both are 0 (the score S of arXiv 2502.04192)."""
    value = float(_harmonic(np.array([a.value]), np.array([b.value]))[0])
    return Estimate(value, min(a.count, b.count), lambda: _harmonic(a.draws, b.draws))


def larger(a: Estimate, b: Estimate) -> Estimate:
    """The larger of two figures, in every resample too; one that was not scored is left out."""
    return Estimate(float(np.fmax(a.value, b.value)), max(a.count, b.count), lambda: np.fmax(a.draws, b.draws))


def average(parts: Sequence[Estimate]) -> Estimate:
    """The unweighted mean of figures, as CV-Bench takes it over its sources; nan where one of them was not scored."""
    value = float(np.mean([part.value for part in parts])) if parts else float("nan")
    count = sum(part.count for part in parts)
    return Estimate(value, count, lambda: np.mean([part.draws for part in parts], axis=0) if parts else np.zeros(0))


def minus(a: Estimate, b: Estimate) -> Estimate:
    """A - b, in every resample too: both must come from the same draws."""
    return Estimate(a.value - b.value, min(a.count, b.count), lambda: a.draws - b.draws)


def figure(estimate: Estimate, level: float) -> dict[str, Any]:
    """An estimate as JSON: value, low and high end of its interval, count; null where there is none."""
    low, high = estimate.interval(level)
    return {"value": _known(estimate.value), "low": _known(low), "high": _known(high), "count": estimate.count}


def _blocks(weights: npt.NDArray[np.unsignedinteger]) -> list[npt.NDArray[np.unsignedinteger]]:
    """Views of some rows each."""
    return [weights[first : first + _ROWS] for first in range(0, len(weights), _ROWS)]


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _harmonic(a: Array, b: Array) -> Array:
    return _ratios(2 * a * b, a + b, of_nothing=0.0)


def _medians(numbers: Array, times: npt.NDArray[np.unsignedinteger]) -> Array:
    """(R,) the median of each resample. numbers: (I,) in ascending order. times: (R, I) how often each was drawn."""
    if not len(numbers):
        return np.full(len(times), np.nan)
    reached = np.cumsum(times, axis=1, dtype=np.int64)
    totals = reached[:, -1:]
    middle = [(reached <= place).sum(axis=1) for place in ((totals - 1) // 2, totals // 2)]
    low, high = (numbers[np.minimum(index, len(numbers) - 1)] for index in middle)
    return np.where(totals[:, 0] > 0, (low + high) / 2, np.nan)


def _ratio(total: float, count: float) -> float:
    return float(total / count) if count else float("nan")


def _ratios(totals: Array, counts: Array, of_nothing: float = float("nan")) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts == 0, of_nothing, totals / counts)
