"""The automatic baseline with a scripted judge: what it is shown, and how its replies are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import Judge
from pixfound.io.overlays import RED, draw_overlay, sheet
from pixfound.judges.asking import UnreadableReply
from pixfound.judges.rules import RulesJudge
from pixfound.selectors.judge import JudgeChoice, read_choice
from tests.support.examples import make_example
from tests.support.nested import CANDIDATES, EXAMPLE, LARGEST, square
from tests.support.run import run


class Scripted(Judge):
    """A judge that replies from a script, or by a rule; keeps what it was asked."""

    name, concurrency, answers_questions = "scripted", 2, True

    def __init__(self, *replies: str, rule: Callable[[Sequence[Image.Image]], str] | None = None) -> None:
        self.replies, self.rule, self.asked = list(replies), rule, []

    def ask(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> str:
        self.asked.append((system, question, list(images)))
        if self.rule and len(images) > 1:
            return self.rule(images)
        return self.replies.pop(0) if self.replies else "yes"


def redness(image: Image.Image) -> int:
    """How many pixels are half red over black."""
    pixels = np.asarray(image).astype(int)
    return int(((pixels[..., 0] == 127) & (pixels[..., 1] == 0)).sum())


def reddest(images: Sequence[Image.Image]) -> str:
    return str(1 + max(range(len(images)), key=lambda i: redness(images[i])))


@pytest.mark.parametrize("chunk", [None, 2, 3, 4, 12, 13])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_judge_with_good_eyes_finds_the_best_in_any_order_and_any_chunks(chunk: int | None, shuffle: bool) -> None:
    judge = Scripted(rule=reddest)
    selector = JudgeChoice(judge, chunk=chunk, shuffle=shuffle, numbered=False)
    choice = selector.select_one(EXAMPLE, CANDIDATES, "ground")
    assert (choice.kind, choice.index) == ("candidate", LARGEST)
    asked = [images for _, _, images in judge.asked]
    load = selector.judge_load(EXAMPLE, CANDIDATES)
    assert (len(asked), sum(map(len, asked))) == (load.requests, load.images)
    assert all(len(images) <= (chunk or 13) for images in asked)
    assert choice.about["present"] is True
    for question in choice.about["questions"]:
        assert len(set(question["order"])) == len(question["order"]) > 1


def test_the_wording_is_the_papers() -> None:
    judge = Scripted("Yes.", "2")
    choice = JudgeChoice(judge, shuffle=False).select_one(EXAMPLE, CANDIDATES[:3], "ground")
    assert choice.index == 1
    (_, presence, plain), (_, question, overlays) = judge.asked
    assert presence == "Does this image have the red door? Answer yes/no only."
    assert question.startswith("Select the image that has the red door best highlighted in red color")
    assert question.endswith("from 1 to 3. Mention the number only.")
    assert (len(plain), len(overlays)) == (1, 3)
    assert np.asarray(plain[0]).max() == 0, "the first question shows the plain image"


def test_an_object_that_is_not_seen_is_not_shown() -> None:
    judge = Scripted("No.")
    choice = JudgeChoice(judge).select_one(EXAMPLE, CANDIDATES, "ground")
    assert (choice.kind, choice.about) == ("empty", {"present": False})
    assert len(judge.asked) == 1


def test_few_candidates_need_no_question() -> None:
    assert JudgeChoice(Scripted()).select_one(EXAMPLE, [], "ground").kind == "empty"
    judge = Scripted("yes")
    assert JudgeChoice(judge).select_one(EXAMPLE, CANDIDATES[:1], "ground").index == 0
    assert len(judge.asked) == 1
    silent = Scripted()
    assert JudgeChoice(silent, presence=False).select_one(EXAMPLE, CANDIDATES[:1], "ground").index == 0
    assert silent.asked == []


@pytest.mark.parametrize(
    "reply",
    [
        "0",
        "4",
        "-1",
        "1 or 2",
        "I cannot tell",
        "all of them",
        "2.5",
        "1st and 3rd",
        "100%",
        "Not 1",
        "<think>1 is",
        "None; 1 is the closest",
        "Only 1 image shows it",
        "All 3 images",
    ],
)
def test_a_reply_that_names_no_candidate_is_a_failure_and_never_the_first(reply: str) -> None:
    with pytest.raises(UnreadableReply, match=re.escape(repr(reply))):
        JudgeChoice(Scripted("yes", reply)).select_one(EXAMPLE, CANDIDATES[:3], "ground")


@pytest.mark.parametrize(
    "reply", ["None of them", "None of the 3 images", "Neither.", "none", "There is no image that shows it"]
)
def test_none_of_them_is_an_answer(reply: str) -> None:
    assert JudgeChoice(Scripted("yes", reply)).select_one(EXAMPLE, CANDIDATES[:3], "ground").kind == "empty"
    assert (
        JudgeChoice(Scripted("yes", reply), none="unscored").select_one(EXAMPLE, CANDIDATES[:3], "ground").kind
        == "unscored"
    )


def test_a_presence_that_cannot_be_read_is_a_failure() -> None:
    with pytest.raises(UnreadableReply, match=r"presence: .*'Perhaps'"):
        JudgeChoice(Scripted("Perhaps")).select_one(EXAMPLE, CANDIDATES, "ground")


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("2", 1),
        ("2.", 1),
        ("**3**", 2),
        ("Image 1", 0),
        ("The answer is 2.", 1),
        ("<think>1 or 3</think>3", 2),
        ("(2)", 1),
        ("2/3", 1),
        ("Image 2 of 3", 1),
        ("Of the 3 images, image 2 is best.", 1),
        ("2, not 1", 1),
        ("1 or 3</think>2", 1),
        ("image2", 1),
        ('{"answer": 2}', 1),
        ("\uff12", 1),
    ],
)
def test_numbers_are_read(reply: str, place: int) -> None:
    assert read_choice(reply, 3) == (place, "")


@given(st.text(max_size=30), st.integers(1, 20))
def test_no_reply_breaks_the_reading(reply: str, count: int) -> None:
    place, why = read_choice(reply, count)
    assert place is None or (0 <= place < count and not why)


def test_the_order_is_drawn_for_each_example_and_kept() -> None:
    def orders(seed: int) -> list[list[int]]:
        found = []
        for id in "abc":
            about = (
                JudgeChoice(Scripted(rule=reddest), seed=seed, chunk=None)
                .select_one(make_example(square(10), id=id), CANDIDATES, "ground")
                .about
            )
            found.append(about["questions"][0]["order"])
        return found

    assert orders(0) == orders(0)
    assert len({tuple(order) for order in [*orders(0), *orders(1)]}) == 6


def test_twins_are_shown_once_and_candidates_can_be_limited() -> None:
    twins = [CANDIDATES[0], CANDIDATES[1], CANDIDATES[1], CANDIDATES[3]]

    def shown(**options: Any) -> list[int]:
        selector = JudgeChoice(Scripted("yes", "2"), shuffle=False, **options)
        choice, load = selector.select_one(EXAMPLE, twins, "ground"), selector.judge_load(EXAMPLE, twins)
        order = choice.about["questions"][0]["order"]
        assert load.images == 1 + len(order)
        assert choice.index == order[1]
        return list(order)

    assert shown() == [0, 1, 2, 3]
    assert shown(duplicates=0.95) == [0, 1, 3]
    assert shown(duplicates=1.0) == [0, 1, 2, 3], "more than this, not as much"
    assert shown(max_candidates=2) == [0, 1]
    assert shown(duplicates=0.95, max_candidates=3) == [0, 1, 3]


def test_the_colour_can_be_chosen() -> None:
    judge = Scripted("yes", "1")
    JudgeChoice(judge, colour=[0, 200, 0], opacity=1.0).select_one(EXAMPLE, CANDIDATES[1:3], "ground")
    assert np.asarray(judge.asked[1][2][0])[20, 20].tolist() == [0, 200, 0]


def test_options_are_checked_before_anything_is_asked() -> None:
    with pytest.raises(UserError, match=r"'rules' cannot look at images.*use judge=openai or judge=mllm"):
        JudgeChoice(RulesJudge())  # type: ignore[arg-type]
    bad = [{"chunk": 1}, {"none": "first"}, {"opacity": 0.0}, {"colour": [256, 0, 0]}, {"colour": "red"}]
    for options in (*bad, {"max_candidates": 0}, {"duplicates": 0.0}):
        with pytest.raises(UserError):
            JudgeChoice(Scripted(), **options)  # type: ignore[arg-type]


def test_overlays_show_the_mask_and_the_number() -> None:
    image = Image.new("RGB", (60, 40), (0, 0, 200))
    mask = np.zeros((40, 60), dtype=np.bool_)
    mask[25:35, 30:50] = True
    plain = np.asarray(draw_overlay(image, mask))
    assert plain[30, 40].tolist() == [127, 0, 100]
    assert (plain[~mask] == [0, 0, 200]).all()
    numbered = np.asarray(draw_overlay(image, mask, 7, RED, 1.0))
    assert numbered[30, 40].tolist() == list(RED)
    assert (numbered[:12, :10] == 255).any(), "the number stands on white"
    whole = sheet([image] * 5)
    assert whole.size == (3 * 64, 2 * 44)
    assert sheet([image]) is image


def test_rules_cannot_choose(models: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot look at images"):
        run(models, tmp_path, "extraction=automatic")
