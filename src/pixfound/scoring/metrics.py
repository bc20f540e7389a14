"""The metrics of a run, from the table of its scores (`figures` says what they are)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pixfound.errors import UserError
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.conventions import Conventions
from pixfound.scoring.estimates import Estimate, plain
from pixfound.scoring.figures import (
    MIOU,
    Place,
    Unit,
    better,
    by_tag,
    mean_iou,
    miou_figures,
    pointing,
    shown_on_absent,
    vqa_figures,
)
from pixfound.scoring.quadrants import Joints, by_pair, conditionals, counts, join
from pixfound.scoring.table import UNKNOWN, Rows, Table, of_kind, only
from pixfound.types import KINDS, Kind


@dataclass(frozen=True)
class Scoring(Conventions):
    """A scoring profile: the conventions of the scores, and these of the figures.

    accuracy: what A and A_dagger count. `pair`: a pair is right when both of its answers are; `item`: each answer;
        `auto`: pair where every example has a partner. iou_threshold: above it an object counts as grounded.
    iou_thresholds: those over which the quadrants are counted as well.
    resamples, level, seed: of the bootstrap.
    """

    accuracy: Literal["auto", "pair", "item"] = "auto"
    iou_threshold: float = 0.5
    iou_thresholds: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    resamples: int = 2000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.accuracy not in ("auto", "pair", "item"):
            raise UserError(f"scoring.accuracy={self.accuracy}: valid values are auto, pair and item")
        if not 0 < self.iou_threshold < 1 or not 0 < self.level < 1:
            raise UserError("scoring.iou_threshold and scoring.level must lie between 0 and 1")
        if not all(0 < threshold < 1 for threshold in self.iou_thresholds):
            raise UserError(f"scoring.iou_thresholds={list(self.iou_thresholds)}: each must lie between 0 and 1")
        if self.resamples < 100:
            raise UserError(f"scoring.resamples={self.resamples}: give 100 or more")

    def metrics(self, table: Table) -> dict[str, Any]:
        """The metrics of a run (schema: pixfound/schemas/metrics.schema.json); all shares lie in [0, 1]."""
        clusters = Resampler(table.clusters, self.resamples, self.seed)
        told, answers = self._answers(table, clusters)
        tree = {
            "examples": len(table.examples),
            "absent": int(table.absent.sum()),
            "pairs": len(np.unique(table.cluster_of[table.paired])),
            "iou_threshold": self.iou_threshold,
            **told,
            "rows": {row: self._row(table, row, answers, clusters) for row in table.rows},
            "unscored": _unscored(table),
        }
        metrics: dict[str, Any] = plain(tree, self.level)
        return metrics

    def _answers(self, table: Table, clusters: Resampler) -> tuple[dict[str, Any], _Answers]:
        """The metrics of the answers, and what the rows need of them."""
        replies = table.answers()
        unit = self._unit(replies)
        vqa = vqa_figures(replies, unit, clusters)
        tagged = {place: vqa_figures(found, unit, clusters) for place, found in table.groups(replies)}
        asked: Kind = "open" if better(vqa["A"], vqa["A_dagger"]) else "choice"
        told = {"accuracy_unit": unit, "answer_prompt": asked, "vqa": vqa, "vqa_by_tag": by_tag(tagged)}
        best = {place: figures["best"] for place, figures in tagged.items()}
        return told, _Answers(vqa["best"], best, _right(of_kind(replies, asked), len(table.examples)))

    def _row(self, table: Table, row: str, answers: _Answers, clusters: Resampler) -> dict[str, Any]:
        masks = table.masks(row)
        counted = masks if self.nameless == "count" else only(masks, masks["named"])
        figures = miou_figures(counted, answers.best, clusters)
        kind: Kind = "open" if better(figures["M"], figures["M_dagger"]) else "ground"
        chosen = of_kind(masks, kind)
        joints = self._join(answers, chosen)
        quadrants: dict[str, dict[str, Any]] = defaultdict(dict)
        for (tag, value), found in table.groups(masks):
            quadrants[tag][value] = counts(self._join(answers, of_kind(found, kind)))
        present = only(masks, ~masks["absent"])
        return {
            **figures,
            "grounding_prompt": kind,
            "present_only": {name: mean_iou(present, k, clusters) for name, k in MIOU},
            "false_positives_on_absent": {name: shown_on_absent(counted, k, clusters) for name, k in MIOU},
            "pointing": {name: pointing(masks, k, clusters) for name, k in MIOU},
            "by_tag": by_tag(
                {
                    place: miou_figures(found, answers.best_by_tag[place], clusters)
                    for place, found in table.groups(counted)
                }
            ),
            "quadrants": counts(joints),
            "quadrants_of_pairs": counts(by_pair(joints)),
            "quadrants_by_tag": dict(quadrants),
            "quadrants_by_threshold": {
                f"{threshold:g}": counts(self._join(answers, chosen, threshold)) for threshold in self.iou_thresholds
            },
            **conditionals(joints, clusters),
        }

    def _join(self, answers: _Answers, masks: Rows, threshold: float | None = None) -> Joints:
        return join(answers.right, masks, self.iou_threshold if threshold is None else threshold, self.absent_area)

    def _unit(self, answers: Rows) -> Unit:
        if self.accuracy != "auto":
            return self.accuracy
        letters = of_kind(answers, "choice")
        _, members = np.unique(letters["cluster"], return_counts=True)
        return "pair" if len(letters) and letters["paired"].all() and (members == 2).all() else "item"


@dataclass(frozen=True)
class _Answers:
    """What all rows share. best: the better accuracy; right: (E,) whether the better question is answered."""

    best: Estimate
    best_by_tag: Mapping[Place, Estimate]
    right: npt.NDArray[np.int8]


def _right(answers: Rows, examples: int) -> npt.NDArray[np.int8]:
    """(E,) whether each example is answered rightly; UNKNOWN where that is not scored."""
    found = np.full(examples, UNKNOWN, dtype=np.int8)
    scored = answers[answers["correct"] != UNKNOWN]
    found[scored["example"]] = scored["correct"]
    return found


def _unscored(table: Table) -> dict[str, int]:
    """What could not be scored: per kind of answer, and per row for the masks."""
    found = _by_kind("answers", table.answers(), _unanswered)
    for row in table.rows:
        found |= _by_kind(f"masks.{row}", table.masks(row), lambda masks: np.isnan(masks["iou"]))
    return found


def _unanswered(answers: Rows) -> npt.NDArray[np.bool_]:
    return np.where(answers["kind"] == KINDS.index("ground"), ~answers["answered"], answers["correct"] == UNKNOWN)


def _by_kind(what: str, scores: Rows, which: Callable[[Rows], npt.NDArray[np.bool_]]) -> dict[str, int]:
    missing = np.bincount(scores["kind"][which(scores)], minlength=len(KINDS)).tolist()
    return {f"{what}.{kind}": count for kind, count in zip(KINDS, missing, strict=True) if count}
