"""Positions of phrases, by hand and as properties; the original's parsing of its meta file."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.analyses.phrase_position import Place, Unit, decile, original_place, place_of
from pixfound.types import Phrase

TEXT = "The cat sat on a mat."  # 21 characters
TOKENS = ((0, 0), (0, 3), (3, 7), (7, 11), (11, 14), (14, 16), (16, 20), (20, 21), (0, 0))  # 7 of them are seen


@pytest.mark.parametrize(
    ("span", "unit", "place", "expected"),
    [
        ((0, 7), "characters", "start", 0.0),
        ((0, 7), "characters", "middle", 3.5 / 21),
        ((15, 20), "characters", "start", 15 / 21),
        ((15, 20), "characters", "middle", 17.5 / 21),
        ((0, 7), "tokens", "start", 0.0),
        ((0, 7), "tokens", "middle", 1 / 7),  # tokens 0 and 1 of 7
        ((15, 20), "tokens", "start", 4 / 7),  # tokens 4 and 5
        ((15, 20), "tokens", "middle", 5 / 7),
    ],
)
def test_a_known_phrase(span: tuple[int, int], unit, place, expected: float) -> None:
    assert place_of(span, TEXT, TOKENS, unit, place) == pytest.approx(expected)


def test_what_has_no_place() -> None:
    assert place_of((15, 30), TEXT, TOKENS, "characters", "start") is None, "reaches past the text"
    assert place_of((4, 4), TEXT, TOKENS, "characters", "start") is None, "is empty"
    assert place_of((0, 7), TEXT, (), "tokens", "start") is None, "no token is known"
    assert place_of((0, 7), TEXT, ((0, 0), (10, 21)), "tokens", "start") is None, "no token belongs to it"


@given(st.data(), st.sampled_from(get_args(Unit)), st.sampled_from(get_args(Place)))
def test_a_place_lies_in_the_answer(data: st.DataObject, unit, place) -> None:
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=30).filter(any))
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    tokens = [(end - length, end) for length, end in zip(lengths, ends, strict=True)]
    text = "x" * ends[-1]
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = place_of((start, end), text, tokens, unit, place)
    assert found is not None
    assert 0 <= found < 1
    assert decile(found) == int(found * 100 // 10)
    later = place_of((min(start + 1, end - 1), end), text, tokens, unit, place)
    assert later is not None
    assert later >= found, "a phrase that begins later is not earlier"


@given(st.text(min_size=1, max_size=40), st.integers(0, 39))
def test_the_whole_text_starts_at_nothing(text: str, start: int) -> None:
    assert place_of((0, len(text)), text, (), "characters", "start") == 0
    assert place_of((0, len(text)), text, (), "characters", "middle") == 0.5


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("The cat sat on a mat.", (15, 20), 15 / 21),
        ("The cat sat\non a mat.", (15, 20), 15 / 21),  # a new line is written as a space
        ("The cat- like animal sat.", (0, 7), 0 / 7),  # cut after "The cat"
        ("It is - as we see - a cat.", (20, 25), 20 / 5),  # cut after "It is", whose end is stripped
        ("A well-known cat.", (0, 16), 0.0),  # a hyphen inside a word cuts nothing
        ("A cat | a mat.", (0, 5), None),  # one field too many
        ("A cat.  ", (0, 5), 0.0),
        ("- a cat", (2, 7), None),  # nothing is left
        ("The cat |a mat", (4, 7), 4 / 14),  # a bar without a space separates nothing
    ],
)
def test_the_original_reads_its_meta_line(text: str, phrase: tuple[int, int], expected: float | None) -> None:
    words = text[slice(*phrase)]
    assert original_place(Phrase(words, words.split()[-1], phrase), text) == expected


def test_a_phrase_with_a_hyphen_spoils_its_line() -> None:
    assert original_place(Phrase("a cat- like animal", "animal", (0, 18)), "a cat- like animal.") is None


@pytest.mark.parametrize(
    ("place", "expected"), [(0.0, 0), (0.1, 1), (0.3, 3), (0.7, 7), (0.999, 9), (1.0, None), (4.0, None)]
)
def test_deciles_hold_their_lower_end(place: float, expected: int | None) -> None:
    assert decile(place) == expected
