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
from pixfound.scoring.bootstrap import Estimate, Resampler, figure, harmonic, larger
from pixfound.scoring.scores import Score

QUADRANTS = ("both", "vqa_only", "grounding_only", "neither")
_ACCURACY = (("A", "open"), ("A_dagger", "choice"))
_MIOU = (("M", "open"), ("M_dagger", "ground"))


@dataclass(frozen=True)
class Scoring:
    """A scoring profile.

    accuracy: what A and A_dagger count. `pair`: a pair is right when both of its answers are; `item`: each answer;
        `auto`: pair where every example has a partner. iou_threshold: above it an object counts as grounded.
    resamples, level, seed: of the bootstrap.
    """

    accuracy: Literal["auto", "pair", "item"] = "auto"
    iou_threshold: float = 0.5
    resamples: int = 2000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.accuracy not in ("auto", "pair", "item"):
            raise UserError(f"scoring.accuracy={self.accuracy}: valid values are auto, pair and item")
        if not 0 < self.iou_threshold < 1 or not 0 < self.level < 1:
            raise UserError("scoring.iou_threshold and scoring.level must lie between 0 and 1")
        if self.resamples < 100:
            raise UserError(f"scoring.resamples={self.resamples}: give 100 or more")

    def metrics(self, scores: Sequence[Score]) -> dict[str, Any]:
        """The metrics of a run (schema: pixfound/schemas/metrics.schema.json); all shares lie in [0, 1]."""
        clusters = Resampler(dict.fromkeys(_cluster(s) for s in scores), self.resamples, self.seed)
        answers = [s for s in scores if s.row is None]
        masks: dict[str, list[Score]] = defaultdict(list)
        for score in scores:
            if score.row is not None:
                masks[score.row].append(score)
        unit = self._unit(answers)
        accuracy = {name: accuracies(answers, kind, clusters) for name, kind in _ACCURACY}
        best = larger(accuracy["A"][unit], accuracy["A_dagger"][unit])
        vqa = {
            name: {**self._figure(by[unit]), "item": self._figure(by["item"]), "pair": self._figure(by["pair"])}
            for name, by in accuracy.items()
        }
        asked = "open" if _better(accuracy["A"][unit], accuracy["A_dagger"][unit]) else "choice"
        right = {s.example_id: s.correct for s in answers if s.kind == asked and s.correct is not None}
        return {
            "examples": len({s.example_id for s in scores}),
            "absent": len({s.example_id for s in scores if s.absent}),
            "pairs": len({s.pair_id for s in scores} - {None}),
            "accuracy_unit": unit,
            "answer_prompt": asked,
            "iou_threshold": self.iou_threshold,
            "vqa": vqa,
            "rows": {row: self._row(found, best, right, clusters) for row, found in masks.items()},
            "unscored": _unscored(scores),
            "responses_by_tag": self._by_tag(answers, clusters),
        }

    def _row(
        self, masks: Sequence[Score], best: Estimate, answers: Mapping[str, bool], clusters: Resampler
    ) -> dict[str, Any]:
        miou = {name: mean_iou(masks, kind, clusters) for name, kind in _MIOU}
        better = larger(miou["M"], miou["M_dagger"])
        kind = "open" if _better(miou["M"], miou["M_dagger"]) else "ground"
        chosen = [s for s in masks if s.kind == kind]
        return {
            **{name: self._figure(estimate) for name, estimate in miou.items()},
            "S": self._figure(harmonic(best, better)),
            "grounding_prompt": kind,
            "present_only": {
                name: self._figure(mean_iou([s for s in masks if not s.absent], k, clusters)) for name, k in _MIOU
            },
            "false_positives_on_absent": {name: self._figure(shown_on_absent(masks, k, clusters)) for name, k in _MIOU},
            "pointing": {name: self._pointing([s for s in masks if s.kind == k], clusters) for name, k in _MIOU},
            "quadrants": quadrants(answers, chosen, self.iou_threshold),
        }

    def _pointing(self, masks: Sequence[Score], clusters: Resampler) -> dict[str, Any] | None:
        """Where the point lies, over the present objects of which a point was taken."""
        known = [s for s in masks if s.on_target is not None]
        if not known:
            return None
        on_object = [s for s in known if s.on_object]
        return {
            "on_target": self._figure(clusters.mean([(_cluster(s), float(bool(s.on_target))) for s in known])),
            "on_object": self._figure(clusters.mean([(_cluster(s), float(bool(s.on_object))) for s in known])),
            "on_target_given_object": self._figure(
                clusters.mean([(_cluster(s), float(bool(s.on_target))) for s in on_object])
            ),
            "chance_given_object": self._figure(clusters.mean([(_cluster(s), s.chance or 0.0) for s in on_object])),
        }

    def _by_tag(self, answers: Sequence[Score], clusters: Resampler) -> dict[str, Any]:
        """Item accuracy of both kinds of answer for each value of each tag."""
        groups: dict[tuple[str, str], list[Score]] = defaultdict(list)
        for score in answers:
            for tag, value in score.tags.items():
                groups[tag, value].append(score)
        tags: dict[str, Any] = defaultdict(dict)
        for (tag, value), found in sorted(groups.items()):
            tags[tag][value] = {
                name: self._figure(accuracies(found, kind, clusters)["item"]) for name, kind in _ACCURACY
            }
        return dict(tags)

    def _unit(self, answers: Sequence[Score]) -> Literal["pair", "item"]:
        if self.accuracy != "auto":
            return self.accuracy
        sizes = Counter(s.pair_id for s in answers if s.kind == "choice")
        return "pair" if sizes and None not in sizes and set(sizes.values()) == {2} else "item"

    def _figure(self, estimate: Estimate) -> dict[str, Any]:
        return figure(estimate, self.level)


def accuracies(answers: Sequence[Score], kind: str, clusters: Resampler) -> dict[str, Estimate]:
    """Item and pair accuracy of one kind of answer; what is unscored, or is of a pair with an unscored, is left out."""
    scored = [s for s in answers if s.kind == kind and s.correct is not None]
    pairs: dict[str, list[Score]] = defaultdict(list)
    for score in scored:
        if score.pair_id is not None:
            pairs[score.pair_id].append(score)
    whole = [(pair, float(all(s.correct for s in both))) for pair, both in pairs.items() if len(both) == 2]
    return {
        "item": clusters.mean([(_cluster(s), float(bool(s.correct))) for s in scored]),
        "pair": clusters.mean(whole),
    }


def mean_iou(masks: Sequence[Score], kind: str, clusters: Resampler) -> Estimate:
    """Mean over examples of the IoU under one kind of prompt."""
    return clusters.mean([(_cluster(s), s.iou) for s in masks if s.kind == kind and s.iou is not None])


def shown_on_absent(masks: Sequence[Score], kind: str, clusters: Resampler) -> Estimate:
    """How often something is shown of an object that is not in the image."""
    known = [s for s in masks if s.absent and s.kind == kind and s.shown is not None]
    return clusters.mean([(_cluster(s), float(bool(s.shown))) for s in known])


def quadrants(answers: Mapping[str, bool], masks: Sequence[Score], threshold: float) -> dict[str, int]:
    """How many examples are answered and grounded; an absent object is grounded by showing nothing.

    answers: example id -> right or wrong. Examples that lack either score are left out.
    """
    counts = Counter(dict.fromkeys(QUADRANTS, 0))
    for score in masks:
        if score.iou is not None and score.example_id in answers:
            counts[quadrant(answers[score.example_id], score.iou > threshold)] += 1
    return dict(counts)


def quadrant(answered: bool, grounded: bool) -> str:
    """The name of a quadrant."""
    if answered:
        return "both" if grounded else "vqa_only"
    return "grounding_only" if grounded else "neither"


def _better(a: Estimate, b: Estimate) -> bool:
    """Whether `a` is the larger of two figures; one that was not scored never is."""
    return a.value > b.value or (math.isnan(b.value) and not math.isnan(a.value))


def _cluster(score: Score) -> str:
    return score.pair_id if score.pair_id is not None else score.example_id


def _unscored(scores: Sequence[Score]) -> dict[str, int]:
    """What could not be scored: per kind of answer, and per row for the masks."""
    counts: Counter[str] = Counter()
    for s in scores:
        if s.row is None and s.kind != "ground" and s.correct is None:
            counts[f"answers.{s.kind}"] += 1
        elif s.row is None and s.kind == "ground" and s.response is None:
            counts["answers.ground"] += 1
        elif s.row is not None and s.iou is None:
            counts[f"masks.{s.row}.{s.kind}"] += 1
    return dict(counts)
