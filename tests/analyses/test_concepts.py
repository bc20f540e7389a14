"""Concepts by rules on a table of phrases; what a judge's replies mean; a judge that answers, fails, and babbles."""

from __future__ import annotations

import pytest

from pixfound.analyses import concept_words
from pixfound.analyses.concepts import CONCEPTS, QUESTION, ask_concepts, concepts_by_rules, read_concepts
from pixfound.judges.asking import JudgeError
from pixfound.types import Phrase


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


class Replies:
    """An asker that says what it is told to, and keeps what it was asked."""

    def __init__(self, reply: str | None) -> None:
        self.reply, self.asked = reply, []

    def ask(self, system: str, question: str, images=()) -> str:
        self.asked.append((system, question))
        if self.reply is None:
            raise JudgeError("down")
        return self.reply


def test_a_judge_is_asked_about_the_phrase_in_its_text() -> None:
    judge = Replies("(c), (f)")
    assert ask_concepts(judge, "its eyes", "It shuts its eyes.")[0] == ("part", "state")
    assert judge.asked[0][1] == QUESTION.format(phrase="its eyes", text="It shuts its eyes.")
    assert all(f"({letter})" in QUESTION for letter in "abcdef"[: len(CONCEPTS)])


def test_what_cannot_be_read_or_had_is_no_concept() -> None:
    assert ask_concepts(Replies("Hm."), "x", "y") == (None, "the judge's reply could not be read: 'Hm.'")
    assert ask_concepts(Replies(None), "x", "y") == (None, "the judge gave no reply: down")
