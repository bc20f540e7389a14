"""Latent against said: on the same examples, who knows where the object is, and who is right where the other is wrong.

A model can show where an object is in several ways: by its attention, by a box or a point that it writes, by a mask
that it draws. Two ways with equal means may be right about different examples.

Shapes: `I` present objects that every way has a score of, `W` ways.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pixfound.interfaces import Analysis
from pixfound.io.text import grid
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.estimates import minus, plain
from pixfound.scoring.figures import MIOU
from pixfound.scoring.formatting import figure as shown
from pixfound.types import Kind
from pixfound.types.arguments import Fraction, NonNegative, Positive

if TYPE_CHECKING:
    from pixfound.pipeline.run_data import RunData

Bools = npt.NDArray[np.bool_]
_PAIR = {
    "both": "both",
    "first_only": "first only",
    "second_only": "second only",
    "neither": "neither",
    "first_where_second_is_wrong": "first where second is wrong",
    "second_where_first_is_wrong": "second where first is wrong",
    "difference": "difference",
}


class Agreement(Analysis):
    """Which of several rows of one run are right (IoU of `iou_threshold` or more) about each present object.

    rows: the rows that are compared, of those that the run has; fewer than two are no analysis.
    resamples, level, seed: of the bootstrap, clustered by pair.
    """

    def __init__(
        self,
        rows: Sequence[str] = ("similarity", "text_box", "text_point", "native"),
        iou_threshold: Fraction = 0.5,
        resamples: Positive = 2000,
        level: Fraction = 0.95,
        seed: NonNegative = 0,
    ) -> None:
        self.rows, self.iou_threshold = tuple(rows), iou_threshold
        self.resamples, self.level, self.seed = resamples, level, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """Prompt (M, M_dagger) -> number of examples, who is right, and every two rows against each other."""
        rows = [row for row in self.rows if row in run.parts.rows]
        if len(rows) < 2:
            return {}
        return {name: self._about(run, rows, kind) for name, kind in MIOU}

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """Who is right, and two by two, under the grounding prompt."""
        about = results["M_dagger"]
        blocks = [
            "## Latent against said",
            f"Present objects, grounding prompt: {about['examples']}. Right: IoU of "
            f"{self.iou_threshold:g} or more. Difference: of the shares that are right, second minus first; p: exact, "
            "two-sided, by pairs (McNemar's test where an example is its own pair). kappa: agreement beyond chance.",
            grid(
                ("who is right", "examples", "%"),
                [[_names(of["right"]), str(of["count"]), shown(of["share"])] for of in about["patterns"]],
            ),
        ]
        lines = [
            [of["first"], of["second"], *(shown(of[key]) for key in _PAIR), _p(of["p"]), _number(of["kappa"])]
            for of in about["pairs"]
        ]
        blocks.append(grid(("first", "second", *_PAIR.values(), "p", "kappa"), lines))
        return blocks

    def _about(self, run: RunData, rows: Sequence[str], kind: Kind) -> dict[str, Any]:
        right, of = _right(run, rows, kind, self.iou_threshold)
        clusters = Resampler(run.scores.clusters, self.resamples, self.seed)
        patterns = []
        for flags in itertools.product((True, False), repeat=len(rows)):
            here: Bools = np.all(right == np.array(flags)[:, None], axis=0)
            names = [row for row, flag in zip(rows, flags, strict=True) if flag]
            patterns.append({"right": names, "count": int(here.sum()), "share": clusters.mean(of, here)})
        pairs = [
            {"first": rows[a], "second": rows[b], **_pair(right[a], right[b], of, clusters)}
            for a, b in itertools.combinations(range(len(rows)), 2)
        ]
        found: dict[str, Any] = plain(
            {
                "examples": len(of),
                "right": {row: clusters.mean(of, flags) for row, flags in zip(rows, right, strict=True)},
                "any": clusters.mean(of, np.asarray(right.any(axis=0))),
                "patterns": patterns,
                "pairs": pairs,
            },
            self.level,
        )
        return found


def _right(run: RunData, rows: Sequence[str], kind: Kind, threshold: float) -> tuple[Bools, npt.NDArray[np.int32]]:
    """(W, I) whether each row is right, and (I,) the cluster of each object."""
    ious = np.full((len(rows), len(run.scores.examples)), np.nan)
    for values, row in zip(ious, rows, strict=True):
        masks = run.scores.masks(row, kind)
        values[masks["example"]] = masks["iou"]
    counted = ~np.isnan(ious).any(axis=0) & ~run.scores.absent
    return ious[:, counted] >= threshold, run.scores.cluster_of[counted]


def _pair(a: Bools, b: Bools, of: npt.NDArray[np.int32], clusters: Resampler) -> dict[str, Any]:
    """Two rows against each other. a, b: (I,) whether each is right. of: (I,) clusters."""
    expected = a.mean() * b.mean() + (~a).mean() * (~b).mean() if len(a) else 1.0
    differences = np.bincount(of, weights=b.astype(int) - a.astype(int)) if len(a) else np.zeros(0)
    return {
        "both": clusters.mean(of, a & b),
        "first_only": clusters.mean(of, a & ~b),
        "second_only": clusters.mean(of, ~a & b),
        "neither": clusters.mean(of, ~a & ~b),
        "first_where_second_is_wrong": clusters.ratio(of, a & ~b, ~b),
        "second_where_first_is_wrong": clusters.ratio(of, ~a & b, ~a),
        "difference": minus(clusters.mean(of, b), clusters.mean(of, a)),
        "p": swap_p(np.rint(differences).astype(int).tolist()),
        "kappa": float(((a == b).mean() - expected) / (1 - expected)) if expected < 1 else None,
    }


def swap_p(differences: Sequence[int]) -> float:
    """Two-sided p of the sum of clusters' differences, exact: the two rows swap in each cluster with probability 1/2.

    Of clusters of one example each it is McNemar's exact test: a binomial test of the discordant examples.

    >>> swap_p([1, 1, 1, 1, -1, 0])  # 2 * (1 + 5) / 2 ** 5
    0.375
    """
    sizes = [abs(difference) for difference in differences if difference]
    chances = np.ones(1)  # of the sums -total, -total + 1, ... of the sizes so far
    for size in sizes:
        spread = np.zeros(len(chances) + 2 * size)
        spread[: len(chances)] = chances / 2
        spread[2 * size :] += chances / 2
        chances = spread
    sums = np.arange(len(chances)) - sum(sizes)
    return float(min(1.0, chances[np.abs(sums) >= abs(sum(differences))].sum()))


def _names(rows: Sequence[str]) -> str:
    return " and ".join(rows) if rows else "none"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
