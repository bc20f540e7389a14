"""Means over the best phrases, each with its bootstrap interval, set against what null models give.

Shapes: `K` phrases of an answer, `F` features of a phrase, `R` draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pixfound.analyses.emergence_points import Emergence
from pixfound.analyses.null_models import Array, Null
from pixfound.scoring.bootstrap import Resampler, numbered
from pixfound.scoring.estimates import figure


class Comparison:
    """Features of every phrase of every answer: their means over the best phrases, and over what each null picks.

    names: of the F features. values: for each emergence (K, F). family: names of features that are tested together, so
    that their p are adjusted for one another. resamples, level, seed: of the bootstrap and of the nulls' draws.

    of: the number of each emergence's cluster. clusters: draws them.
    free: null -> in how many answers it has a choice; in the others it can only pick the phrase that was the best.
    """

    def __init__(
        self,
        emergences: Sequence[Emergence],
        names: Sequence[str],
        values: Sequence[Array],
        nulls: Sequence[Null],
        family: Sequence[str] = (),
        resamples: int = 2000,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.of, size = numbered(e.cluster for e in emergences)
        self.clusters = Resampler(size, resamples, seed)
        self.level = level
        self._index = {name: i for i, name in enumerate(names)}
        self._best = np.array([v[e.best] for e, v in zip(emergences, values, strict=True)])  # (examples, F)
        self._means = [self.clusters.mean(self.of, column) for column in self._best.T]
        self._nulls: dict[str, list[dict[str, float]]] = {}
        self.free: dict[str, int] = {}
        together = [self._index[name] for name in family]
        for number, null in enumerate(nulls):
            rng = np.random.default_rng([seed, number])
            weights = [e.weights(null) for e in emergences]
            expected, drawn = draw_means(weights, values, resamples, rng)
            self.free[null] = sum(int((weight > 0).sum()) > 1 for weight in weights)
            self._nulls[null] = self._against(expected, drawn, together)

    def figure(self, name: str) -> dict[str, Any]:
        """The mean of a feature with its interval; `nulls`: each null's expectation, interval and two-sided p."""
        i = self._index[name]
        nulls = {null: figures[i] for null, figures in self._nulls.items()}
        return {**figure(self._means[i], self.level), "nulls": nulls}

    def count(self, name: str) -> int:
        """The number of best phrases that have a feature whose values are 0 or 1."""
        return int(self._best[:, self._index[name]].sum())

    def _against(self, expected: Array, drawn: Array, together: list[int]) -> list[dict[str, float]]:
        observed = self._best.mean(axis=0)
        p = p_values(observed, expected, drawn)
        if together:
            p[together] = family_p_values(observed[together], expected[together], drawn[:, together])
        half = (1 - self.level) / 2
        low, high = np.quantile(drawn, [half, 1 - half], axis=0)
        columns: Mapping[str, Array] = {"value": expected, "low": low, "high": high, "p": p}
        return [{key: float(column[i]) for key, column in columns.items()} for i in range(len(expected))]


def draw_means(
    weights: Sequence[Array], features: Sequence[Array], draws: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Means over examples of the features of the phrases that a null picks: (F,) expected, (R, F) drawn.

    weights: for each example (K,). features: for each example (K, F).
    """
    size, width = len(weights), features[0].shape[1]
    expected, drawn = np.zeros(width), np.zeros((draws, width))
    for weight, feature in zip(weights, features, strict=True):
        steps = np.cumsum(weight)
        picked = np.searchsorted(steps / steps[-1], rng.random(draws), side="right")
        expected += weight @ feature
        drawn += feature[picked]
    return expected / size, drawn / size


def p_values(observed: Array, expected: Array, drawn: Array) -> Array:
    """(F,) two-sided: how often a draw lies as far from the expectation as what was observed, or farther.

    The observation counts among the draws, so no p is below 1 / (R + 1). observed, expected: (F,); drawn: (R, F).
    """
    far = np.abs(drawn - expected) >= np.abs(observed - expected) - 1e-12
    return np.asarray((1 + far.sum(axis=0)) / (1 + len(drawn)), dtype=np.float64)


def family_p_values(observed: Array, expected: Array, drawn: Array) -> Array:
    """(F,) the same for features that are tested together, such as ten deciles: adjusted by the largest deviation.

    Deviations are in standard deviations of the draws. The chance that any of the adjusted p is below 0.05 is at
    most 0.05 under the null (Westfall and Young 1993, single step).
    """
    spread = drawn.std(axis=0)
    varies = spread > 1e-12
    scale = np.where(varies, spread, 1.0)
    worst = np.where(varies, np.abs(drawn - expected) / scale, 0.0).max(axis=1)
    deviations = np.abs(observed - expected) / scale
    far = worst[:, None] >= np.where(varies, deviations, 0.0)[None, :] - 1e-9
    return np.asarray((1 + far.sum(axis=0)) / (1 + len(drawn)), dtype=np.float64)
