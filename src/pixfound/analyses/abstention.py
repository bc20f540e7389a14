"""Saying nothing: each score of a chosen mask as a threshold below which nothing is shown.

A row that always shows a mask is wrong for every absent object. A score that is lower for absent objects than for
present ones can tell the row when to be silent. Nothing is reported of a threshold on the pairs that it was chosen by.

Shapes: `E` examples of the run, `I` examples of a row under one kind of prompt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from pixfound.interfaces import Analysis
from pixfound.io.charts import Panel, Series, line_chart
from pixfound.io.text import escape, grid
from pixfound.pipeline.run_examples import RunExample
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.estimates import Array, Estimate, minus, plain
from pixfound.scoring.figures import MIOU
from pixfound.scoring.formatting import figure as shown
from pixfound.types import Candidate, Choice, Kind
from pixfound.types.arguments import Fraction, NonNegative, Positive
from pixfound.types.masks import RLE, iou

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pixfound.pipeline.run_data import RunData

Bools = npt.NDArray[np.bool_]
_JUDGE = "judge"  # the judge's verdict on presence, 1 or 0: a score of every row
_COVERAGES = np.arange(1, 11) / 10


class Abstention(Analysis):
    """For each row and each score of its masks: risk and coverage, AUROC of presence, and the IoU with a threshold.

    Scores by name: `score` (the segmenter's predicted IoU, or a detector's confidence), `similarity`, those in
    `Candidate.scores` and in `about["scores"]` of a choice, and `judge`, the verdict of a judge that was asked if the
    object is in the image, which serves every row.
    folds: of pairs; each is shown by the threshold that is best on the others. least: a score is left out where fewer
    absent, or fewer present, objects are shown. resamples, level, seed: of the bootstrap, clustered by pair.
    """

    def __init__(
        self,
        folds: Annotated[int, Ge(2)] = 5,
        least: Positive = 5,
        resamples: Positive = 2000,
        level: Fraction = 0.95,
        seed: NonNegative = 0,
    ) -> None:
        self.folds, self.least, self.resamples, self.level, self.seed = folds, least, resamples, level, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """`rows`: row -> prompt (M, M_dagger) -> score -> figures; `left_out`: lines, why a score has none."""
        values, nothing = _scores(run), _iou_of_nothing(run)
        clusters = Resampler(run.scores.clusters, self.resamples, self.seed)
        fold_of = np.random.default_rng(self.seed).permutation(run.scores.clusters) % self.folds
        rows: dict[str, Any] = defaultdict(lambda: defaultdict(dict))
        left_out = []
        for row, (name, kind) in ((row, prompt) for row in run.parts.rows for prompt in MIOU):
            masks = run.scores.masks(row, kind)
            counted = ~np.isnan(masks["iou"]) & (masks["named"] | (run.conventions.nameless == "count"))
            masks = masks[counted]
            for score, of_examples in values.get((row, kind), {}).items():
                example, cluster = masks["example"], masks["cluster"]
                items = Items(of_examples[example], masks["iou"], nothing[example], masks["absent"], cluster)
                if reason := self._too_few(items):
                    left_out.append(f"{row}, {name}, {score}: {reason}")
                else:
                    rows[row][name][score] = about(items, fold_of[cluster], clusters)
        return (
            {"rows": plain({r: dict(p) for r, p in rows.items()}, self.level), "left_out": left_out} if values else {}
        )

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """A table of the scores under the grounding prompt, and what was left out."""
        blocks = [
            "## Saying nothing",
            "What a row gains by showing nothing where a score of its mask is low, grounding prompt. AUROC: of present "
            "against absent objects among the masks that the row shows; 50 is chance. With: mean IoU where each of "
            f"{self.folds} folds of pairs is shown by the threshold that is best on the others. Absent, present: share "
            "of these objects that are still shown.",
        ]
        lines = [
            [row, score, *(shown(of[key]) for key in _COLUMNS)]
            for row, prompts in results["rows"].items()
            for score, of in prompts.get("M_dagger", {}).items()
        ]
        if lines:
            blocks.append(grid(("row", "score", *_COLUMNS.values()), lines))
        if results["left_out"]:
            blocks.append(f"Left out: {'; '.join(map(escape, results['left_out']))}.")
        return blocks

    def charts(self, results: Mapping[str, Any]) -> Mapping[str, Figure]:
        """Risk by coverage under the grounding prompt, a panel for each score with a line for each row."""
        series: dict[str, list[Series]] = defaultdict(list)
        for row, prompts in results["rows"].items():
            for score, of in prompts.get("M_dagger", {}).items():
                series[score].append(
                    Series(row, [p["risk"] for p in of["curve"]], [100 * p["coverage"] for p in of["curve"]])
                )
        note = f"Band: {100 * self.level:g} % bootstrap intervals clustered by pair. An absent object has risk 1."
        x, y = "coverage: masks of the highest scores, %", "risk: mean of 1 - IoU over them, %"
        panels = [Panel(f"by {score}, grounding prompt", x, y, lines) for score, lines in series.items()]
        return {"abstention": line_chart(panels, note)} if panels else {}

    def _too_few(self, items: Items) -> str:
        """The reason why a score of a row is left out; "" where it is not."""
        has = ~np.isnan(items.scores)
        absent = int((has & items.absent).sum())
        present = int(has.sum()) - absent
        for count, what in ((absent, "absent"), (present, "present")):
            if count < self.least:
                return f"shown for {count} {what} object{'' if count == 1 else 's'}, fewer than {self.least}"
        return "the same for every mask" if len(np.unique(items.scores[has])) == 1 else ""


_COLUMNS = {
    "auroc": "AUROC",
    "iou": "IoU",
    "iou_with": "with",
    "difference": "difference",
    "absent_shown": "absent",
    "present_shown": "present",
}


@dataclass(frozen=True)
class Items:
    """The scored examples of a row. scores: (I,) of its mask, nan where it shows none or the mask has no such score.

    iou, nothing: (I,) the IoU of what the row shows, and of the empty mask. absent: (I,) whether the object is absent.
    clusters: (I,) the number of each one's pair.
    """

    scores: Array
    iou: Array
    nothing: Array
    absent: Bools
    clusters: npt.NDArray[np.int32]


def about(items: Items, folds: npt.NDArray[np.int64], clusters: Resampler) -> dict[str, Any]:
    """The figures of one score of a row. folds: (I,) the fold of each example."""
    has = ~np.isnan(items.scores)
    scores, risk, of = items.scores[has], 1 - items.iou[has], items.clusters[has]
    silent = cross_fitted(items, folds)
    as_it_is = clusters.mean(items.clusters, items.iou)
    silenced = clusters.mean(items.clusters, np.where(silent, items.nothing, items.iou))
    kept: dict[str, Estimate] = {}
    for name, which in (("absent_shown", has & items.absent), ("present_shown", has & ~items.absent)):
        kept[name] = clusters.mean(items.clusters[which], ~silent[which])
    threshold = best_threshold(scores, (items.iou - items.nothing)[has])
    return {
        "examples": len(items.iou),
        "shown": int(has.sum()),
        "auroc": clusters.auroc(of, scores, ~items.absent[has]),
        "iou": as_it_is,
        "iou_with": silenced,
        "difference": minus(silenced, as_it_is),
        **kept,
        "threshold": threshold if np.isfinite(threshold) else None,
        "curve": [
            {"coverage": float(covered.mean()), "risk": clusters.ratio(of, np.where(covered, risk, 0.0), covered)}
            for covered in _covered(scores)
        ],
    }


def cross_fitted(items: Items, folds: npt.NDArray[np.int64]) -> Bools:
    """(I,) whether nothing is shown for an example, by the threshold that is best on the examples of other folds."""
    has, gains = ~np.isnan(items.scores), items.iou - items.nothing
    silent = np.zeros(len(gains), dtype=np.bool_)
    for fold in np.unique(folds):
        others = has & (folds != fold)
        silent |= (folds == fold) & (items.scores < best_threshold(items.scores[others], gains[others]))
    return silent


def best_threshold(scores: Array, gains: Array) -> float:
    """The threshold that maximises the sum of the gains of scores at or above it; the lowest of several.

    It lies midway between two scores; -inf where showing everything is best, just above the highest where nothing is.
    gains: (I,) IoU of showing the mask less that of showing nothing.

    >>> best_threshold(np.array([0.1, 0.3, 0.9]), np.array([-1.0, 0.5, 0.2]))
    0.2
    """
    values, group = np.unique(scores, return_inverse=True)
    if not len(values):
        return -np.inf
    by_value = np.bincount(group, weights=gains)
    sums = np.append(np.cumsum(by_value[::-1])[::-1], 0.0)  # of showing from the k-th value on
    ends = np.concatenate([[-np.inf], (values[:-1] + values[1:]) / 2, [np.nextafter(values[-1], np.inf)]])
    return float(ends[sums.round(9).argmax()])  # rounding error decides among no equals


def _covered(scores: Array) -> list[Bools]:
    """(I,) the examples of the highest scores, for each coverage; tied scores are covered together."""
    descending = np.sort(scores)[::-1]
    thresholds = descending[np.ceil(_COVERAGES * len(scores)).astype(int) - 1]
    return [scores >= threshold for threshold in dict.fromkeys(thresholds.tolist())]


def _scores(run: RunData) -> Mapping[tuple[str, Kind], Mapping[str, Array]]:
    """(row, kind of prompt) -> score by name -> (E,) its value, nan where the row chose no candidate that has it."""
    count = len(run.scores.examples)
    found: dict[tuple[str, Kind], dict[str, Array]] = defaultdict(lambda: defaultdict(lambda: np.full(count, np.nan)))
    chosen: dict[tuple[str, Kind], Bools] = defaultdict(lambda: np.zeros(count, dtype=np.bool_))
    verdicts: dict[Kind, Array] = defaultdict(lambda: np.full(count, np.nan))
    for run_example in run.examples:
        at = run_example.index
        for kind in run_example.mask_kinds:
            for row, choice, candidates in _choices(run, run_example, kind):
                if choice.about.get("present") is not None:
                    verdicts[kind][at] = choice.about["present"]
                if choice.index is not None and choice.index < len(candidates):
                    chosen[row, kind][at] = True
                    for name, value in scores_of(candidates[choice.index], choice).items():
                        found[row, kind][name][at] = value
    for (row, kind), shows in chosen.items():
        if kind in verdicts:
            found[row, kind][_JUDGE] = np.where(shows, verdicts[kind], np.nan)
    return found


def scores_of(candidate: Candidate, choice: Choice) -> dict[str, float]:
    """The scores of a chosen mask by name."""
    by_choice = choice.about.get("scores", {})
    values = {"score": candidate.score, "similarity": candidate.similarity, **candidate.scores, **by_choice}
    return {name: float(value) for name, value in values.items() if value is not None}


def _choices(run: RunData, run_example: RunExample, kind: Kind) -> list[tuple[str, Choice, Sequence[Candidate]]]:
    """Each row that has a decision, with the candidates that it was made among."""
    proposed: dict[str, Sequence[Candidate]] = {}
    decided = []
    for row, (extractor, _) in run.parts.rows.items():
        choice = run.choice(run_example, kind, row)
        if choice is not None:
            if extractor not in proposed:
                proposed[extractor] = run.candidates(run_example, kind, extractor) or ()
            decided.append((row, choice, proposed[extractor]))
    return decided


def _iou_of_nothing(run: RunData) -> Array:
    """(E,) the IoU of the empty mask."""
    values = np.zeros(len(run.scores.examples))
    for run_example in run.examples:
        example = run_example.example
        values[run_example.index] = iou(RLE.empty(example.gt_mask.size), example.gt_mask, example.ignore)
    return values
