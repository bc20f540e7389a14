"""Oracle curves and selectors' regret: the part of the oracle that is luck.

The best of k candidates grows with k, and no selector is better than its pool. The oracle of arXiv 2502.04192 takes
the best of all candidates. A model that says more phrases is given more tries, so the oracle is shown with the number
of tries taken away: the expected IoU of the best of k candidates drawn without replacement, for k from 1 (a random
choice) on. A selector's regret is what the oracle gains on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pixfound.analyses.best_of_k import Pool, has_choices, pool_of
from pixfound.interfaces import Analysis
from pixfound.io.charts import Panel, Series, line_chart
from pixfound.io.text import escape, grid
from pixfound.pipeline.run_examples import MASK_KINDS
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.estimates import figure, minus
from pixfound.scoring.formatting import FEW, left_out
from pixfound.scoring.formatting import figure as shown
from pixfound.scoring.table import Rows
from pixfound.types import Kind
from pixfound.types.arguments import Fraction, NonNegative, Positive

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pixfound.pipeline.run_data import RunData

_NAMES: Mapping[Kind, str] = {"open": "M", "ground": "M_dagger"}


class Candidates(Analysis):
    """Oracle curve and regret, for each extractor that proposes more than one candidate, over present objects.

    ks: the numbers of candidates drawn. resamples, level, seed: of the bootstrap, clustered by pair.
    """

    def __init__(
        self,
        ks: Sequence[Positive] = (1, 2, 3, 5, 10, 20),
        resamples: Positive = 2000,
        level: Fraction = 0.95,
        seed: NonNegative = 0,
    ) -> None:
        self.ks, self.resamples, self.level, self.seed = tuple(ks), resamples, level, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """Extractor -> prompt (M, M_dagger) -> candidates per example, oracle curve, regret of its rows."""
        results: dict[str, Any] = {}
        for extractor in run.parts.extractors:
            rows = [row for row, (name, _) in run.parts.rows.items() if name == extractor]
            if rows and has_choices(run, extractor):
                results[extractor] = {
                    _NAMES[kind]: self._about(pool_of(run, extractor, kind, self.ks), _chosen(run, rows, kind))
                    for kind in MASK_KINDS
                }
        return results

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """The curve and the regret under the grounding prompt."""
        blocks = [
            "## Candidates",
            "Over present objects, grounding prompt. IoU@k: expected IoU of the best of k candidates drawn at random "
            "(k = 1: a random choice; all: the oracle). Regret: what the oracle gains on a row. Share: how much of the "
            "way from a random choice to the oracle a row goes.",
        ]
        for extractor, about in results.items():
            curves = about["M_dagger"]
            if curves["examples"] < FEW:
                blocks.append(f"`{escape(extractor)}`: {left_out(curves['examples'], 'present objects')}")
                continue
            curve = [*((f"IoU@{k}", value) for k, value in curves["iou_at"].items()), ("all", curves["oracle"])]
            heads = (extractor, "candidates", *(name for name, _ in curve))
            blocks.append(grid(heads, [["", f"{curves['per_example']:.1f}", *(shown(value) for _, value in curve)]]))
            lines = [
                [row, shown(r["regret"]), "-" if r["share"] is None else f"{100 * r['share']:.0f}"]
                for row, r in curves["rows"].items()
            ]
            blocks.append(grid(("row", "regret", "share"), lines))
        return blocks

    def charts(self, results: Mapping[str, Any]) -> Mapping[str, Figure]:
        """The oracle curve of each extractor under the grounding prompt, and its rows beside it."""
        note = f"Band: {100 * self.level:g} % bootstrap intervals clustered by pair, present objects. all: the oracle."
        curves = {name: about["M_dagger"] for name, about in results.items() if about["M_dagger"]["examples"] >= FEW}
        return {"candidates": line_chart([_panel(*item) for item in curves.items()], note)} if curves else {}

    def _about(self, pool: Pool, chosen: Mapping[str, Rows]) -> dict[str, Any]:
        clusters = Resampler(pool.clusters, self.resamples, self.seed)
        curve = {k: clusters.mean(pool.of, values) for k, values in zip(self.ks, pool.curve.T, strict=True)}
        random, oracle = clusters.mean(pool.of, pool.random), clusters.mean(pool.of, pool.best)
        regrets = {}
        for row, scores in chosen.items():
            common = scores[np.isin(scores["example"], pool.examples)]
            at = np.searchsorted(pool.examples, common["example"])
            regrets[row] = clusters.mean(pool.of[at], pool.best[at] - common["iou"])
        room = minus(oracle, random).value
        finite = math.isfinite(room) and room > 0
        return {
            "examples": len(pool.examples),
            "per_example": pool.candidates / len(pool.examples) if len(pool.examples) else 0.0,
            "iou_at": {str(k): figure(value, self.level) for k, value in curve.items()},
            "oracle": figure(oracle, self.level),
            "rows": {
                row: {
                    "regret": figure(regret, self.level),
                    "share": 1 - regret.value / room if finite and regret.count else None,
                }
                for row, regret in regrets.items()
            },
        }


def _panel(extractor: str, curve: Mapping[str, Any]) -> Panel:
    oracle = curve["oracle"]
    regrets = {name: row["regret"]["value"] for name, row in curve["rows"].items()}
    return Panel(
        title=f"{extractor}, grounding prompt: {curve['examples']} objects, {curve['per_example']:.1f} candidates each",
        x="candidates drawn at random (1: a random choice)",
        y="expected IoU of the best drawn, %",
        series=[Series("best of k", [*curve["iou_at"].values(), oracle])],
        ticks=[*curve["iou_at"], "all"],
        references=[
            Series(f"row {name}", [{"value": oracle["value"] - regret}])
            for name, regret in regrets.items()
            if regret is not None
        ],
    )


def _chosen(run: RunData, rows: Sequence[str], kind: Kind) -> dict[str, Rows]:
    """The scores of what each row chose for present objects."""
    scores_by_row = {row: run.scores.masks(row, kind) for row in rows}
    return {row: scores[~scores["absent"] & ~np.isnan(scores["iou"])] for row, scores in scores_by_row.items()}
