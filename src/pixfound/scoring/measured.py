"""Figures of regions from the numbers that a metric gives for each example, with their resamples.

Shapes: `S` scores, `K` numbers of a metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pixfound.scoring.bootstrap import Codes, Resampler
from pixfound.scoring.estimates import Array, Estimate, average, combined
from pixfound.scoring.quadrants import whole_pairs
from pixfound.scoring.regions import correlation
from pixfound.scoring.table import UNKNOWN


@dataclass(frozen=True)
class Measured:
    """The scored masks of one row and kind of prompt.

    numbers: (S, K). of, right: (S,) the cluster of each, and whether its question is rightly answered (1, 0, UNKNOWN).
    """

    numbers: Array
    of: Codes
    right: npt.NDArray[np.int8]

    def only(self, which: npt.NDArray[np.bool_]) -> Measured:
        """Some of them."""
        return Measured(self.numbers[which], self.of[which], self.right[which])


Figure = Callable[[Measured, Resampler], Estimate]


def mean(measured: Measured, clusters: Resampler) -> Estimate:
    """The mean of the first number."""
    return clusters.mean(measured.of, measured.numbers[:, 0])


def of_pairs(measured: Measured, clusters: Resampler) -> Estimate:
    """The share of the whole pairs whose two members both have the first number 1."""
    return clusters.mean(*whole_pairs(measured.of, measured.numbers[:, 0] == 1))


def pairs_above(measured: Measured, clusters: Resampler) -> Estimate:
    """The share of the whole pairs whose first numbers have a sum above 0."""
    whole, _ = whole_pairs(measured.of, measured.numbers[:, 0] > 0)
    return clusters.mean(whole, np.bincount(measured.of, weights=measured.numbers[:, 0])[whole] > 0)


def ratio(measured: Measured, clusters: Resampler) -> Estimate:
    """The sum of the first number over that of the second."""
    return clusters.ratio(measured.of, measured.numbers[:, 0], measured.numbers[:, 1])


def right_and(measured: Measured, clusters: Resampler) -> Estimate:
    """The mean of the first number, 0 where the question is wrongly answered; unscored answers are left out."""
    return right_or_zero(measured.only(measured.right != UNKNOWN), clusters)


def right_or_zero(measured: Measured, clusters: Resampler) -> Estimate:
    """The mean of the first number, 0 where the question is not rightly answered, for whatever reason."""
    return clusters.mean(measured.of, measured.numbers[:, 0] * (measured.right == 1))


def mean_where_right(measured: Measured, clusters: Resampler) -> Estimate:
    """The mean of the first number over rightly answered questions."""
    return mean(measured.only(measured.right == 1), clusters)


def matthews(measured: Measured, clusters: Resampler) -> Estimate:
    """The Matthews correlation of the first four numbers: true and false positives and negatives.

    It is 0 where one of them never varies; resamples of which that is true are left out of the interval.
    """
    estimate = combined(correlation, [clusters.mean(measured.of, column) for column in measured.numbers.T[:4]])
    return replace(estimate, value=0.0) if math.isnan(estimate.value) and estimate.count else estimate


def micro_f1(measured: Measured, clusters: Resampler) -> Estimate:
    """Twice the sum of true positives over the sum of instances; the mean over thresholds, each with two numbers."""
    pairs = measured.numbers.T.reshape(-1, 2, len(measured.numbers))
    return average([clusters.ratio(measured.of, 2 * true, total) for true, total in pairs])


def gated(measured: Measured, clusters: Resampler) -> Estimate:
    """`matthews` of the first four numbers times `micro_f1` of the rest."""
    f1_counts = Measured(measured.numbers[:, 4:], measured.of, measured.right)
    return combined(lambda a, b: a * b, [micro_f1(f1_counts, clusters), matthews(measured, clusters)])
