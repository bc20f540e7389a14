"""Conventions on which two evaluations of the same files may disagree, each one named option.

conf/scoring/default.yaml says what each is for. conf/scoring/reference.yaml sets those of the paper's own scripts.
This module holds the conventions of the scores themselves.
Those of selectors, judges and readers of masks are options of these parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pixfound.errors import UserError
from pixfound.interfaces import Component
from pixfound.scoring.choice_grading import Letters
from pixfound.scoring.metric_names import Metric, find_metric
from pixfound.types.arguments import Share


@dataclass(frozen=True)
class Conventions(Component):
    """Rules by which a reply, a mask or a missing mask becomes a score.

    letters: rule by which letters are read (`pixfound.scoring.choice_grading.grade_letter`).
    no_candidate: score of a row that had no candidate to choose from. `empty`: that of the empty mask, so an IoU of 1
        if the object is absent. `wrong`: an IoU of 0 in every case.
    nameless: `count` or `leave_out` examples that name no object to show, in the means over masks.
    absent_area: share of the image, more than 0 and at most 1. An absent object is rightly not shown if less than this
        share is shown; None: if nothing is shown. Used for the quadrants alone.
    region_metrics: names of further metrics, see `pixfound.scoring.metric_names`; None where they were to be the
        benchmark's official ones, but it declares none.
    """

    letters: Letters = "meant"
    no_candidate: Literal["empty", "wrong"] = "empty"
    nameless: Literal["count", "leave_out"] = "count"
    absent_area: Share | None = None
    region_metrics: Sequence[str] | None = ()

    @cached_property
    def found_metrics(self) -> tuple[Metric, ...]:
        """The metrics of `region_metrics`."""
        return tuple(map(find_metric, self.region_metrics or ()))

    def __post_init__(self) -> None:
        if self.region_metrics is None:
            raise UserError(
                "scoring=official: the benchmark's YAML declares no official_metrics; type "
                "scoring.region_metrics=[giou,ciou], or leave scoring=official away"
            )
        if len(set(self.region_metrics)) < len(self.region_metrics):
            raise UserError(f"scoring.region_metrics={list(self.region_metrics)}: names a metric twice")
        _ = self.found_metrics
