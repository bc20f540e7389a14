from __future__ import annotations

import json

import numpy as np
import pytest

from pixfound.errors import UserError
from pixfound.scoring.metrics import Scoring
from pixfound.scoring.quadrants import QUADRANTS, by_pair, counts, join, quadrant
from pixfound.scoring.scores import Score
from pixfound.scoring.table import UNKNOWN, tabulate

FAST = Scoring(resamples=200)


def answer(example, correct, kind="choice", pair="", absent=False, **values):
    """The score of an answer; examples `1a` and `1b` are the pair `1` unless told."""
    pair_id = example[:-1] if pair == "" else pair
    response = None if correct is None and kind == "ground" else "said"
    defaults = {"tags": {}, "response": response, "reason": ""}
    return Score(
        f"{example}/{kind}", example, pair_id, kind, None, absent=absent, correct=correct, **{**defaults, **values}
    )


def mask(example, iou, kind="ground", row="oracle", absent=False, **values):
    defaults = {"tags": {}, "shown": None if iou is None else (not absent or iou == 0)}
    return Score(
        f"{example}/{kind}", example, example[:-1], kind, row, absent=absent, iou=iou, **{**defaults, **values}
    )


def metrics(scores, scoring=FAST):
    return scoring.metrics(tabulate(scores))


def joined(answers, masks, threshold):
    """answers: example -> whether it is rightly answered; of those that have no mask nothing is known either."""
    table = tabulate(masks)
    right = np.array([answers.get(id, UNKNOWN) for id in table.examples], dtype=np.int8)
    return join(right, table.masks("oracle", "ground"), threshold)


def value(figure):
    return figure["value"]


PAIRS = [  # pair 1 right, pair 2 half, pair 3 wrong
    *(answer("1a", True), answer("1b", True)),
    *(answer("2a", True), answer("2b", False)),
    *(answer("3a", False), answer("3b", False)),
]


def test_pair_accuracy_counts_pairs_of_which_both_are_right():
    found = metrics(PAIRS)
    assert found["accuracy_unit"] == "pair"
    vqa = found["vqa"]
    assert value(vqa["A_dagger"]) == value(vqa["A_dagger_pair"]) == value(vqa["best"]) == pytest.approx(1 / 3)
    assert value(vqa["A_dagger_item"]) == pytest.approx(3 / 6)
    assert [vqa[name]["count"] for name in ("A_dagger", "A_dagger_pair", "A_dagger_item")] == [3, 3, 6]
    assert (found["examples"], found["pairs"], found["absent"]) == (6, 3, 0)


def test_the_unit_may_be_asked_for():
    assert value(metrics(PAIRS, Scoring(accuracy="item", resamples=200))["vqa"]["A_dagger"]) == pytest.approx(1 / 2)
    single = [answer("1", True, pair=None), answer("2", False, pair=None)]
    found = metrics(single, Scoring(accuracy="pair", resamples=200))
    assert found["vqa"]["A_dagger"]["value"] is None


@pytest.mark.parametrize(
    "answers",
    [
        [answer("1", True, pair=None), answer("2", False, pair=None)],
        [*PAIRS, answer("4", True, pair=None)],  # one without a partner
        [*PAIRS, answer("4a", True)],  # one whose partner is missing
    ],
)
def test_without_pairs_throughout_items_are_counted(answers):
    found = metrics(answers)
    assert found["accuracy_unit"] == "item"
    right = sum(bool(a.correct) for a in answers)
    assert value(found["vqa"]["A_dagger"]) == pytest.approx(right / len(answers))


def test_the_unscored_are_left_out_and_counted():
    scores = [
        *(answer("1a", True), answer("1b", None)),
        *(answer("2a", True), answer("2b", True)),
        *(
            mask("1a", 0.5),
            mask("1b", None),
            mask("2a", 0.25),
            mask("2b", 0.75, kind="open"),
            mask("1a", None, row="x"),
        ),
        *(answer("1a", None, kind="open"), answer("2a", None, kind="open"), answer("2a", None, kind="ground")),
        answer("2b", None, kind="ground", response="no question"),
    ]
    found = metrics(scores)
    items, pairs = found["vqa"]["A_dagger_item"], found["vqa"]["A_dagger_pair"]
    assert (value(items), items["count"]) == (1.0, 3)
    assert (value(pairs), pairs["count"]) == (1.0, 1)  # pair 1 is neither right nor wrong
    assert found["accuracy_unit"] == "pair"
    row = found["rows"]["oracle"]
    assert (value(row["M_dagger"]), row["M_dagger"]["count"]) == (pytest.approx(0.375), 2)
    assert (value(row["M"]), row["M"]["count"]) == (0.75, 1)
    assert found["unscored"] == {
        "answers.choice": 1,
        "answers.open": 2,
        "answers.ground": 1,
        "masks.oracle.ground": 1,
        "masks.x.ground": 1,
    }


def test_s_is_the_harmonic_mean_of_the_better_of_each():
    scores = [
        *(answer(e, right) for e, right in zip(("1a", "1b", "2a", "2b"), (True, True, True, False), strict=True)),
        *(answer(e, True, kind="open") for e in ("1a", "1b", "2a", "2b")),  # A = 1, A_dagger = 1/2
        *(mask(e, 0.4) for e in ("1a", "1b", "2a", "2b")),
        *(mask(e, 0.2, kind="open") for e in ("1a", "1b", "2a", "2b")),
    ]
    found = metrics(scores)
    row = found["rows"]["oracle"]
    assert (value(found["vqa"]["A"]), value(found["vqa"]["A_dagger"])) == (1.0, 0.5)
    assert (value(row["M"]), value(row["M_dagger"])) == (pytest.approx(0.2), pytest.approx(0.4))
    assert value(row["S"]) == pytest.approx(2 / (1 / 1.0 + 1 / 0.4))
    assert row["grounding_prompt"] == "ground"
    assert (row["S"]["low"], row["S"]["high"]) == (pytest.approx(value(row["S"])),) * 2


@pytest.mark.parametrize(("m", "m_dagger", "prompt"), [(0.6, 0.4, "open"), (0.4, 0.6, "ground"), (0.5, 0.5, "ground")])
def test_the_better_prompt_is_named(m, m_dagger, prompt):
    scores = [*PAIRS, mask("1a", m, kind="open"), mask("1a", m_dagger)]
    assert metrics(scores)["rows"]["oracle"]["grounding_prompt"] == prompt


def test_a_prompt_that_was_never_scored_is_not_the_better_one():
    """Only M and A could be scored: the quadrants are about them."""
    scores = [
        *(answer("1a", True, kind="open"), answer("1a", None)),
        *(mask("1a", 0.8, kind="open"), mask("1a", None)),
    ]
    row = metrics(scores)["rows"]["oracle"]
    assert row["grounding_prompt"] == "open"
    assert row["quadrants"] == {"both": 1, "vqa_only": 0, "grounding_only": 0, "neither": 0}


def test_absent_objects():
    """The empty predictor: always right on what is absent, always wrong on what is there."""
    empty = [mask("1a", 0.0, shown=False), mask("1b", 1.0, absent=True, shown=False)]
    full = [mask("1a", 0.3, row="full", shown=True), mask("1b", 0.0, row="full", absent=True, shown=True)]
    found = metrics([answer("1a", True), answer("1b", True, absent=True), *empty, *full])
    assert found["absent"] == 1
    empty_row, full_row = found["rows"]["oracle"], found["rows"]["full"]
    assert value(empty_row["M_dagger"]) == 0.5
    assert value(empty_row["present_only"]["M_dagger"]) == 0.0
    assert value(empty_row["false_positives_on_absent"]["M_dagger"]) == 0.0
    assert empty_row["false_positives_on_absent"]["M_dagger"]["count"] == 1
    assert value(full_row["false_positives_on_absent"]["M_dagger"]) == 1.0
    assert value(full_row["present_only"]["M_dagger"]) == pytest.approx(0.3)
    assert empty_row["false_positives_on_absent"]["M"]["value"] is None  # the open prompt was not scored


def test_quadrants_by_hand():
    answers = {"1a": True, "1b": True, "2a": False, "2b": False, "3a": True}
    masks = [mask("1a", 0.51), mask("1b", 0.5), mask("2a", 0.9), mask("2b", 0.0), mask("3a", None), mask("9a", 1.0)]
    assert counts(joined(answers, masks, 0.5)) == {"both": 1, "vqa_only": 1, "grounding_only": 1, "neither": 1}
    assert counts(joined({}, masks, 0.5)) == dict.fromkeys(QUADRANTS, 0)
    assert counts(joined(answers, masks, 0.4))["both"] == 2


def test_quadrants_of_pairs_need_both_members():
    answers = {"1a": True, "1b": True, "2a": True, "2b": False, "3a": True}
    masks = [mask("1a", 0.9), mask("1b", 0.4), mask("2a", 0.9), mask("2b", 0.9), mask("3a", 0.9)]
    pairs = counts(by_pair(joined(answers, masks, 0.5)))
    assert pairs == {"both": 0, "vqa_only": 1, "grounding_only": 1, "neither": 0}


def test_what_answering_says_about_grounding():
    """Right and grounded, right and not, right and not, wrong and grounded; and the curve over thresholds."""
    scores = [
        *(answer(e, right) for e, right in (("1a", True), ("1b", True), ("2a", True), ("2b", False))),
        *(mask("1a", 0.95), mask("1b", 0.3), mask("2a", 0.0), mask("2b", 0.6)),
    ]
    row = metrics(scores)["rows"]["oracle"]
    assert value(row["grounded_given_correct"]) == pytest.approx(1 / 3)
    assert value(row["grounded_given_wrong"]) == 1.0
    assert value(row["correct_given_grounded"]) == pytest.approx(1 / 2)
    curve = row["quadrants_by_threshold"]
    assert [curve[t]["both"] for t in ("0.1", "0.2", "0.3", "0.5", "0.9")] == [2, 2, 1, 1, 1]
    assert all(sum(at.values()) == 4 for at in curve.values())


@pytest.mark.parametrize(
    ("answered", "grounded", "name"),
    [
        (True, True, "both"),
        (True, False, "vqa_only"),
        (False, True, "grounding_only"),
        (False, False, "neither"),
    ],
)
def test_quadrant_names_say_what_succeeds(answered, grounded, name):
    assert quadrant(answered, grounded) == name


def test_quadrants_take_the_better_question_and_the_better_prompt():
    examples = ("1a", "1b")
    scores = [
        *(answer(e, True) for e in examples),
        *(answer(e, False, kind="open") for e in examples),
        *(mask(e, 0.0) for e in examples),
        *(mask(e, 0.9, kind="open") for e in examples),
    ]
    row = metrics(scores)["rows"]["oracle"]
    assert row["quadrants"] == {"both": 2, "vqa_only": 0, "grounding_only": 0, "neither": 0}


def test_an_absent_object_is_grounded_by_showing_nothing():
    scores = [answer("1a", True, absent=True), mask("1a", 1.0, absent=True, shown=False)]
    assert metrics(scores)["rows"]["oracle"]["quadrants"]["both"] == 1


def test_pointing_against_other_objects():
    """Three points: on the target (of 2 objects), on another object (of 4), on the background (of 1)."""
    scores = [
        *PAIRS,
        mask("1a", 0.5, on_target=True, on_object=True, chance=1 / 2),
        mask("1b", 0.0, on_target=False, on_object=True, chance=1 / 4),
        mask("2a", 0.0, on_target=False, on_object=False, chance=1.0),
        mask("2b", 1.0, absent=True, shown=False),
        mask("3a", 0.1, kind="open"),  # took no point
    ]
    pointing = metrics(scores)["rows"]["oracle"]["pointing"]
    found = pointing["M_dagger"]
    assert value(found["on_target"]) == pytest.approx(1 / 3)
    assert value(found["on_object"]) == pytest.approx(2 / 3)
    assert value(found["on_target_given_object"]) == pytest.approx(1 / 2)
    assert (found["on_target"]["count"], found["on_target_given_object"]["count"]) == (3, 2)
    # What choosing at random among the objects would give, for the very points it is compared with.
    assert value(found["chance_given_object"]) == pytest.approx((1 / 2 + 1 / 4) / 2)
    assert pointing["M"] is None


def test_a_point_that_never_hits_an_object():
    found = metrics([*PAIRS, mask("1a", 0.0, on_target=False, on_object=False, chance=0.5)])
    pointing = found["rows"]["oracle"]["pointing"]["M_dagger"]
    assert value(pointing["on_target"]) == 0.0
    assert pointing["on_target_given_object"]["value"] is None


def test_intervals_draw_the_members_of_a_pair_together():
    """Both members of a pair are alike, so twice the items say nothing more."""
    agree = [answer(f"{i}{side}", i % 2 == 0) for i in range(30) for side in "ab"]
    alone = [answer(f"{i}{side}", i % 2 == 0, pair=None) for i in range(30) for side in "ab"]
    scoring = Scoring(accuracy="item", resamples=2000)

    def width(scores):
        figure = metrics(scores, scoring)["vqa"]["A_dagger"]
        return figure["high"] - figure["low"]

    assert width(agree) > 1.2 * width(alone)


def test_by_tag():
    count, colour = {"category": "count"}, {"category": "colour"}
    scores = [
        answer("1a", True, tags=count),
        answer("1b", False, tags=count),
        answer("2a", True, tags=colour),
        answer("2b", True, tags=colour),
        answer("2a", None, kind="open", tags=colour),
        *(mask("1a", 0.2, tags=count), mask("1b", 0.4, tags=count)),
        *(mask("2a", 0.8, tags=colour), mask("2b", 0.4, tags=colour)),
    ]
    found = metrics(scores)
    answers = found["vqa_by_tag"]["category"]
    assert list(answers["values"]) == ["colour", "count"]
    assert value(answers["values"]["count"]["A_dagger_item"]) == 0.5
    assert answers["values"]["count"]["A_dagger_item"]["count"] == 2
    assert value(answers["values"]["count"]["A_dagger"]) == 0.0  # in pairs
    assert answers["values"]["colour"]["A"] == {"value": None, "low": None, "high": None, "count": 0}
    assert value(answers["mean"]["A_dagger_item"]) == 0.75
    row = found["rows"]["oracle"]
    masks = row["by_tag"]["category"]
    assert value(masks["values"]["colour"]["M_dagger"]) == pytest.approx(0.6)
    assert value(masks["values"]["colour"]["S"]) == pytest.approx(2 / (1 / 1.0 + 1 / 0.6))
    assert value(masks["values"]["count"]["S"]) == 0.0
    assert value(masks["mean"]["M_dagger"]) == pytest.approx((0.3 + 0.6) / 2)
    assert row["quadrants_by_tag"]["category"] == {
        "colour": {"both": 1, "vqa_only": 1, "grounding_only": 0, "neither": 0},
        "count": {"both": 0, "vqa_only": 1, "grounding_only": 0, "neither": 1},
    }


def test_the_mean_over_sources_counts_each_source_alike():
    """CV-Bench's 2D accuracy: the mean of its two sources' accuracies, whatever their sizes."""
    answers = [answer(f"{i}", i == 0, pair=None, tags={"source": "COCO" if i else "ADE20K"}) for i in range(5)]
    found = metrics(answers)
    assert value(found["vqa"]["A_dagger_item"]) == pytest.approx(1 / 5)
    assert value(found["vqa_by_tag"]["source"]["mean"]["A_dagger_item"]) == pytest.approx((1 + 0) / 2)


@pytest.mark.parametrize(
    "scores", [[], [answer("1a", None), answer("1b", None), mask("1a", None), mask("1b", None, kind="open")]]
)
def test_nothing_scored_gives_no_figures_and_no_crash(scores):
    found = metrics(scores)
    assert found["vqa"]["A"]["value"] is None
    assert found["vqa"]["A_dagger_item"]["value"] is None
    for row in found["rows"].values():
        assert row["S"]["value"] is None
        assert row["M"] == {"value": None, "low": None, "high": None, "count": 0}
        assert set(row["quadrants"].values()) == {0}
        assert row["pointing"] == {"M": None, "M_dagger": None}
    json.dumps(found, allow_nan=False)


def test_answers_without_masks_have_no_s():
    row = metrics([answer("1a", True), answer("1b", True), mask("1a", None)])["rows"]["oracle"]
    assert row["S"]["value"] is None


def test_the_seed_decides_the_intervals_and_nothing_else():
    scores = [*PAIRS, *(answer(f"{i}{side}", i % 2 == 0) for i in range(4, 30) for side in "ab")]
    figures = [metrics(scores, Scoring(resamples=200, seed=seed))["vqa"]["A_dagger"] for seed in (0, 0, 1, 2, 3)]
    assert figures[0] == figures[1]
    assert len({value(figure) for figure in figures}) == 1
    assert len({(figure["low"], figure["high"]) for figure in figures}) > 1


def test_a_wider_level_gives_a_wider_interval():
    scores = [answer(f"{i}a", i % 3 == 0, pair=None) for i in range(40)]
    found = [metrics(scores, Scoring(resamples=1000, level=level))["vqa"]["A_dagger"] for level in (0.5, 0.95)]
    assert found[1]["low"] < found[0]["low"] < value(found[0]) < found[0]["high"] < found[1]["high"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"accuracy": "pairs"}, r'Scoring\.accuracy=pairs: must be one of "auto", "pair", "item"; did you mean pair'),
        ({"letters": "exakt"}, r'Scoring\.letters=exakt: must be one of "meant", "exact", .*; did you mean exact'),
        ({"no_candidate": "full"}, "no_candidate=full"),
        ({"absent_area": 0}, "absent_area=0: must be a finite number of more than 0 and at most 1, or null"),
        ({"iou_threshold": 1.0}, "iou_threshold"),
        ({"iou_thresholds": [0.5, 1.5]}, "iou_thresholds"),
        ({"level": 0.0}, "level"),
        ({"level": 95}, "level"),
        ({"resamples": 99}, "resamples=99"),
    ],
)
def test_options_are_checked(options, named):
    with pytest.raises(UserError, match=named):
        Scoring(**options)
