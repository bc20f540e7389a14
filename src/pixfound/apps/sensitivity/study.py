"""The analysis of a sweep over perturbations: worst, best, mean, spread, flips and ranks.

Each figure is aggregated over the perturbations of its own input only: a template of the question changes no mask of
the grounding prompt, and copies of one number have no spread. The unperturbed cell (`none`) is the base: it is reported
beside a family's perturbations and is not one of them. Intervals come from bootstrap draws of pairs, the same for every
cell. Those of a spread are biased upwards, as is the maximum of several uncertain numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from pixfound.apps.sensitivity.cells import Cell
from pixfound.apps.sensitivity.figures import KINDS_OF, Figure, correlation, figures, flips, mean_of_known, rows_of
from pixfound.apps.sensitivity.ranks import stability
from pixfound.errors import UserError
from pixfound.prompts.perturbations import NONE
from pixfound.scoring import estimates
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.estimates import Estimate

ALL = "all"
Values = Mapping[tuple[str, str], Mapping[Figure, Estimate]]  # (subject, variation) -> figures


def study(cells: Sequence[Cell], resamples: int = 2000, level: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """The complete analysis as JSON values; shares are in [0, 1]."""
    if len(cells) < 2:
        raise UserError("only one run; sensitivity needs two variations or more")
    clusters = Resampler(cells[0].table.clusters, resamples, seed)
    rows = rows_of(cells)
    values = {(c.subject, c.variation): figures(c, rows, clusters) for c in cells}
    analysis = _Analysis(values, clusters, level, rows)
    subjects = {name: analysis.subject(list(results)) for name, results in groupby(cells, key=lambda c: c.subject)}
    results = {
        "examples": len(cells[0].table.examples),
        "accuracy_unit": cells[0].metrics["accuracy_unit"],
        "iou_threshold": cells[0].metrics["iou_threshold"],
        "level": level,
        "resamples": resamples,
        "rows": rows,
        "subjects": subjects,
        "ranks": analysis.ranks(cells),
    }
    plain: dict[str, Any] = estimates.plain(results, level)
    return plain


class _Analysis:
    def __init__(self, values: Values, clusters: Resampler, level: float, rows: Sequence[str]) -> None:
        self.values, self.clusters, self.level, self.rows = values, clusters, level, rows
        self.figures: list[Figure] = list(next(iter(values.values())))

    def subject(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """The results of one subject: all perturbations, and a summary of each family."""
        families = dict.fromkeys(c.family for c in cells if c.variation != NONE)
        variations = {
            c.variation: {
                "family": c.family,
                "run": str(c.folder),
                "figures": {".".join(f): self._figure(e) for f, e in self._of(c).items()},
            }
            for c in cells
        }
        groups = {family: [c for c in cells if c.family == family] for family in families}
        if len(groups) > 1:
            groups[ALL] = [c for c in cells if c.variation != NONE]
        base = next((c for c in cells if c.variation == NONE), None)
        return {
            "variations": variations,
            "families": {name: self._family(members, base) for name, members in groups.items()},
        }

    def _family(self, cells: Sequence[Cell], base: Cell | None) -> dict[str, Any]:
        summaries = {}
        for name in self.figures:
            members = distinct(cells, name, base)
            if members:
                summaries[".".join(name)] = self._summary(members, name, base)
        grid = {row: correlations for row in self.rows if (correlations := self._same_grid(cells, row, base))}
        return {"figures": summaries, "same_grid": grid}

    def _summary(self, cells: Sequence[Cell], figure: Figure, base: Cell | None) -> dict[str, Any]:
        by_variation = [(c.variation, self._of(c)[figure]) for c in cells]
        scored = [(name, e) for name, e in by_variation if math.isfinite(e.value)]
        summary: dict[str, Any] = {
            "variations": len(by_variation),
            "base": base and self._figure(self._of(base)[figure]),
        }
        if not scored:
            return summary
        worst, best = min(scored, key=lambda n: n[1].value), max(scored, key=lambda n: n[1].value)
        values = np.array([e.value for _, e in scored])
        draws = np.array([e.draws for _, e in scored])
        count = min(e.count for _, e in scored)

        def over(statistic: Any) -> dict[str, Any]:
            return self._figure(Estimate(float(statistic(values)), count, lambda: statistic(draws)))

        return summary | {
            "worst": {"variation": worst[0], **self._figure(worst[1])},
            "best": {"variation": best[0], **self._figure(best[1])},
            "mean": over(lambda v: v.mean(axis=0)),
            "sd": over(lambda v: v.std(axis=0, ddof=1)) if len(scored) > 1 else None,
            "spread": over(lambda v: v.max(axis=0) - v.min(axis=0)) if len(scored) > 1 else None,
            **self._flips(cells, figure, base),
        }

    def _flips(self, cells: Sequence[Cell], figure: Figure, base: Cell | None) -> dict[str, Any]:
        """Flip rates. flips: among the perturbations; flips_from_base: of a perturbation's outcome from the base's."""
        if len(KINDS_OF[figure[0]]) != 1:
            return {}
        of, rates = cells[0].table.cluster_of, flips(cells, figure)
        ever = np.where(np.isnan(rates), np.nan, rates > 0)
        from_base = [flips([base, cell], figure) for cell in cells] if base is not None else None
        return {
            "flips": mean_of_known(rates, of, self.clusters),
            "ever_flips": mean_of_known(ever, of, self.clusters),
            "flips_from_base": from_base
            and mean_of_known(np.concatenate(from_base), np.tile(of, len(cells)), self.clusters),
        }

    def _same_grid(self, cells: Sequence[Cell], row: str, base: Cell | None) -> dict[str, Any] | None:
        """Correlations of VQA and grounding over the perturbations of both inputs.

        figures: correlation of the better accuracy and M_dagger over the perturbations. flips: correlation over the
        examples of the flip rates of the answer letter's correctness and of grounding.
        """
        in_both = [c for c in distinct(cells, ("A_dagger",), base) if c in distinct(cells, ("M_dagger", row), base)]
        if len(in_both) < 2:
            return None
        vqa = np.array([np.fmax(self._of(c)["A",].value, self._of(c)["A_dagger",].value) for c in in_both])
        masks = np.array([self._of(c)["M_dagger", row].value for c in in_both])
        scored = np.isfinite(vqa) & np.isfinite(masks)
        count = int(scored.sum())
        alike = correlation(np.arange(count), vqa[scored], masks[scored], Resampler(count, 100, 0))
        answers, grounded = flips(in_both, ("A_dagger",)), flips(in_both, ("M_dagger", row))
        flipped = ~np.isnan(answers) & ~np.isnan(grounded)
        of = in_both[0].table.cluster_of
        return {
            "variations": len(in_both),
            "figures": self._figure(alike)["value"],
            "flips": correlation(of[flipped], answers[flipped], grounded[flipped], self.clusters),
        }

    def ranks(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """Agreement of the perturbations' rankings of the subjects by figure; of the rows for a single subject."""
        subjects = list(dict.fromkeys(c.subject for c in cells))
        if len(subjects) == 1:
            return {
                name: {"of": "rows", **stability([[self._of(c)[name, r].value for r in self.rows] for c in varied])}
                for name in ("M", "M_dagger", "S")
                if len(self.rows) > 1 and (varied := distinct(cells, (name, self.rows[0]), None))
            }
        ranks = {}
        for name in self.figures:
            cells_of = {s: {c.variation: c for c in distinct(_of_subject(cells, s), name, None)} for s in subjects}
            common = [v for v in cells_of[subjects[0]] if all(v in variations for variations in cells_of.values())]
            if common:
                table = [[self._of(cells_of[s][v])[name].value for s in subjects] for v in common]
                ranks[".".join(name)] = {"of": "subjects", **stability(table)}
        return ranks

    def _of(self, cell: Cell) -> Mapping[Figure, Estimate]:
        return self.values[cell.subject, cell.variation]

    def _figure(self, estimate: Estimate) -> dict[str, Any]:
        return estimates.figure(estimate, self.level)


def _of_subject(cells: Sequence[Cell], subject: str) -> list[Cell]:
    return [c for c in cells if c.subject == subject]


def distinct(cells: Sequence[Cell], figure: Figure, base: Cell | None) -> list[Cell]:
    """The cells whose input for a figure differs from that of all earlier cells and of the base."""
    kinds = KINDS_OF[figure[0]]
    seen = {tuple(base.inputs[kind] for kind in kinds)} if base is not None else set()
    different = []
    for cell in cells:
        inputs = tuple(cell.inputs[kind] for kind in kinds)
        if inputs not in seen:
            seen.add(inputs)
            different.append(cell)
    return different
