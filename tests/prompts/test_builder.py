"""Prompts by id: the paper's wordings, slots, articles, escapes, misspellings, and mistakes that are named."""

from __future__ import annotations

import csv
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from pixfound.errors import UserError
from pixfound.prompts.builder import Prompts, spread
from pixfound.prompts.perturbations import parse_variation
from pixfound.types import KINDS, Example
from tests.support.examples import drawn, make_example
from tests.support.run import config_of

HERE = Path(os.environ.get("PIXFOUND_ANNOTATIONS", Path(__file__).parents[3] / "shared/data")) / "pixmmvp"
LAST = "Answer with the option's letter from the given choices directly."
WORDINGS = {  # the grounding prompts of the original's scripts
    "llava_1_5_7b": "Identify the door in the scene.",
    "lisa_7b": "Can you segment the door in this image?",
    "glamm": "Can you please segment the door in the given image",
    "omg_llava": "Can you please segment the door in the given image",
    "llava_grounding_7b": "Can you identify the door in this image? (with grounding)",
    "rga3": "Can you identify the door in this image? (with grounding)",
    "qwen2_5_vl_7b": "Point to the door, output its coordinates in point-format as JSON",
    "cambrian_8b": "Identify the door in the scene.",
}


def prompts(*overrides: str, **more: Any) -> Prompts:
    """The prompts of a command line."""
    config = config_of(*overrides)["prompts"]
    return Prompts(**{k: v for k, v in {**config, **more}.items() if k != "_target_"})


def example(**values: Any) -> Example:
    return make_example(drawn("#."), question="Is it open?", options=("Open", "Closed"), **values)


def test_the_default_is_the_papers_wording() -> None:
    made = prompts()
    open, choice, ground = (made.prompt(example(), kind) for kind in KINDS)
    assert open.text == "Is it open? (a) Open (b) Closed"
    assert choice.text == f"Is it open? Options:\nA. Open\nB. Closed\n{LAST}"
    assert ground.text == "Identify the door in the scene."
    assert [p.variant for p in (open, choice, ground)] == ["paper", "paper", "pixfoundation"]


@pytest.mark.parametrize(("model", "text"), WORDINGS.items())
def test_the_papers_prompts_follow_the_model(model: str, text: str, caplog: pytest.LogCaptureFixture) -> None:
    made = prompts("prompts=paper", f"names.model={model}")
    assert made.prompt(example(), "ground").text == text
    suffix = " Answer the question. Please answer in one sentence." if model == "rga3" else ""
    assert made.prompt(example(), "open").text == f"Is it open? (a) Open (b) Closed{suffix}"
    assert not caplog.messages


def test_the_users_id_goes_before_the_models() -> None:
    made = prompts("prompts=paper", "names.model=qwen2_5_vl_7b", "prompts.ground=qwen_box")
    assert made.prompt(example(), "ground").text.startswith("Locate the door and output all the coordinates")
    assert made.prompt(example(), "ground").variant == "qwen_box"
    assert made.prompt(example(), "open").variant == "paper"


def test_an_unknown_model_takes_the_default_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        made = prompts("prompts=paper", "names.model=mine")
    assert made.prompt(example(), "ground").text == "Identify the door in the scene."
    (message,) = caplog.messages
    assert "model=mine" in message
    assert "prompts.ground=pixfoundation" in message
    caplog.clear()
    prompts("prompts=paper", "names.model=mine", "prompts.ground=lisa", "prompts.open=paper", "prompts.choice=paper")
    assert not caplog.messages


def test_the_slots_stand_around_both_kinds_of_question() -> None:
    made = prompts("prompts.vqa=t1")
    assert made.prompt(example(), "open").text == "Ques:Is it open?\n (a) Open (b) Closed\nInstruct:"
    choice = made.prompt(example(), "choice")
    assert choice.text == f"Ques:Is it open?\n Options:\nA. Open\nB. Closed\nInstruct:\n{LAST}\nAns:"
    assert choice.variant == "paper+t1"
    assert made.prompt(example(), "ground").variant == "pixfoundation"


def test_what_is_escaped_in_the_release_may_stay_so() -> None:
    made = prompts("prompts.vqa=t1", "prompts.unescape=false")
    assert made.prompt(example(), "open").text == r"Ques:Is it open?\n (a) Open (b) Closed\nInstruct:"
    text = made.prompt(example(), "choice").text
    assert text == r"Ques:Is it open?\n Options:" + "\nA. Open\nB. Closed\\nInstruct:\n" + rf"{LAST}\nAns:"


def test_a_slot_that_changes_nothing() -> None:
    plain, same = prompts(), prompts("prompts.vqa=t9")
    for kind in KINDS:
        assert plain.prompt(example(), kind).text == same.prompt(example(), kind).text


def test_a_question_with_the_sign_between_slots() -> None:
    text = prompts("prompts.vqa=t2").prompt(make_example(drawn("#"), question="a|b {x}?"), "open").text
    assert text == "a|b {x}?\n (a) yes (b) no\n"


@pytest.mark.parametrize(
    ("expression", "fixed", "raw"),
    [
        ("the door", "Point to the door,", "Point to the the door,"),
        (" the door", "Point to the door,", "Point to the  the door,"),
        ("A dog", "Point to A dog,", "Point to the A dog,"),
        ("an owl", "Point to an owl,", "Point to the an owl,"),
        ("door", "Point to the door,", "Point to the door,"),
        ("anchor", "Point to the anchor,", "Point to the anchor,"),
    ],
)
def test_a_double_article_is_one(expression: str, fixed: str, raw: str) -> None:
    shown = example(expression=expression)
    assert prompts("prompts.ground=qwen_point").prompt(shown, "ground").text.startswith(fixed)
    assert prompts("prompts.ground=qwen_point", "prompts.articles=raw").prompt(shown, "ground").text.startswith(raw)


def test_misspellings_belong_to_the_example() -> None:
    first, second = example(id="1"), example(id="2")
    made, again = prompts("prompts.noise=4"), prompts("prompts.noise=4")
    forth = [made.prompt(e, kind).text for e in (first, second) for kind in KINDS]
    back = [again.prompt(e, kind).text for e in (second, first) for kind in reversed(KINDS)][::-1]
    assert forth == back
    assert made.prompt(first, "open").text != made.prompt(second, "open").text
    for other in (["prompts.noise=5"], ["prompts.noise=4", "seed=1"]):
        assert prompts(*other).prompt(first, "open").text != made.prompt(first, "open").text
    assert made.prompt(first, "ground").variant == "pixfoundation+spelling_4"


def test_both_kinds_of_question_are_misspelt_alike() -> None:
    made = prompts("prompts.noise=1", "prompts.edits.extension=0")
    long = make_example(drawn("#"), question="Is the door of the house open?", options=("widely open", "closed"))
    question, first, second = "", "", ""
    open, choice = made.prompt(long, "open").text, made.prompt(long, "choice").text
    question, _, rest = choice.partition(" Options:\nA. ")
    first, _, rest = rest.partition("\nB. ")
    second = rest.removesuffix(f"\n{LAST}")
    assert open == f"{question} (a) {first} (b) {second}"  # the letters in front of the options are never touched
    assert question != long.question
    assert first != long.options[0]


def test_one_edit_in_each_long_word_of_the_expression() -> None:
    shown = example(expression="the butterfly's colourful wings")
    for number in range(12):
        text = prompts(f"prompts.noise={number}").prompt(shown, "ground").text
        words = text.removeprefix("Identify ").removesuffix(" in the scene.").split(" ")
        assert words[0] == "the"
        assert all(new != old for new, old in zip(words[1:], ["butterfly's", "colourful", "wings"], strict=True))
        assert all(abs(len(n) - len(o)) <= 1 for n, o in zip(words[1:], ["butterfly's", "colourful", "wings"]))  # noqa: B905


def test_edits_in_the_wording_leave_the_expression() -> None:
    texts = {
        prompts("prompts.ground=t1", f"prompts.noise={n}", "prompts.edits.word=0", "prompts.edits.wording=8")
        .prompt(example(), "ground")
        .text
        for n in range(6)
    }
    assert len(texts) == 6
    assert all("the door" in text for text in texts)


def test_edits_are_spread_over_what_is_long_enough() -> None:
    assert spread(8, [23, 19]) == [4, 4]
    assert spread(8, [20, 1]) == [8, 0]
    assert spread(8, [3, 2]) == [0, 0]
    assert sum(spread(7, [5, 9, 30])) == 7


@pytest.mark.parametrize(
    ("variation", "override"),
    [("vqa_t3", "vqa=t3"), ("ground_qwen_box", "ground=qwen_box"), ("spelling_07", "noise=7"), ("crop_3", "vqa=null")],
)
def test_a_variation_stands_for_an_option(variation: str, override: str) -> None:
    by_name, by_option = prompts(f"prompts.variation={variation}"), prompts(f"prompts.{override}")
    for kind in KINDS:
        assert by_name.prompt(example(), kind) == by_option.prompt(example(), kind)


@pytest.mark.parametrize("name", ["", "crop", "crop_", "crop_x", "crop_-1", "crop_²", "vqa_", "ground", "nothing"])
def test_no_such_variation(name: str) -> None:
    with pytest.raises(UserError, match=r"there is no such variation; (did you mean|valid names are)"):
        parse_variation(name, "variation")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ground": "lsia"}, "prompts.ground=lsia: there is no such template; did you mean lisa"),
        ({"vqa": "t11"}, "prompts.vqa=t11: there is no such template; did you mean t1"),
        ({"variation": "ground_t77"}, "prompts.ground=t77: there is no such template; did you mean t7"),
        ({"ground": None}, "prompts.ground has no value: give a template's id"),
        ({"templates": {"ground": {"x": "{expresion}"}}}, "ground.x: no field {expresion}; did you mean expression"),
        ({"templates": {"ground": {"x": "{"}}}, "prompts.templates.ground.x: .* brace"),
        ({"templates": {"ground": {"x": 3}}}, "templates.ground.x=3: must be a text"),
        ({"templates": {"vqa": {"x": "{}|{}"}}}, "prompts.templates.vqa.x: must be three texts with one {} each"),
        ({"templates": {"grond": {}}}, "prompts.templates.grond: there is no such kind; did you mean ground"),
        ({"edits": {"questions": 1}}, "prompts.edits.questions: there is no such option; did you mean question"),
        ({"noise": -1}, "noise=-1: must be a whole number"),
        ({"articles": "fixed"}, 'articles=fixed: must be one of "fix", "raw"'),
    ],
)
def test_mistakes_are_named(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prompts(**more)


def test_a_brace_in_a_template_is_written_twice() -> None:
    library = {**config_of()["prompts"]["templates"], "ground": {"json": '{{"box": []}} for {expression}'}}
    made = prompts(templates=library, ground="json")
    assert made.prompt(example(), "ground").text == '{"box": []} for the door'


def test_the_library_holds_the_released_templates() -> None:
    if not HERE.is_dir():
        pytest.skip("no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixmmvp/")
    library = config_of()["prompts"]["templates"]
    with (HERE / "prompt_templates.csv").open() as stream:
        assert {f"t{row['Index']}": row["Template"] for row in csv.DictReader(stream)} == library["vqa"]
    with (HERE / "lang_grounding_prompt_templates.csv").open() as stream:
        released = {f"t{row['Index']}": row["Template"].replace("{}", "{expression}") for row in csv.DictReader(stream)}
    assert released == {id: text for id, text in library["ground"].items() if id in released}
    assert len(released) == 7
    assert len(set(released.values())) == 6  # one stands there twice
