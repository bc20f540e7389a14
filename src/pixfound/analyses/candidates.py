"""How much of the oracle is luck: the best of k candidates grows with k, and no selector is better than its pool.

The paper's oracle takes the best of all candidates (arXiv 2502.04192). A model that says more phrases is given more
tries, so the oracle is shown with the number of tries taken away: the expected IoU of the best of k candidates drawn
without replacement, for k from 1 (a random choice) on. A selector's regret is what the oracle gains on it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pixfound.masks import ious
from pixfound.pipeline.items import MASK_KINDS
from pixfound.pipeline.records import candidates_of
from pixfound.report.table import figure as shown
from pixfound.report.text import grid
from pixfound.scoring.bootstrap import Estimate, Resampler, figure, minus
from pixfound.types import Kind

if TYPE_CHECKING:
    from pixfound.pipeline.results import Evidence

Pool = Mapping[str, tuple[str, list[float]]]  # example id -> its cluster and its candidates' IoUs
_NAMES: Mapping[Kind, str] = {"open": "M", "ground": "M_dagger"}


class Candidates:
    """Oracle curve and regret, for each extractor that proposes more than one candidate, over present objects.

    ks: the numbers of candidates drawn. resamples, level, seed: of the bootstrap, clustered by pair.
    """

    def __init__(
        self,
        ks: Sequence[int] = (1, 2, 3, 5, 10, 20),
        resamples: int = 2000,
        level: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.ks, self.resamples, self.level, self.seed = tuple(ks), resamples, level, seed

    def compute(self, evidence: Evidence) -> Mapping[str, Any]:
        """Extractor -> prompt (M, M_dagger) -> candidates per example, oracle curve, regret of its rows."""
        found: dict[str, Any] = {}
        for extractor in evidence.stores.extract:
            rows = [row for row, (name, _) in evidence.parts.rows.items() if name == extractor]
            by_kind = {kind: _pool(evidence, extractor, kind) for kind in MASK_KINDS}
            if rows and any(len(values) > 1 for pool in by_kind.values() for _, values in pool.values()):
                found[extractor] = {
                    _NAMES[kind]: self._about(pool, _chosen(evidence, rows, kind)) for kind, pool in by_kind.items()
                }
        return found

    def sections(self, found: Mapping[str, Any]) -> list[str]:
        """The curve and the regret under the grounding prompt."""
        blocks = [
            "## Candidates",
            "Over present objects, grounding prompt. IoU@k: expected IoU of the best of k candidates drawn at random "
            "(k = 1: a random choice; all: the oracle). Regret: what the oracle gains on a row. Share: how much of the "
            "way from a random choice to the oracle a row goes.",
        ]
        for extractor, about in found.items():
            one = about["M_dagger"]
            curve = [*((f"IoU@{k}", value) for k, value in one["iou_at"].items()), ("all", one["oracle"])]
            heads = (extractor, "candidates", *(name for name, _ in curve))
            blocks.append(grid(heads, [["", f"{one['per_example']:.1f}", *(shown(value) for _, value in curve)]]))
            lines = [
                [row, shown(r["regret"]), "-" if r["share"] is None else f"{100 * r['share']:.0f}"]
                for row, r in one["rows"].items()
            ]
            blocks.append(grid(("row", "regret", "share"), lines))
        return blocks

    def _about(self, pool: Pool, chosen: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        clusters = Resampler(dict.fromkeys(cluster for cluster, _ in pool.values()), self.resamples, self.seed)

        def over(values: Mapping[str, float]) -> Estimate:
            return clusters.mean([(pool[id][0], value) for id, value in values.items()])

        best = {id: max(values, default=0.0) for id, (_, values) in pool.items()}
        curve = {k: over({id: best_of(values, k) for id, (_, values) in pool.items()}) for k in self.ks}
        random = over({id: best_of(values, 1) for id, (_, values) in pool.items()})
        oracle = over(best)
        rows = {}
        for row, values in chosen.items():
            common = {id: best[id] - value for id, value in values.items() if id in best}
            regret = over(common)
            room = minus(oracle, random).value
            known = math.isfinite(room) and room > 0 and bool(common)
            rows[row] = {"regret": figure(regret, self.level), "share": 1 - regret.value / room if known else None}
        return {
            "examples": len(pool),
            "per_example": sum(len(v) for _, v in pool.values()) / len(pool) if pool else 0.0,
            "iou_at": {str(k): figure(value, self.level) for k, value in curve.items()},
            "oracle": figure(oracle, self.level),
            "rows": rows,
        }


def best_of(values: Sequence[float], k: int) -> float:
    """The expected maximum of k of the values drawn without replacement; of all where there are fewer; 0 of none.

    The i-th largest of n (from 0) is the maximum with probability C(n - 1 - i, k - 1) / C(n, k).

    >>> best_of([0.2, 0.8, 0.5], 1), best_of([0.2, 0.8, 0.5], 2), best_of([0.2, 0.8, 0.5], 9)
    (0.5, 0.7000000000000001, 0.8)
    """
    ordered = sorted(values, reverse=True)
    count = len(ordered)
    if not count:
        return 0.0
    k = min(k, count)
    ways = math.comb(count, k)
    return sum(v * math.comb(count - 1 - i, k - 1) / ways for i, v in enumerate(ordered))


def _pool(evidence: Evidence, extractor: str, kind: Kind) -> Pool:
    pool: dict[str, tuple[str, list[float]]] = {}
    for item in evidence.items:
        example = item.example
        record = evidence.stores.extract[extractor].get(item.key(kind), item.seen(kind))
        if not example.absent and record is not None and record.value is not None:
            values = ious([candidate.mask for candidate in candidates_of(record)], example.gt_mask)
            pool[example.id] = (example.pair_id or example.id, values)
    return pool


def _chosen(evidence: Evidence, rows: Sequence[str], kind: Kind) -> dict[str, dict[str, float]]:
    """Row -> example id -> IoU of what it chose."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for score in evidence.scores:
        known = score.kind == kind and score.iou is not None and not score.absent
        if known and score.row is not None and score.row in rows:
            found[score.row][score.example_id] = float(score.iou or 0.0)
    return {row: found[row] for row in rows}
