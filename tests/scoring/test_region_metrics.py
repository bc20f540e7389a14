"""Metrics of regions where their definitions say what comes out: predictors that are always right or always empty."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pixfound.errors import UserError
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.comparison import Comparison
from pixfound.scoring.measured import Measured
from pixfound.scoring.metric_names import find_metric
from pixfound.scoring.metrics import Scoring
from pixfound.scoring.region_metrics import METRICS
from pixfound.scoring.regions import best_ious, box_ious, matched_ious, suppress, true_positives
from pixfound.types import Candidate
from pixfound.types.masks import RLE, union
from tests.scoring.test_official import figures
from tests.support.examples import drawn, make_example

LEFT, RIGHT, NONE = drawn("##....", "##...."), drawn("....##", "....##"), RLE.empty((2, 6))
NEEDS = ("pr", "box_acc", "written_box_acc", "joint", "joint_box")  # a threshold
OF_PAIRS = ("pair", "afpr", "ufpr", "acsr", "ucsr", "softswap")  # they need pairs, or the picture's objects
NAMES = [f"{name}@0.5" if name in NEEDS else name for name in METRICS if name not in OF_PAIRS]
TRUTHS = [
    make_example(union([LEFT, RIGHT], (2, 6)), instances=(LEFT, RIGHT), count=2),
    make_example(LEFT, ignore=RIGHT),
    make_example(NONE),
]


def perfect(example: Any) -> Comparison:
    masks = () if example.absent else example.instances or (example.gt_mask,)
    parts = tuple(Candidate(m, box=m.box, point=(m.box[0] + 0.5, 0.5)) for m in masks if m.box)
    chosen = Candidate(example.gt_mask, box=parts[0].box, point=parts[0].point, parts=parts) if parts else None
    return Comparison(example, example.gt_mask, chosen)


def test_always_right_is_one_but_for_boxes_of_a_part() -> None:
    found = figures([perfect(example) for example in TRUTHS], *NAMES, right=[True] * 3)
    first = {name for name in NAMES if name.startswith(("written_box", "joint_box", "multihop"))}
    lower = {name: value for name, value in found.items() if value != pytest.approx(1, abs=2e-4)}
    assert lower.keys() <= first  # the first of two boxes is not the box around both


def test_always_empty_is_right_about_absent_objects_alone() -> None:
    found = figures([Comparison(example, NONE, missing=True) for example in TRUTHS], *NAMES, right=[True] * 3)
    present_only = ("miou", "pr", "t_acc", "centre_in", "points_", "instance_f1", "pbench", "saco", "positive", "gated")
    for name, value in found.items():
        if name in ("n_acc",):
            assert value == 1
        elif name in ("ciou", "il_mcc") or name.startswith(present_only):
            assert value == 0, name
        elif name == "multihop_iou":
            assert value is None
        else:
            assert value == pytest.approx(1 / 3, abs=1e-9), name
    skipped = figures([Comparison(example, NONE, missing=True) for example in TRUTHS], "giou:skip_missing")
    assert skipped["giou:skip_missing"] is None


def test_an_absent_object_with_a_mask_lowers_what_it_should() -> None:
    shown = [perfect(TRUTHS[0]), Comparison(TRUTHS[2], LEFT, Candidate(LEFT, box=LEFT.box))]
    found = figures(shown, "giou", "ciou", "miou", "n_acc", "il_mcc", "target_recall", "written_box_iou")
    assert found["giou"] == found["target_recall"] == 0.5
    assert found["ciou"] == 8 / 12  # its area is in the union
    assert (found["miou"], found["n_acc"], found["il_mcc"]) == (1, 0, 0)
    drawn_only = [Comparison(TRUTHS[2], LEFT, Candidate(LEFT))]  # a mask says that something is there as a box does
    boxes = ("written_box_iou", "written_box_acc@0.5", "written_box_centre", "box_iou", "joint_box@0.5")
    assert set(figures(drawn_only, *boxes, right=[True]).values()) == {0}


def test_nothing_shown_counts_as_wrong_where_the_convention_says_so() -> None:
    found = figures([Comparison(TRUTHS[2], NONE, missing=True, wrong=True)], "giou", "giou_eps", "n_acc", "box_iou")
    assert set(found.values()) == {0.0}


def test_ignored_pixels_count_nowhere() -> None:
    both = Comparison(TRUTHS[1], union([LEFT, RIGHT], (2, 6)))
    found = figures([both], "giou", "ciou", "boundary")
    assert set(found.values()) == {1.0}
    assert figures([replace(both, example=make_example(LEFT))], "giou")["giou"] == 0.5


def test_the_assignment_is_the_best_of_all_and_boxes_in_excess_cost_recall_nothing() -> None:
    matrix = np.array([[0.9, 0.8], [0.8, 0.1], [0.0, 0.0]])  # greedy matching would take .9 and then .1
    assert sorted(matched_ious(matrix)) == [0.8, 0.8]
    assert true_positives(matrix, (0.5, 0.85)).tolist() == [2, 0]
    assert best_ious(matrix).tolist() == [0.9, 0.8]
    assert box_ious([(0, 0, 2, 2)], [(1, 1, 3, 3), (0, 0, 0, 0)]).tolist() == [[1 / 7, 0]]
    assert box_ious([], [(0, 0, 1, 1)]).shape == (0, 1)
    part = drawn("#.....", "##....")
    assert suppress([part, LEFT, RIGHT], 0.5) == [RIGHT, LEFT] or suppress([part, LEFT, RIGHT], 0.5) == [LEFT, RIGHT]
    assert len(suppress([part, LEFT, RIGHT], 0.75)) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gious", "there is no metric gious; did you mean giou"),
        ("pr", "pr needs a threshold; type pr@0.5"),
        ("giou@0.5", "giou has no threshold; type giou in place of giou@0.5"),
        ("pr@1.5", "a threshold is above 0 and at most 1"),
        ("giou:skip", "there is no metric giou:skip"),
    ],
)
def test_a_name_that_is_no_metric_says_what_to_type(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_metric(name)


@pytest.mark.parametrize(
    ("names", "message"),
    [("giou", r"must be a list in brackets, .*; type \[giou\]"), (["giou", "giou"], "twice"), (None, "declares no")],
)
def test_a_list_of_metrics_is_checked(names: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Scoring(region_metrics=names)


def test_pairs_are_right_where_both_members_are() -> None:
    """Present and absent: shown and not shown. A single example is in no pair."""
    left = make_example(LEFT)
    shown = [Comparison(left, LEFT), Comparison(make_example(NONE), NONE)]  # right
    shown += [Comparison(left, LEFT), Comparison(make_example(NONE), LEFT)]  # shows what is not there
    shown += [Comparison(left, RIGHT), Comparison(make_example(NONE), NONE), Comparison(left, LEFT)]
    metric = find_metric("pair@0.5")
    numbers = np.array([metric.measure(c) for c in shown])
    of = np.array([0, 0, 1, 1, 2, 2, 3])
    found = metric.figure(Measured(numbers, of, np.full(7, -1, np.int8)), Resampler(4, 100, 0))
    assert (found.value, found.count) == (pytest.approx(1 / 3), 3)
