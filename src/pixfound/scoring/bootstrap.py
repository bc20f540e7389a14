"""Means with bootstrap intervals, resampled by cluster.

The two items of a pair share a question and a scene, so they are drawn together: intervals that treat them as
independent are too narrow. All figures of one table use the same draws, which makes S's interval exact too.

Memory does not grow with the resamples: how often each cluster is drawn is drawn anew, from the same seed, whenever
figures need it, a few resamples at a time.

Shapes: `C` clusters, `R` resamples, `B` of these at a time, `I` items, `F` figures.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pixfound.scoring.estimates import Array, Estimate, ratios

Codes = npt.NDArray[np.integer]  # (I,) the number of each item's cluster
_Sums = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]  # clusters, their totals, their counts
Times = npt.NDArray[np.uint8]  # drawn once on average, and over 255 times with a chance below 1e-500
_ROWS, _FIGURES = 32, 32  # resamples and figures in one product
_DRAWN = 512  # resamples that are drawn before figures are laid out for them: 25 MB of 50,000 clusters
# Clusters that are summed up in one product, which OpenBLAS gives to one thread only where it is as small as this.
# Several threads wait for each other longer than they compute, and the last bits depend on how many there are.
_TERMS = 128


class Resampler:
    """Draws clusters 0 to `clusters` - 1 with replacement, the same draws for every figure.

    The resamples of all figures that wait for theirs are computed together: make all that belong together before the
    draws of one are asked for.
    """

    def __init__(self, clusters: int, resamples: int, seed: int) -> None:
        self._clusters, self._resamples, self._seed = clusters, resamples, seed
        self._drawn: list[Array] = []  # (R,) each of the first figures
        self._waiting: list[_Sums] = []  # the sums of the others

    def mean(self, clusters: Codes, values: npt.NDArray[Any]) -> Estimate:
        """The mean of (I,) items of these clusters."""
        numbers = np.asarray(values, dtype=np.float64)
        # Added up in order: the same sum, to the last bit, as the plain loop of the paper's scripts.
        value = float(np.cumsum(numbers)[-1] / len(numbers)) if len(numbers) else float("nan")
        number = len(self._drawn) + len(self._waiting)
        self._waiting.append(_sums(clusters, numbers))
        return Estimate(value, len(numbers), lambda: self._draws(number))

    def ratio(self, clusters: Codes, above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Estimate:
        """The sum of (I,) numbers over the sum of others, of items of these clusters; nan where that is 0."""
        number = len(self._drawn) + len(self._waiting)
        present, totals, _ = _sums(clusters, np.asarray(above, dtype=np.float64))
        totals_below = np.bincount(clusters, weights=below)[present]
        self._waiting.append((present, totals, totals_below))
        denominator = float(np.sum(below))
        value = float(np.sum(above)) / denominator if denominator else float("nan")
        return Estimate(value, len(above), lambda: self._draws(number))

    def median(self, clusters: Codes, values: npt.NDArray[Any]) -> Estimate:
        """The median of (I,) items of these clusters; of an even number, the mean of the two in the middle."""
        order = np.argsort(values, kind="stable")
        numbers, columns = np.asarray(values, dtype=np.float64)[order], np.asarray(clusters)[order]
        value = float(np.median(numbers)) if len(numbers) else float("nan")

        def resample() -> Array:
            return np.concatenate([_medians(numbers, times[:, columns]) for times in self._times(_ROWS)])

        return Estimate(value, len(numbers), resample)

    def auroc(self, clusters: Codes, scores: npt.NDArray[Any], positive: npt.NDArray[np.bool_]) -> Estimate:
        """The chance that a positive of (I,) items has a higher score than a negative, ties counted as half.

        nan where one of the two is missing.
        """
        order = np.argsort(scores, kind="stable")
        columns, positives = np.asarray(clusters)[order], np.asarray(positive)[order]
        _, starts = np.unique(np.asarray(scores)[order], return_index=True)
        once = _aurocs(np.ones((1, len(order)), dtype=np.uint8), positives, starts)

        def resample() -> Array:
            return np.concatenate([_aurocs(times[:, columns], positives, starts) for times in self._times(_ROWS)])

        return Estimate(float(once[0]), len(order), resample)

    def _draws(self, number: int) -> Array:
        if number >= len(self._drawn):
            self._draw()
        return self._drawn[number]

    def _draw(self) -> None:
        """The resamples of all that wait."""
        draws, start = np.empty((len(self._waiting), self._resamples)), 0
        for times in self._times(_DRAWN):
            for first in range(0, len(self._waiting), _FIGURES):
                sums = _product(times, self._beside(self._waiting[first : first + _FIGURES]))  # (B, 2 x F)
                draws[first : first + _FIGURES, start : start + len(times)] = ratios(sums[:, 0::2], sums[:, 1::2]).T
            start += len(times)
        self._drawn += list(draws)
        self._waiting = []

    def _beside(self, figures: Sequence[_Sums]) -> Array:
        """(C, 2 x F) totals and counts of figures."""
        sums = np.zeros((self._clusters, 2 * len(figures)))
        for column, (clusters, totals, counts) in enumerate(figures):
            sums[clusters, 2 * column], sums[clusters, 2 * column + 1] = totals, counts
        return sums

    def _times(self, rows: int) -> Iterator[Times]:
        """Count how often each resample draws each cluster: (B, C), `rows` at most, in an array that is used again."""
        size, rng = self._clusters, np.random.default_rng(self._seed)
        chance = np.full(size, 1 / max(1, size))
        block = np.empty((min(rows, self._resamples), size), dtype=np.uint8)
        for first in range(0, self._resamples, len(block)):
            drawn = block[: self._resamples - first]
            for line in drawn if size else ():
                line[:] = rng.multinomial(size, chance)
            yield drawn


def _sums(clusters: Codes, values: Array) -> _Sums:
    """The clusters that items are of, with the totals of these and their counts."""
    counts = np.bincount(clusters)
    totals = np.bincount(clusters, weights=values)  # in order, too
    present = np.flatnonzero(counts)
    return present, totals[present], counts[present]


def _product(times: Times, sums: Array) -> Array:
    """(B, 2 x F) (B, C) times (C, 2 x F)."""
    products = np.zeros((len(times), sums.shape[1]))
    for row in range(0, len(times), _ROWS):
        block, rows = products[row : row + _ROWS], times[row : row + _ROWS]
        for first in range(0, len(sums), _TERMS):
            block += rows[:, first : first + _TERMS].astype(np.float64) @ sums[first : first + _TERMS]
    return products


def numbered(names: Iterable[Hashable]) -> tuple[Codes, int]:
    """(I,) a number for each name, in the order in which they first come, and how many there are.

    >>> numbered(["b", "a", "b"])
    (array([0, 1, 0], dtype=int32), 2)
    """
    codes: dict[Hashable, int] = {}
    numbers = np.fromiter((codes.setdefault(name, len(codes)) for name in names), dtype=np.int32)
    return numbers, len(codes)


def _medians(numbers: Array, times: Times) -> Array:
    """(R,) the median of each resample. numbers: (I,) in ascending order. times: (R, I) how often each was drawn."""
    if not len(numbers):
        return np.full(len(times), np.nan)
    reached = np.cumsum(times, axis=1, dtype=np.int64)
    totals = reached[:, -1:]
    middle = [(reached <= place).sum(axis=1) for place in ((totals - 1) // 2, totals // 2)]
    low, high = (numbers[np.minimum(index, len(numbers) - 1)] for index in middle)
    return np.where(totals[:, 0] > 0, (low + high) / 2, np.nan)


def _aurocs(times: Times, positive: npt.NDArray[np.bool_], starts: Codes) -> Array:
    """(R,) the AUROC of each resample of items in ascending order of their scores.

    times: (R, I) how often each was drawn. starts: the first item of each score.
    """
    if not len(positive):
        return np.full(len(times), np.nan)
    positives = np.add.reduceat(np.where(positive, times, 0), starts, axis=1, dtype=np.float64)  # (R, scores)
    negatives = np.add.reduceat(np.where(positive, 0, times), starts, axis=1, dtype=np.float64)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return ratios((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))
