"""The metrics of a run, from the table of its scores (`figures` says what they are)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.conventions import Conventions
from pixfound.scoring.estimates import Estimate, plain
from pixfound.scoring.figures import (
    ACCURACY,
    MIOU,
    Kinds,
    Place,
    Unit,
    accuracies,
    better,
    by_tag,
    mean_iou,
    miou_figures,
    pointing,
    shown_on_absent,
    vqa_figures,
)
from pixfound.scoring.measured import Measured
from pixfound.scoring.quadrants import Joints, by_pair, conditionals, counts, join
from pixfound.scoring.table import SCORE, UNKNOWN, Rows, Table, only
from pixfound.types import KINDS, Kind
from pixfound.types.arguments import Fraction, NonNegative

T = TypeVar("T")


@dataclass(frozen=True)
class Scoring(Conventions):
    """A scoring profile: the conventions of the scores, and these of the figures.

    accuracy: what A and A_dagger count. `pair`: a pair is right when both of its answers are; `item`: each answer;
        `auto`: pair where every example has a partner. iou_threshold: above it an object counts as grounded.
    iou_thresholds: those over which the quadrants are counted as well.
    resamples, level, seed: of the bootstrap.
    """

    accuracy: Literal["auto", "pair", "item"] = "auto"
    iou_threshold: Fraction = 0.5
    iou_thresholds: Sequence[Fraction] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    resamples: Annotated[int, Ge(100)] = 2000
    level: Fraction = 0.95
    seed: NonNegative = 0

    def metrics(self, table: Table) -> dict[str, Any]:
        """The metrics of a run (schema: pixfound/schemas/metrics.schema.json); all shares lie in [0, 1]."""
        clusters = Resampler(table.clusters, self.resamples, self.seed)
        answer_metrics, answers = self._answers(table, clusters)
        tree = {
            "examples": len(table.examples),
            "absent": int(table.absent.sum()),
            "pairs": len(np.unique(table.cluster_of[table.paired])),
            "iou_threshold": self.iou_threshold,
            **answer_metrics,
            "rows": {row: self._row(table, row, answers, clusters) for row in table.rows},
            "unscored": _unscored(table),
        }
        metrics: dict[str, Any] = plain(tree, self.level)
        return metrics

    def _answers(self, table: Table, clusters: Resampler) -> tuple[dict[str, Any], _Answers]:
        """The metrics of the answers, and what the rows need of them."""
        letters = table.answers("choice")
        unit = self._unit(letters if len(letters) else table.answers("open"))
        accuracy, tagged = _figures(table, ACCURACY, table.answers, lambda replies: accuracies(replies, clusters))
        vqa, vqa_tagged = vqa_figures(accuracy, unit), {place: vqa_figures(by, unit) for place, by in tagged.items()}
        answer_kind: Kind = "open" if better(vqa["A"].value, vqa["A_dagger"].value) else "choice"
        metrics: dict[str, Any] = {
            "accuracy_unit": unit,
            "answer_prompt": answer_kind,
            "vqa": vqa,
            "vqa_by_tag": by_tag(vqa_tagged),
        }
        best = {place: figures["best"] for place, figures in vqa_tagged.items()}
        credits = table.measures.get((None, "open"), {}).get("credit")
        if credits is not None:
            scored = ~np.isnan(credits[:, 0])
            metrics["answer_credit"] = clusters.mean(table.answers("open")["cluster"][scored], credits[scored, 0])
        right = {kind: _right(table.answers(kind), len(table.examples)) for kind in ("open", "choice")}
        by_letter = right["choice"] if (right["choice"] != UNKNOWN).any() else right["open"]
        return metrics, _Answers(vqa["best"], best, right[answer_kind], by_letter)

    def _row(self, table: Table, row: str, answers: _Answers, clusters: Resampler) -> dict[str, Any]:
        miou, tagged = _figures(
            table, MIOU, lambda k: self._counted(table.masks(row, k)), lambda masks: mean_iou(masks, clusters)
        )
        kind: Kind = "open" if better(miou["M"].value, miou["M_dagger"].value) else "ground"
        grounding_masks = table.masks(row, kind)
        joints = self._join(answers, grounding_masks)
        unanswered = accuracies(np.empty(0, SCORE), clusters)["item"]  # of tags whose examples are asked no question
        quadrants: dict[str, dict[str, Any]] = defaultdict(dict)
        for (tag, value), part in table.groups(grounding_masks):
            quadrants[tag][value] = counts(self._join(answers, part))
        return {
            **miou_figures(miou, answers.best),
            "grounding_prompt": kind,
            "present_only": {name: mean_iou(_present(table.masks(row, k)), clusters) for name, k in MIOU},
            "false_positives_on_absent": {
                name: shown_on_absent(self._counted(table.masks(row, k)), clusters) for name, k in MIOU
            },
            "pointing": {name: pointing(table.masks(row, k), clusters) for name, k in MIOU},
            "by_tag": by_tag(
                {place: miou_figures(m, answers.best_by_tag.get(place, unanswered)) for place, m in tagged.items()}
            ),
            "quadrants": counts(joints),
            "quadrants_of_pairs": counts(by_pair(joints)),
            "quadrants_by_tag": dict(quadrants),
            "quadrants_by_threshold": {
                f"{threshold:g}": counts(self._join(answers, grounding_masks, threshold))
                for threshold in self.iou_thresholds
            },
            **conditionals(joints, clusters),
            **self._region_metrics(table, row, answers, clusters),
        }

    def _region_metrics(self, table: Table, row: str, answers: _Answers, clusters: Resampler) -> dict[str, Any]:
        """The metrics of `region_metrics` under both kinds of prompt; nothing where none is asked for."""
        estimates = {
            metric.name: {
                name: metric.estimate(*_measured(table, row, kind, metric.name, answers, self.nameless), clusters)
                for name, kind in MIOU
            }
            for metric in self.found_metrics
        }
        return {"region_metrics": estimates} if estimates else {}

    def _join(self, answers: _Answers, masks: Rows, threshold: float | None = None) -> Joints:
        return join(answers.right, masks, self.iou_threshold if threshold is None else threshold, self.absent_area)

    def _counted(self, masks: Rows) -> Rows:
        return masks if self.nameless == "count" else only(masks, masks["named"])

    def _unit(self, letters: Rows) -> Unit:
        if self.accuracy != "auto":
            return self.accuracy
        _, members = np.unique(letters["cluster"], return_counts=True)
        return "pair" if len(letters) and letters["paired"].all() and (members == 2).all() else "item"


@dataclass(frozen=True)
class _Answers:
    """Figures of the answers, which all rows share.

    best: the better of the two accuracies. best_by_tag: the same of each (tag, value).
    right: (E,) 1 if the question of the better accuracy is answered rightly, 0 if not, UNKNOWN if unscored.
    letters: (E,) the same of the question by letter, or of the open one where no letter is scored.
    """

    best: Estimate
    best_by_tag: Mapping[Place, Estimate]
    right: npt.NDArray[np.int8]
    letters: npt.NDArray[np.int8]


def _measured(
    table: Table, row: str, kind: Kind, name: str, answers: _Answers, nameless: str
) -> tuple[Measured, dict[str, list[npt.NDArray[np.bool_]]]]:
    """The numbers of a metric for a row, of examples that it does not leave out; and which of them have a tag's value.

    The latter by tag, in alphabetical order of the values.
    """
    masks = table.masks(row, kind)
    numbers = table.measures.get((row, kind), {}).get(name, np.full((len(masks), 1), np.nan))
    counted = ~np.isnan(numbers).any(axis=1) & (masks["named"] | (nameless == "count"))
    masks = masks[counted]
    of = {tag: about.of[masks["example"]] for tag, about in table.tags.items()}
    groups = {tag: [codes == code for code in np.unique(codes[codes != UNKNOWN])] for tag, codes in of.items()}
    return Measured(numbers[counted], masks["cluster"], answers.letters[masks["example"]]), groups


def _present(masks: Rows) -> Rows:
    return only(masks, ~masks["absent"])


def _figures(
    table: Table, kinds: Kinds, rows: Callable[[Kind], Rows], figure: Callable[[Rows], T]
) -> tuple[dict[str, T], dict[Place, dict[str, T]]]:
    """A figure by the names of some kinds of prompt: of their scores, and of those of each tag's values."""
    by_name = {name: _parts(table, rows(kind), figure) for name, kind in kinds}
    tagged: dict[Place, dict[str, T]] = {}
    for place in sorted({place for _, parts in by_name.values() for place in parts}):
        tagged[place] = {
            name: parts[place] if place in parts else figure(np.empty(0, SCORE)) for name, (_, parts) in by_name.items()
        }
    return {name: overall for name, (overall, _) in by_name.items()}, tagged


def _parts(table: Table, scores: Rows, figure: Callable[[Rows], T]) -> tuple[T, dict[Place, T]]:
    return figure(scores), {place: figure(part) for place, part in table.groups(scores)}


def _right(answers: Rows, examples: int) -> npt.NDArray[np.int8]:
    """(E,) whether each example is answered rightly; UNKNOWN where that is not scored."""
    verdicts = np.full(examples, UNKNOWN, dtype=np.int8)
    scored = answers[answers["correct"] != UNKNOWN]
    verdicts[scored["example"]] = scored["correct"]
    return verdicts


def _unscored(table: Table) -> dict[str, int]:
    """Number of unscored answers by kind of prompt, and of unscored masks by row and kind; zeros are left out.

    Keys: `answers.KIND` and `masks.ROW.KIND`.
    `answers.ground` counts missing responses, for the grounding prompt is no question.
    """
    unscored = {f"answers.{kind}": int((table.answers(kind)["correct"] == UNKNOWN).sum()) for _, kind in ACCURACY}
    unscored["answers.ground"] = int((~table.answers("ground")["answered"]).sum())
    for row in table.rows:
        unscored |= {f"masks.{row}.{kind}": int(np.isnan(table.masks(row, kind)["iou"]).sum()) for kind in KINDS}
    return {key: count for key, count in unscored.items() if count}
