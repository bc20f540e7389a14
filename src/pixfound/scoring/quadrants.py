"""The failure quadrants: is an example answered, is it grounded, and what does one say about the other.

An object is grounded where the mask's IoU is over a threshold; an absent one where nothing is shown (IoU 1).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pixfound.scoring.bootstrap import Estimate, Resampler
from pixfound.scoring.scores import Score, cluster_of

QUADRANTS = ("both", "vqa_only", "grounding_only", "neither")


@dataclass(frozen=True)
class Joint:
    """The two verdicts on one example."""

    cluster: str
    pair_id: str | None
    answered: bool
    grounded: bool

    @property
    def quadrant(self) -> str:
        """The name of its quadrant."""
        return quadrant(self.answered, self.grounded)


def join(
    answers: Mapping[str, bool], masks: Sequence[Score], threshold: float, absent_area: float | None = None
) -> list[Joint]:
    """The examples of which both verdicts are known. answers: example id -> right or wrong.

    absent_area: an absent object is grounded where less than this share of the image is shown; None: where nothing is.
    """

    def grounded(score: Score, iou: float) -> bool:
        if absent_area is not None and score.absent and score.area is not None:
            return score.area < absent_area
        return iou > threshold

    return [
        Joint(cluster_of(score), score.pair_id, answers[score.example_id], grounded(score, score.iou))
        for score in masks
        if score.iou is not None and score.example_id in answers
    ]


def by_pair(joints: Sequence[Joint]) -> list[Joint]:
    """The whole pairs: answered, grounded, where both members are."""
    pairs: dict[str, list[Joint]] = defaultdict(list)
    for joint in joints:
        if joint.pair_id is not None:
            pairs[joint.pair_id].append(joint)
    return [
        Joint(pair, pair, all(j.answered for j in both), all(j.grounded for j in both))
        for pair, both in pairs.items()
        if len(both) == 2
    ]


def counts(joints: Sequence[Joint]) -> dict[str, int]:
    """How many examples, or pairs, lie in each quadrant."""
    return {**dict.fromkeys(QUADRANTS, 0), **Counter(joint.quadrant for joint in joints)}


def conditionals(joints: Sequence[Joint], clusters: Resampler) -> dict[str, Estimate]:
    """The shares P(grounded | answered rightly), P(grounded | answered wrongly) and P(answered rightly | grounded)."""

    def share(of: str, given: Sequence[Joint]) -> Estimate:
        return clusters.mean([(j.cluster, float(getattr(j, of))) for j in given])

    return {
        "grounded_given_correct": share("grounded", [j for j in joints if j.answered]),
        "grounded_given_wrong": share("grounded", [j for j in joints if not j.answered]),
        "correct_given_grounded": share("answered", [j for j in joints if j.grounded]),
    }


def quadrant(answered: bool, grounded: bool) -> str:
    """The name of a quadrant."""
    if answered:
        return "both" if grounded else "vqa_only"
    return "grounding_only" if grounded else "neither"
