"""Means with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RunExample:
    """One measured value. cluster: what is drawn as a whole by the bootstrap, such as a pair."""

    cluster: str
    value: float


def figure(items: Sequence[RunExample], draws: int = 2000, seed: int = 0) -> dict[str, float | int]:
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
