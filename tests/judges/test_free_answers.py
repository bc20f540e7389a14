"""Rules for free answers, against numbers worked out by hand from their papers and evaluators."""

from __future__ import annotations

import numpy as np
import pytest

from pixfound.judges.asking import grade_by_asking
from pixfound.judges.free_answers import answer_credit, vqa_normal
from pixfound.judges.rules import RulesJudge
from pixfound.types import Example
from pixfound.types.masks import RLE
from tests.support.examples import make_example

TEN = ["red"] * 4 + ["dark red"] * 3 + ["pink", "pink", "orange"]


@pytest.mark.parametrize(
    ("rule", "reply", "answers", "credit"),
    [
        ("exact", " Window. ", ["window"], 1),
        ("exact", "a window", ["window"], 0),
        ("exact", "<think>hm, door</think>sofa", ["chair", "sofa"], 1),
        ("vqa", "The red", TEN, 1),  # four annotators: each leaves at least three others
        ("vqa", "dark red", TEN, (3 * 2 / 3 + 7 * 1) / 10),  # three: those who said it leave two others
        ("vqa", "pink!", TEN, 0),  # an exclamation mark is no punctuation of the evaluator's
        ("vqa", "Pink?", TEN, (2 * 1 / 3 + 8 * 2 / 3) / 10),
        ("vqa", "orange", TEN, 9 * 1 / 3 / 10),
        ("vqa", "blue", TEN, 0),
        ("vqa", "Two", ["2"], 1),
        ("vqa", "1,000", ["1000"], 1),
        ("vqa", "dont know", ["don't know"], 0),  # its apostrophe becomes a space before contractions are mended
        ("anls", "Syarikat  Gin Kee", ["SYARIKAT GIN KEE", "x"], 1),
        ("anls", "abcd", ["abxx"], 0.5),
        ("anls", "a  b c", ["a b x"], 5 / 6),  # the distance is 1, the length that of the text as it stands
        ("anls", "abcd", ["axxx"], 0),
        ("anls", "abcd", ["axxx", "abcx"], 0.75),
        ("relaxed", "10.5", ["10"], 1),
        ("relaxed", "10.51", ["10"], 0),
        ("relaxed", "5%", ["0.05"], 1),
        ("relaxed", "Yes", ["yes"], 1),
        ("relaxed", "0.0", ["0"], 0),  # zero has no 5 %: the texts are compared
    ],
)
def test_credit(rule: str, reply: str, answers: list[str], credit: float) -> None:
    assert answer_credit(rule, reply, answers) == pytest.approx(credit, abs=1e-9)


def test_normalisation_of_vqa() -> None:
    assert vqa_normal("It is a dog, and the cats' house.\n") == "it is dog and cats house"
    assert vqa_normal("none of two 3.5 wont") == "0 of 2 3.5 won't"


def free(**values: object) -> Example:
    return make_example(RLE.full((4, 4)), options=(), answer=None, answers=("Red", "red", "crimson"), **values)


def test_the_rules_judge_takes_half_a_credit_for_right() -> None:
    assert RulesJudge().grade([(free(), "crimson")]) == [(True, "exact: 1.00")]
    assert RulesJudge().grade([(free(grading="anls"), "crims")]) == [(True, "anls: 0.71")]
    assert RulesJudge().grade([(free(grading="anls"), "blue")]) == [(False, "anls: 0.00")]


def test_a_judge_is_told_the_accepted_answers() -> None:
    class Asker:
        asked = ""

        def ask(self, system: str, question: str, images: object = ()) -> str:
            self.asked = question
            return "Yes"

    asker = Asker()
    assert grade_by_asking(asker, free(), "a reddish one")[0]
    assert "question Is it open?, the correct answer is Red or red or crimson. Does" in asker.asked


def test_an_example_asks_what_it_can() -> None:
    assert make_example(RLE.full((4, 4))).kinds == ("open", "choice", "ground")
    assert free().kinds == ("open", "ground")
    assert free().right_answer == "Red"
    bare = make_example(RLE.empty((4, 4)), question="", options=(), answer=None)
    assert (bare.kinds, bare.right_answer, bare.absent) == (("ground",), "", True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"options": (), "answer": None}, "a question without options needs accepted answers"),
        ({"options": (), "answer": 0, "answers": ("a",)}, "answer 0 needs options"),
        ({"answer": None}, "answer None needs options, and options an answer"),
        ({"answers": ("a",)}, "accepted answers stand beside options"),
        ({"options": (), "answer": None, "answers": ("a", " ")}, "an accepted answer is empty"),
        ({"options": (), "answer": None, "answers": ("a",), "question": ""}, "the question is empty"),
    ],
)
def test_examples_that_cannot_be_scored(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_example(RLE.encode(np.ones((2, 2), np.bool_)), **values)
