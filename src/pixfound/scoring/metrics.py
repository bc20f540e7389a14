"""The metrics of a run: plain functions of its scores.

A: accuracy of the open answers, A_dagger: of the letters; M: mean IoU of the masks under the open prompt,
M_dagger: under the grounding prompt; S: harmonic mean of the better A and the better M (arXiv 2502.04192).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pixfound.errors import UserError
from pixfound.scoring.bootstrap import Estimate, Resampler, average, figure, harmonic, larger
from pixfound.scoring.conventions import Conventions
from pixfound.scoring.quadrants import by_pair, conditionals, counts, join
from pixfound.scoring.scores import Score, cluster_of

_ACCURACY = (("A", "open"), ("A_dagger", "choice"))
_MIOU = (("M", "open"), ("M_dagger", "ground"))
Unit = Literal["pair", "item"]
Figures = dict[str, Estimate]
Place = tuple[str, str]  # (tag, value)


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

    def metrics(self, scores: Sequence[Score]) -> dict[str, Any]:
        """The metrics of a run (schema: pixfound/schemas/metrics.schema.json); all shares lie in [0, 1]."""
        clusters = Resampler(dict.fromkeys(map(cluster_of, scores)), self.resamples, self.seed)
        replies = [s for s in scores if s.row is None]
        masks: dict[str, list[Score]] = defaultdict(list)
        for score in scores:
            if score.row is not None:
                masks[score.row].append(score)
        unit = self._unit(replies)
        vqa = vqa_figures(replies, unit, clusters)
        tagged = {place: vqa_figures(found, unit, clusters) for place, found in _groups(replies).items()}
        asked = "open" if _better(vqa["A"], vqa["A_dagger"]) else "choice"
        answers = _Answers(
            vqa["best"],
            {place: figures["best"] for place, figures in tagged.items()},
            {s.example_id: s.correct for s in replies if s.kind == asked and s.correct is not None},
        )
        tree = {
            "examples": len({s.example_id for s in scores}),
            "absent": len({s.example_id for s in scores if s.absent}),
            "pairs": len({s.pair_id for s in scores} - {None}),
            "accuracy_unit": unit,
            "answer_prompt": asked,
            "iou_threshold": self.iou_threshold,
            "vqa": vqa,
            "vqa_by_tag": _by_tag(tagged),
            "rows": {row: self._row(found, answers, clusters) for row, found in masks.items()},
            "unscored": _unscored(scores),
        }
        plain: dict[str, Any] = _plain(tree, self.level)
        return plain

    def _row(self, masks: Sequence[Score], answers: _Answers, clusters: Resampler) -> dict[str, Any]:
        counted = [s for s in masks if s.named or self.nameless == "count"]
        figures = miou_figures(counted, answers.best, clusters)
        kind = "open" if _better(figures["M"], figures["M_dagger"]) else "ground"
        chosen = [s for s in masks if s.kind == kind]
        joints = join(answers.right, chosen, self.iou_threshold, self.absent_area)
        groups = _groups(masks)
        quadrants: dict[str, dict[str, Any]] = defaultdict(dict)
        for (tag, value), found in groups.items():
            inside = [s for s in found if s.kind == kind]
            quadrants[tag][value] = counts(join(answers.right, inside, self.iou_threshold, self.absent_area))
        present = [s for s in masks if not s.absent]
        return {
            **figures,
            "grounding_prompt": kind,
            "present_only": {name: mean_iou(present, k, clusters) for name, k in _MIOU},
            "false_positives_on_absent": {name: shown_on_absent(counted, k, clusters) for name, k in _MIOU},
            "pointing": {name: pointing([s for s in masks if s.kind == k], clusters) for name, k in _MIOU},
            "by_tag": _by_tag(
                {
                    place: miou_figures(found, answers.best_by_tag[place], clusters)
                    for place, found in _groups(counted).items()
                }
            ),
            "quadrants": counts(joints),
            "quadrants_of_pairs": counts(by_pair(joints)),
            "quadrants_by_tag": dict(quadrants),
            "quadrants_by_threshold": {
                f"{threshold:g}": counts(join(answers.right, chosen, threshold, self.absent_area))
                for threshold in self.iou_thresholds
            },
            **conditionals(joints, clusters),
        }

    def _unit(self, answers: Sequence[Score]) -> Unit:
        if self.accuracy != "auto":
            return self.accuracy
        sizes = Counter(s.pair_id for s in answers if s.kind == "choice")
        return "pair" if sizes and None not in sizes and set(sizes.values()) == {2} else "item"


@dataclass(frozen=True)
class _Answers:
    """What all rows share. best: the better accuracy; right: example id -> whether the better question is answered."""

    best: Estimate
    best_by_tag: Mapping[Place, Estimate]
    right: Mapping[str, bool]


def vqa_figures(answers: Sequence[Score], unit: Unit, clusters: Resampler) -> Figures:
    """A and A_dagger in the unit, both per item and per pair too, and `best`: the better of the two."""
    figures: Figures = {}
    for name, kind in _ACCURACY:
        by = accuracies(answers, kind, clusters)
        figures |= {name: by[unit], f"{name}_item": by["item"], f"{name}_pair": by["pair"]}
    return {**figures, "best": larger(figures["A"], figures["A_dagger"])}


def miou_figures(masks: Sequence[Score], best_accuracy: Estimate, clusters: Resampler) -> Figures:
    """M, M_dagger and S of a row."""
    found = {name: mean_iou(masks, kind, clusters) for name, kind in _MIOU}
    return {**found, "S": harmonic(best_accuracy, larger(found["M"], found["M_dagger"]))}


def accuracies(answers: Sequence[Score], kind: str, clusters: Resampler) -> dict[Unit, Estimate]:
    """Item and pair accuracy of one kind of answer; what is unscored, or is of a pair with an unscored, is left out."""
    scored = [s for s in answers if s.kind == kind and s.correct is not None]
    pairs: dict[str, list[Score]] = defaultdict(list)
    for score in scored:
        if score.pair_id is not None:
            pairs[score.pair_id].append(score)
    whole = [(pair, float(all(s.correct for s in both))) for pair, both in pairs.items() if len(both) == 2]
    return {
        "item": clusters.mean([(cluster_of(s), float(bool(s.correct))) for s in scored]),
        "pair": clusters.mean(whole),
    }


def mean_iou(masks: Sequence[Score], kind: str, clusters: Resampler) -> Estimate:
    """Mean over examples of the IoU under one kind of prompt."""
    return clusters.mean([(cluster_of(s), s.iou) for s in masks if s.kind == kind and s.iou is not None])


def shown_on_absent(masks: Sequence[Score], kind: str, clusters: Resampler) -> Estimate:
    """How often something is shown of an object that is not in the image."""
    known = [s for s in masks if s.absent and s.kind == kind and s.shown is not None]
    return clusters.mean([(cluster_of(s), float(bool(s.shown))) for s in known])


def pointing(masks: Sequence[Score], clusters: Resampler) -> Figures | None:
    """Where the point lies, over the present objects of which a point was taken; None where there are none."""
    known = [s for s in masks if s.on_target is not None]
    if not known:
        return None
    on_object = [s for s in known if s.on_object]

    def share(of: Sequence[Score], name: str) -> Estimate:
        return clusters.mean([(cluster_of(s), float(getattr(s, name) or 0.0)) for s in of])

    return {
        "on_target": share(known, "on_target"),
        "on_object": share(known, "on_object"),
        "on_target_given_object": share(on_object, "on_target"),
        "chance_given_object": share(on_object, "chance"),
    }


def _by_tag(found: Mapping[Place, Figures]) -> dict[str, Any]:
    """Tag -> {"values": value -> figures, "mean": the mean of each figure over the values, each counted alike}."""
    tags: dict[str, dict[str, Figures]] = defaultdict(dict)
    for (tag, value), figures in found.items():
        tags[tag][value] = figures
    return {
        tag: {
            "values": values,
            "mean": {name: average([f[name] for f in values.values()]) for name in next(iter(values.values()))},
        }
        for tag, values in tags.items()
    }


def _plain(node: Any, level: float) -> Any:
    """A tree with every estimate as JSON. Last, so that the draws of all of them are computed together."""
    if isinstance(node, Estimate):
        return figure(node, level)
    return {key: _plain(child, level) for key, child in node.items()} if isinstance(node, dict) else node


def _groups(scores: Sequence[Score]) -> dict[Place, list[Score]]:
    """The scores of each value of each tag, in alphabetical order."""
    groups: dict[Place, list[Score]] = defaultdict(list)
    for score in scores:
        for place in score.tags.items():
            groups[place].append(score)
    return dict(sorted(groups.items()))


def _better(a: Estimate, b: Estimate) -> bool:
    """Whether `a` is the larger of two figures; one that was not scored never is."""
    return a.value > b.value or (math.isnan(b.value) and not math.isnan(a.value))


def _unscored(scores: Sequence[Score]) -> dict[str, int]:
    """What could not be scored: per kind of answer, and per row for the masks."""
    missing: Counter[str] = Counter()
    for s in scores:
        if s.row is None and s.kind != "ground" and s.correct is None:
            missing[f"answers.{s.kind}"] += 1
        elif s.row is None and s.kind == "ground" and s.response is None:
            missing["answers.ground"] += 1
        elif s.row is not None and s.iou is None:
            missing[f"masks.{s.row}.{s.kind}"] += 1
    return dict(missing)
