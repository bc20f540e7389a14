"""Significance of differences: bootstrap interval, permutation test, effect size, power.

All statistics are computed by cluster (the two images of a pair are not independent), and on the reported figures:
S and the joint score choose the better prompt of each row anew in every resample and every permutation.

Shapes: `R` resamples or permutations, `C` clusters, `F` base figures, `G` reported figures.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pixfound.apps.compare.figures import FIGURES, better_prompts, figures
from pixfound.apps.compare.pairing import BASES, JOINTS, Paired
from pixfound.errors import UserError
from pixfound.scoring.bootstrap import Codes, Resampler
from pixfound.scoring.estimates import Array, harmonic_mean, ratios

_BLOCK = 1000  # permutations made together, which bounds the memory
_EQUAL = 1e-12  # sums in another order differ by this much


@dataclass(frozen=True)
class Settings:
    """Options of a comparison.

    resamples: number in the bootstrap. level: of its intervals, and of significance in `detectable`. permutations:
    largest number in the test. power: of `detectable`.
    """

    resamples: int = 2000
    permutations: int = 10000
    level: float = 0.95
    power: float = 0.8
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 100 or self.permutations < 100:
            raise UserError("--resamples and --permutations: give 100 or more")
        if not 0 < self.level < 1:
            raise UserError(f"--level {self.level}: must lie between 0 and 1")
        if not 0 < self.power < 1:
            raise UserError(f"--power {self.power}: must lie between 0 and 1")

    @property
    def quantiles(self) -> float:
        """Number of standard errors of a difference that the test finds with the given power."""
        normal = NormalDist()
        return normal.inv_cdf((1 + self.level) / 2) + normal.inv_cdf(self.power)


@dataclass(frozen=True)
class Difference:
    """One figure of two rows; shares in [0, 1], the difference is second minus first.

    low, high: the bootstrap's percentile interval of the difference. p: two-sided, of the permutation test that swaps
    the two rows in random clusters (exact: in all possible ways). p_holm: adjusted for the comparisons of this figure.
    d_z: mean over standard deviation of the clusters' differences (for S, which has no value by cluster, of its
    jackknife pseudo-values), None where they are all equal. wins, losses, ties: clusters in which the second is better,
    worse, equal; None for S. detectable: the smallest difference that a two-sided test at this level finds with the
    given power, for clusters with the same variance.
    """

    first: float
    second: float
    value: float
    low: float
    high: float
    p: float
    exact: bool
    d_z: float | None
    clusters: int
    detectable: float | None
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None
    p_holm: float | None = None

    @property
    def odds(self) -> float | None:
        """Ratio of wins to losses; None where there is no loss."""
        return self.wins / self.losses if self.wins is not None and self.losses else None


def compare(paired: Paired, settings: Settings) -> dict[str, Difference]:
    """The difference in every figure that both rows have, by name."""
    totals, counts = paired.sums.sum(axis=1), paired.counts.sum(axis=0)
    first, second = (figures(ratios(total, counts)) for total in totals)
    observed = second - first
    low, high = _interval(paired, settings)
    p, exact = permutation(paired.sums, counts, settings.permutations, settings.seed)
    differences_by_figure = {}
    for g, name in enumerate(FIGURES):
        if not np.isfinite(observed[g]):
            continue
        values = _cluster_values(paired, name)
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        wins, losses = int((values > _EQUAL).sum()), int((values < -_EQUAL).sum())
        record = (None, None, None) if name == "S" else (wins, losses, len(values) - wins - losses)
        differences_by_figure[name] = Difference(
            first=float(first[g]),
            second=float(second[g]),
            value=float(observed[g]),
            low=float(low[g]),
            high=float(high[g]),
            p=float(p[g]),
            exact=exact,
            d_z=float(values.mean()) / spread if spread > _EQUAL else None,
            clusters=len(values),
            detectable=spread / len(values) ** 0.5 * settings.quantiles if math.isfinite(spread) else None,
            wins=record[0],
            losses=record[1],
            ties=record[2],
        )
    return differences_by_figure


def permutation(sums: Array, counts: Array, permutations: int, seed: int) -> tuple[Array, bool]:
    """(p, exact): (G,) two-sided p-values of swapping the rows in clusters, and True if all swaps were enumerated.

    sums: (2, C, F); counts: (F,). Under the null hypothesis the two rows' results of a cluster are exchangeable.
    Clusters in which the rows are equal have no effect, so that few other clusters allow enumeration. Otherwise
    `permutations` random swaps are drawn, with the observed one counted among them.
    """
    change = sums[1] - sums[0]
    change = change[np.abs(change).max(axis=1) > 0]  # (D, F)
    totals = sums.sum(axis=1)
    observed = np.abs(_statistic(totals[0], totals[1], counts))
    exact = 2 ** len(change) <= permutations
    if exact:
        ways = np.array(list(itertools.product((0.0, 1.0), repeat=len(change)))).reshape(2 ** len(change), -1)
        blocks: Iterator[Array] = iter([ways])
    else:
        rng = np.random.default_rng(seed)
        sizes = [min(_BLOCK, permutations - start) for start in range(0, permutations, _BLOCK)]
        blocks = (rng.integers(0, 2, size=(size, len(change))).astype(np.float64) for size in sizes)
    extreme, tried = np.zeros(len(FIGURES)), 0
    for swapped in blocks:
        moved = swapped @ change  # (R, F): what goes from the second to the first
        drawn = np.abs(_statistic(totals[0] + moved, totals[1] - moved, counts))
        extreme += (drawn >= observed - _EQUAL).sum(axis=0)
        tried += len(swapped)
    return (extreme / tried if exact else (extreme + 1) / (tried + 1)), exact


def holm(values: Sequence[float]) -> list[float]:
    """P-values adjusted by Holm's step-down method, in the order of the input."""
    adjusted, running = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        running = max(running, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = running
    return adjusted


def _interval(paired: Paired, settings: Settings) -> tuple[Array, Array]:
    """Lower and upper ends, (G,) each, of the intervals; the same clusters are drawn for both rows."""
    clusters = Resampler(len(paired.clusters), settings.resamples, settings.seed)
    draws = []
    for sums in paired.sums:
        estimates = [clusters.mean(*_items(s, n)) for s, n in zip(sums.T, paired.counts.T, strict=True)]
        draws.append(figures(np.stack([estimate.draws for estimate in estimates], axis=-1)))  # (R, G)
    change = draws[1] - draws[0]
    ends = np.full((2, len(FIGURES)), np.nan)
    tails = [(1 - settings.level) / 2, (1 + settings.level) / 2]
    for g in range(len(FIGURES)):
        finite = change[:, g][np.isfinite(change[:, g])]
        if len(finite):
            ends[:, g] = np.quantile(finite, tails)
    return ends[0], ends[1]


def _items(sums: Array, counts: Array) -> tuple[Codes, Array]:
    """(I,) clusters and (I,) values: each cluster's mean, repeated for each of its items."""
    clusters = np.repeat(np.arange(len(counts)), counts.astype(np.int64))
    return clusters, sums[clusters] / counts[clusters]


def _cluster_values(paired: Paired, name: str) -> Array:
    """(C,) the difference in each cluster that has one; for S, which has no value by cluster, its pseudo-values.

    Each row keeps its better prompts over all clusters: a changing choice would make the jackknife discontinuous.
    """
    totals, counts = paired.sums.sum(axis=1), paired.counts.sum(axis=0)
    prompts = [int(better_prompts(ratios(total, counts))) for total in totals]
    if name == "S":
        bases = [[int(JOINTS[i][0] == "choice"), 2 + int(JOINTS[i][1] == "ground")] for i in prompts]
        scored = paired.counts[:, sorted({*bases[0], *bases[1]})].any(axis=1)
        number, size = counts - paired.counts[scored], int(scored.sum())
        complete = [harmonic_mean(*ratios(total, counts)[base]) for total, base in zip(totals, bases, strict=True)]
        without_each = [
            harmonic_mean(*ratios(total - sums[scored], number)[:, base].T)
            for total, sums, base in zip(totals, paired.sums, bases, strict=True)
        ]
        values: Array = size * (complete[1] - complete[0]) - (size - 1) * (without_each[1] - without_each[0])
        return values
    columns = [BASES.index(name)] * 2 if name in BASES else [4 + i for i in prompts]
    first, second = (ratios(s[:, i], paired.counts[:, i]) for s, i in zip(paired.sums, columns, strict=True))
    change: Array = second - first
    return change[np.isfinite(change)]


def _statistic(first: Array, second: Array, counts: Array) -> Array:
    return figures(ratios(second, counts)) - figures(ratios(first, counts))
