from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixfound.phrases.textblob import TextBlobPhrases

FINDER = TextBlobPhrases()
WORDS = ["the", "a", "red", "cat", "cats", "cat's", "dogs'", "isn't", "is", "on", "two", "top", "left", "🐱", "café"]
WORDS += [
    ".",
    ",",
    "\n",
    "  ",
    "(b)",
    '"hat"',
    "\u2019s",
    "and/or",
    "well-lit",
    "N.Y.",
    "3.5",
    "their",
    "_x_",
    "A",
    "...",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The large red circle is at the top left.", ["The large red circle", "the top left"]),
        ("The red square is on the right.", ["The red square", "the right"]),
        ("There is no green object in the scene.", ["no green object", "the scene"]),
        ("Yes, there is a small purple diamond.", ["a small purple diamond"]),
        ("A cross is at the top left.", ["A cross", "the top left"]),
        ("The dog and the cat are black.", ["The dog", "the cat"]),
        ("Two small dogs are sitting on a wooden bench.", ["Two small dogs", "a wooden bench"]),
        ("A man in a red shirt is holding his phone.", ["A man", "a red shirt", "his phone"]),
        ("The dog.\nThe cat.", ["The dog", "The cat"]),
        ("the red hat and the red hat", ["the red hat", "the red hat"]),
        ("It is marked.", []),
        ("Yes", []),
    ],
)
def test_sentences(text, expected):
    assert [phrase.text for phrase in FINDER.phrases(text)] == expected


@pytest.mark.parametrize(
    ("text", "heads"),
    [
        ("The large red circle is at the top left.", ["circle", "left"]),
        ("Two small dogs are sitting on a wooden bench.", ["dogs", "bench"]),
        ("A cross is here.", ["cross"]),
    ],
)
def test_the_head_is_the_last_noun(text, heads):
    assert [phrase.head for phrase in FINDER.phrases(text)] == heads


@pytest.mark.parametrize("text", ["", " ", "\n\n", ".", "?!", "..."])
def test_nothing_said_has_no_phrases(text):
    assert FINDER.phrases(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat's tail is long.", [("The cat's tail", "tail")]),
        ("Yes, the butterfly's wings are open.", [("the butterfly's wings", "wings")]),
        ("My dog's toys are here.", [("My dog's toys", "toys")]),
        ("The man\u2019s hat is black.", [("The man\u2019s hat", "hat")]),
    ],
)
def test_a_possessive_belongs_to_what_is_owned(text, expected):
    assert [(phrase.text, phrase.head) for phrase in FINDER.phrases(text)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The dog isn't on the sofa.", ["The dog", "the sofa"]),
        ("The dog isn\u2019t on the sofa.", ["The dog", "the sofa"]),
        ("I can't see the dog.", ["the dog"]),
        ("He doesn't like the cat.", ["the cat"]),
    ],
)
def test_a_contracted_not_is_no_noun(text, expected):
    assert [phrase.text for phrase in FINDER.phrases(text)] == expected


def test_the_second_mention_has_its_own_place():
    first, second = FINDER.phrases("The hat is red. The hat is old.")
    assert (first.span, second.span) == ((0, 7), (16, 23))


@given(st.lists(st.sampled_from(WORDS), max_size=14), st.sampled_from([" ", "  ", " \n"]))
@settings(max_examples=150, deadline=None)
def test_spans_index_the_text_in_order(words, space):
    text = space.join(words)
    reached = 0
    for phrase in FINDER.phrases(text):
        start, end = phrase.span
        assert reached <= start < end
        assert text[start:end] == phrase.text
        assert phrase.text.endswith(phrase.head)
        assert phrase.head
        reached = end
