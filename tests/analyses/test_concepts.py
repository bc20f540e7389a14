"""Concepts by rules on a table of phrases; what a judge's replies mean; a judge that answers, fails, and babbles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from pixfound.analyses import concept_words
from pixfound.analyses.concepts import (
    CONCEPTS,
    QUESTION,
    SYSTEM,
    ConceptLabel,
    Questions,
    concepts_by_rules,
    read_concepts,
)
from pixfound.errors import UserError
from pixfound.interfaces import Judge, JudgeError
from pixfound.judges.openai import OpenAIJudge
from pixfound.types import Phrase
from tests.support.judge_server import Act, JudgeServer


def phrase_in(words: str, text: str | None = None) -> tuple[Phrase, str]:
    text = text or f"There is {words}."
    start = text.index(words)
    return Phrase(words, words.rsplit(maxsplit=1)[-1], (start, start + len(words))), text


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        # the phrases of the two examples in the paper's demo
        ("the hands", None, ("part",)),
        ("the hat", None, ("object",)),
        ("the scene", None, ("context",)),
        ("a pair", "A pair of human hands, a pair of them.", ("object",)),
        ("human hands", None, ("part",)),
        ("the image", None, ("context",)),
        ("three kittens", None, ("object",)),
        ("them", None, ("object",)),
        ("its eyes", None, ("part",)),
        # appearance
        ("the red car", None, ("appearance", "object")),
        ("a bright orange", None, ("appearance", "object")),
        ("an orange peel", None, ("appearance", "part")),
        ("the color", None, ("appearance",)),
        ("black stripes", None, ("appearance",)),
        ("a striped shirt", None, ("appearance", "object")),
        ("white", "Its feathers are white.", ("appearance",)),
        # location
        ("the left side", None, ("location",)),
        ("the right", None, ("location",)),
        ("the top", "It is at the top of the cake.", ("location",)),
        ("the left wing", None, ("location", "part")),
        ("the front", "It is the front of the school bus.", ("location",)),
        # parts
        ("the peacock's tail", None, ("part",)),
        ("the dorsal fin", None, ("part",)),
        ("the elephants' tusks", None, ("part",)),
        ("its door", None, ("part",)),
        ("a door", None, ("object",)),
        ("the wheel", "This is the wheel of the car.", ("part",)),
        ("the wheel", "The wheel lies there, the wheel.", ("object",)),
        ("leaves", None, ("part",)),
        # settings
        ("the background", None, ("context",)),
        ("a green field", None, ("context",)),
        ("the blue sky", None, ("context",)),
        # states
        ("an open door", None, ("object", "state")),
        ("its closed eyes", None, ("part", "state")),
        ("a sitting position", None, ("location", "state")),
        ("its pose", None, ("state",)),
        # objects
        ("the school bus", None, ("object",)),
        ("a small white dog", None, ("appearance", "object")),
        ("it", None, ("object",)),
        ("a zorgblat", None, ("object",)),
    ],
)  # fmt: skip
def test_concepts_of_known_phrases(words: str, text: str | None, expected: tuple[str, ...]) -> None:
    where = text if text is None or words in text else text.replace(words.capitalize(), words, 1)
    assert concepts_by_rules(*phrase_in(words, where)) == expected


def test_the_lists_hold_plain_words_and_main_words_are_of_one_kind() -> None:
    lists = {name: value for name, value in vars(concept_words).items() if isinstance(value, frozenset)}
    assert all(word == word.lower().strip() for words in lists.values() for word in words)
    heads = ("PARTS", "PLACE_HEADS", "SETTINGS", "STATE_HEADS", "PRONOUNS", "LOOK_HEADS")
    for i, name in enumerate(heads):
        for other in heads[i + 1 :]:
            assert not lists[name] & lists[other], f"{name} and {other}"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("e", ("object",)),
        ("(E)", ("object",)),
        ("a, c", ("appearance", "part")),
        ("(a), (e)", ("appearance", "object")),
        ("(c) (a)", ("appearance", "part")),
        ("A and C.", ("appearance", "part")),
        ("b & d", ("location", "context")),
        ("c/f", ("part", "state")),
        ("(c) Object part", ("part",)),
        ("c. Object part, f. State", ("part", "state")),
        ("e objects", ("object",)),
        ("(a) Color and appearance", ("appearance",)),
        ("Location and position", ("location",)),
        ("Objects/entities", ("object",)),
        ("**(d)** Context or setting", ("context",)),
        ("<think>it may be (a)</think>e", ("object",)),
        ("The answer is: (e)", ("object",)),
        ("Answer: a, b", ("appearance", "location")),
        ("a, a", ("appearance",)),
        ("g", None),
        ("a, g", None),
        ("1", None),
        ("", None),
        ("...", None),
        ("I cannot tell.", None),
        ("It is a part of the bird", None),
        ("not (a)", None),
        ("(a) Object part", None),
    ],
)
def test_a_reply_is_read(reply: str, expected: tuple[str, ...] | None) -> None:
    assert read_concepts(reply) == expected


class Replies(Judge):
    """An asker that says what it is told to, and keeps what it was asked."""

    def __init__(self, reply: str | None) -> None:
        self.reply = reply
        self.asked: list[tuple[str, str]] = []

    def ask(self, system: str, question: str, images: Sequence[Image.Image] = ()) -> str:
        self.asked.append((system, question))
        if self.reply is None:
            raise JudgeError("down")
        return self.reply


def test_a_judge_is_asked_about_the_phrase_in_its_text() -> None:
    judge = Replies("(c), (f)")
    assert Questions(judge).ask("its eyes", "It shuts its eyes.") == ConceptLabel(("part", "state"))
    assert judge.asked == [(SYSTEM, QUESTION.format(phrase="its eyes", text="It shuts its eyes."))]
    assert all(f"({letter})" in QUESTION for letter in "abcdef"[: len(CONCEPTS)])


def test_braces_in_an_answer_are_no_fields() -> None:
    judge = Replies("e")
    assert Questions(judge, question="{phrase}: {text}").ask("{x}", "a {text} {0}") == ConceptLabel(("object",))
    assert judge.asked[0][1] == "{x}: a {text} {0}"


def test_what_cannot_be_read_is_no_concept_and_no_failure() -> None:
    assert Questions(Replies("Hm.")).ask("x", "y") == ConceptLabel(
        None, "the reply could not be read: 'Hm.'", failed=True
    )


def test_a_judge_that_is_down_is_not_asked_for_ever() -> None:
    judge = Replies(None)
    found = Questions(judge, give_up=3).ask_all([("x", "y")] * 8)
    assert len(judge.asked) == 3
    assert found[0] == ConceptLabel(None, "no reply: down", failed=True)
    assert found[7] == ConceptLabel(None, "not asked: the judge failed 3 times in a row", failed=True)


def test_failures_now_and_then_do_not_end_the_asking() -> None:
    judge = Replies("e")
    questions = Questions(judge, give_up=2)
    for reply in (None, "e") * 4:
        judge.reply = reply
        questions.ask("x", "y")
    assert len(judge.asked) == 8


def test_what_a_judge_may_cost_is_said_before_it_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    prices: dict[str, Any] = {"price_per_million_input": 1000.0, "price_per_million_output": 1000.0}
    with JudgeServer(Act("e")) as server:
        dear = OpenAIJudge(base_url=server.url, max_cost=0.001, **prices)
        with pytest.raises(UserError, match=r"max_cost=0\.001 would not do: at most 2 requests"):
            Questions(dear).ask_all([("a cat", "There is a cat."), ("a dog", "There is a dog.")])
        assert not server.bodies
    assert Questions(OpenAIJudge(**prices)).ask_all([]) == []
    assert capsys.readouterr().err == ""
