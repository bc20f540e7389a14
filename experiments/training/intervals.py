"""Means with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Item:
    """One measured value. cluster: what is drawn as a whole by the bootstrap, such as a pair."""

    cluster: str
    value: float


def figure(items: Sequence[Item], draws: int = 2000, seed: int = 0) -> dict[str, float | int]:
    """Mean, 95 % percentile interval over resampled clusters, and the number of items.

    >>> figure([Item("a", 1.0), Item("b", 1.0)])
    {'mean': 1.0, 'low': 1.0, 'high': 1.0, 'items': 2}
    """
    names = sorted({item.cluster for item in items})
    where = {name: index for index, name in enumerate(names)}
    sums, counts = np.zeros(len(names)), np.zeros(len(names))
    for item in items:
        sums[where[item.cluster]] += item.value
        counts[where[item.cluster]] += 1
    picks = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    means = sums[picks].sum(1) / counts[picks].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    mean = sums.sum() / counts.sum()
    return {
        "mean": round(float(mean), 4), "low": round(float(low), 4), "high": round(float(high), 4), "items": len(items)
    }  # fmt: skip


def over_seeds(values: Sequence[float], others: Sequence[float] = ()) -> tuple[float, float, float]:
    """Mean and 95 % t-interval over trainings; with `others`, of the difference of the means, by Welch.

    >>> [round(v, 2) for v in over_seeds([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    from scipy import stats

    if others:
        low, high = stats.ttest_ind(values, others, equal_var=False).confidence_interval()
        return float(np.mean(values) - np.mean(others)), float(low), float(high)
    low, high = stats.ttest_1samp(values, 0.0).confidence_interval()
    return float(np.mean(values)), float(low), float(high)
