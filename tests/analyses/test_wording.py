"""Whether a phrase is the referring expression in other words."""

from __future__ import annotations

import pytest

from pixfound.analyses.wording import Wording, compare, content_words
from pixfound.phrases.textblob import TextBlobPhrases
from pixfound.types import Phrase

SAME = Wording(False, False, False)
WORDS = Wording(True, False, False)
HEAD = Wording(True, True, False)
NOTHING = Wording(True, True, True)


@pytest.mark.parametrize(
    ("phrase", "expression", "expected"),
    [
        ("The butterfly's wings", "the butterfly's wings", SAME),
        ("the wing of a butterfly", "the butterfly's wings", SAME),
        ("A school bus", "the school bus", SAME),
        ("the yellow school bus", "the school bus", WORDS),
        ("the wings", "the butterfly's wings", WORDS),
        ("the flame", "the flame of the match", WORDS),
        ("a match", "the flame of the match", HEAD),
        ("the butterfly", "the butterfly's wings", HEAD),
        ("the windows", "the school bus", NOTHING),
        ("the background", "the flowers in the background", HEAD),
        ("it", "the dog's face", NOTHING),
        ("its eyes", "the closed kitten's eyes", WORDS),
        ("human hands", "the hands with the hat", WORDS),
    ],
)
def test_known_phrases(phrase: str, expression: str, expected: Wording) -> None:
    head = phrase.partition(" of ")[0].split()[-1]
    found = Phrase(phrase, head, (0, len(phrase)))
    assert compare(found, expression, TextBlobPhrases().phrases(expression)) == expected


def test_without_a_noun_phrase_the_last_word_is_the_main_one() -> None:
    assert compare(Phrase("the key", "key", (0, 7)), "red key", ()) == WORDS
    assert compare(Phrase("the key", "key", (0, 7)), "", ()) == NOTHING


def test_content_words_are_plain() -> None:
    assert content_words("the very top of the Boys' cakes") == ["top", "boy", "cake"]
    assert content_words('the words "SCHOOL BUS"') == ["word", "school", "bus"]
    assert content_words("men, glasses and children") == ["man", "glass", "child"]
    assert content_words("it's a heart-shaped box") == ["it", "heart-shaped", "box"]
