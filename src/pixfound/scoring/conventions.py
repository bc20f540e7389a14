"""What two evaluations of the same files may disagree about: each convention is one named option.

conf/scoring/default.yaml says what each is for, conf/scoring/reference.yaml sets those of the paper's own scripts.
Conventions of selectors, judges and readers of masks are options of those; here are the ones of the scores themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pixfound.errors import UserError
from pixfound.scoring.choice_grading import Letters, check_letters


@dataclass(frozen=True)
class Conventions:
    """How a reply, a mask or its lack becomes a score.

    letters: the rule by which letters are read (`pixfound.scoring.choice_grading.grade_letter`).
    no_candidate: what it is worth that there was nothing to choose from; `empty`: what an empty mask is, so an IoU of 1
        where the object is absent; `wrong`: an IoU of 0 wherever.
    nameless: whether an example that names no object to show `count`s in the means over masks.
    absent_area: an absent object is rightly not shown where less than this share of the image is shown; None: where
        nothing is. For the quadrants alone.
    """

    letters: Letters = "meant"
    no_candidate: Literal["empty", "wrong"] = "empty"
    nameless: Literal["count", "leave_out"] = "count"
    absent_area: float | None = None

    def __post_init__(self) -> None:
        check_letters(self.letters, "scoring.letters")
        if self.no_candidate not in ("empty", "wrong"):
            raise UserError(f"scoring.no_candidate={self.no_candidate}: valid values are empty and wrong")
        if self.nameless not in ("count", "leave_out"):
            raise UserError(f"scoring.nameless={self.nameless}: valid values are count and leave_out")
        if self.absent_area is not None and not 0 < self.absent_area <= 1:
            raise UserError(f"scoring.absent_area={self.absent_area}: must be null or more than 0 and at most 1")
