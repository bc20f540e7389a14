"""The failure quadrants: is an example answered, is it grounded, and what does one say about the other.

An object is grounded where the mask's IoU is over a threshold; an absent one where nothing is shown (IoU 1).

Shapes: `J` examples, or pairs, of which both verdicts are known; `E` examples of the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixfound.scoring.bootstrap import Codes, Resampler
from pixfound.scoring.estimates import Estimate
from pixfound.scoring.table import UNKNOWN, Rows, only

QUADRANTS = ("both", "vqa_only", "grounding_only", "neither")


@dataclass(frozen=True)
class Joints:
    """The two verdicts, (J,) each. cluster: of the bootstrap; paired: whether that is a pair."""

    cluster: Codes
    paired: npt.NDArray[np.bool_]
    answered: npt.NDArray[np.bool_]
    grounded: npt.NDArray[np.bool_]


def join(answers: npt.NDArray[np.int8], masks: Rows, threshold: float, absent_area: float | None = None) -> Joints:
    """The examples of which both verdicts are known. answers: (E,) 1 where rightly answered, 0 where not, or UNKNOWN.

    absent_area: an absent object is grounded where less than this share of the image is shown; None: where nothing is.
    """
    masks = only(masks, ~np.isnan(masks["iou"]) & (answers[masks["example"]] != UNKNOWN))
    grounded = masks["iou"] > threshold
    if absent_area is not None:
        by_area = masks["absent"] & ~np.isnan(masks["area"])
        grounded = np.where(by_area, masks["area"] < absent_area, grounded)
    return Joints(masks["cluster"], masks["paired"], answers[masks["example"]] == 1, grounded)


def by_pair(joints: Joints) -> Joints:
    """The whole pairs: answered, grounded, where both members are."""
    answered, grounded = (
        whole_pairs(joints.cluster[joints.paired], verdict[joints.paired])
        for verdict in (joints.answered, joints.grounded)
    )
    return Joints(answered[0], np.ones(len(answered[0]), dtype=np.bool_), answered[1], grounded[1])


def whole_pairs(pairs: Codes, verdicts: npt.NDArray[np.bool_]) -> tuple[Codes, npt.NDArray[np.bool_]]:
    """Of verdicts on members of pairs: the pairs that have two, and whether both are true."""
    members, true = np.bincount(pairs), np.bincount(pairs, weights=verdicts)
    complete = np.flatnonzero(members == 2)
    return complete, true[complete] == 2


def counts(joints: Joints) -> dict[str, int]:
    """Number of examples, or pairs, in each quadrant, by its name in `QUADRANTS`."""
    numbers = np.bincount(2 * ~joints.answered + ~joints.grounded, minlength=len(QUADRANTS))
    return dict(zip(QUADRANTS, numbers.tolist(), strict=True))


def conditionals(joints: Joints, clusters: Resampler) -> dict[str, Estimate]:
    """The shares P(grounded | answered rightly), P(grounded | answered wrongly) and P(answered rightly | grounded)."""
    right, grounded = joints.answered, joints.grounded
    return {
        "grounded_given_correct": clusters.mean(joints.cluster[right], grounded[right]),
        "grounded_given_wrong": clusters.mean(joints.cluster[~right], grounded[~right]),
        "correct_given_grounded": clusters.mean(joints.cluster[grounded], right[grounded]),
    }


def quadrant(answered: bool, grounded: bool) -> str:
    """The name of a quadrant."""
    return QUADRANTS[2 * (not answered) + (not grounded)]
