"""Figures with their resamples, and what is made of them: from the same draws, so that its interval is exact too.

Shapes: `R` resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


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
        finite = self.draws[np.isfinite(self.draws)]
        if not len(finite):
            return float("nan"), float("nan")
        low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def harmonic(a: Estimate, b: Estimate) -> Estimate:
    """The harmonic mean of two figures, in every resample too."""
    value = float(harmonic_mean(np.array([a.value]), np.array([b.value]))[0])
    return Estimate(value, min(a.count, b.count), lambda: harmonic_mean(a.draws, b.draws))


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


def combined(function: Callable[..., Array], parts: Sequence[Estimate]) -> Estimate:
    """A function of figures, in every resample too. function: of (...) arrays, one for each figure."""
    value = float(function(*(np.array([part.value]) for part in parts))[0])
    return Estimate(value, min(part.count for part in parts), lambda: function(*(part.draws for part in parts)))


def figure(estimate: Estimate, level: float) -> dict[str, Any]:
    """An estimate as JSON: value, low and high end of its interval, count; null where there is none."""
    low, high = estimate.interval(level)
    return {"value": _finite(estimate.value), "low": _finite(low), "high": _finite(high), "count": estimate.count}


def plain(node: Any, level: float) -> Any:
    """A tree with every estimate in it as JSON. Made last, so that the draws of all of them are computed together."""
    if isinstance(node, Estimate):
        return figure(node, level)
    if isinstance(node, list):
        return [plain(child, level) for child in node]
    return {key: plain(child, level) for key, child in node.items()} if isinstance(node, dict) else node


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def ratios(totals: Array, counts: Array, of_nothing: float = float("nan")) -> Array:
    """Totals / counts, and `of_nothing` where the count is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts == 0, of_nothing, totals / counts)


def harmonic_mean(a: Array, b: Array) -> Array:
    """(...) 2 / (1/a + 1/b); 0 where both are 0 (the score S of arXiv 2502.04192)."""
    return ratios(2 * a * b, a + b, of_nothing=0.0)
