"""Spelling noise: as many edits as asked for, of one sort, in the middle of a text, whatever was drawn before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixfound.prompts.spelling import EDITS, edited, misspelt, stream

TEXTS = st.text(alphabet="abcdefgh XYZ.?'", min_size=0, max_size=60)
SEEDS = st.integers(0, 2**32)


def inside(short: str, long: str) -> bool:
    """Whether `short` is what is left of `long` when characters are taken out."""
    rest = iter(long)
    return all(c in rest for c in short)


@settings(deadline=None)
@given(TEXTS, st.integers(0, 12), SEEDS)
def test_the_number_of_edits_is_the_one_asked_for(text: str, edits: int, seed: int) -> None:
    got = misspelt(text, edits, np.random.default_rng(seed))
    room = max(0, len(text) - 4)
    if len(got) > len(text):
        assert len(got) == len(text) + min(edits, room)
        assert inside(text, got)
    elif len(got) < len(text):
        assert len(got) == len(text) - min(edits, room)
        assert inside(got, text)
    else:  # swaps of neighbours that do not touch each other
        differ = [i for i, (a, b) in enumerate(zip(text, got, strict=True)) if a != b]
        swaps = list(zip(differ[::2], differ[1::2], strict=True))
        assert len(swaps) <= edits
        assert all(b == a + 1 and got[a] == text[b] and got[b] == text[a] for a, b in swaps)


@settings(deadline=None)
@given(st.integers(0, 7), SEEDS)
def test_a_long_text_takes_every_edit(edits: int, seed: int) -> None:
    text = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    got = misspelt(text, edits, np.random.default_rng(seed))
    differ = sum(a != b for a, b in zip(text, got, strict=True)) if len(got) == len(text) else None
    assert abs(len(got) - len(text)) == edits if differ is None else differ == 2 * edits


@settings(deadline=None)
@given(TEXTS, st.integers(0, 12), SEEDS, st.booleans())
def test_the_ends_stay(text: str, edits: int, seed: int, repeats: bool) -> None:
    got = misspelt(text, edits, np.random.default_rng(seed), repeats)
    assert got[:1] == text[:1]
    if len(text) < 5 or not edits:
        assert got == text
    if not repeats:
        assert got[-1:] == text[-1:]
    if not repeats and len(got) != len(text):
        assert (got[:2], got[-2:]) == (text[:2], text[-2:])


def test_every_sort_is_drawn_and_only_one_for_a_text() -> None:
    text = "abcdefghijklmnopqrstuvwxyz"
    lengths = {len(misspelt(text, 5, np.random.default_rng(seed))) - len(text) for seed in range(40)}
    assert lengths == {5, -5, 0}
    assert len(EDITS) == 3


def test_edits_by_hand() -> None:
    assert edited("abcdef", "insertion", [2, 2], ["X", "Y"]) == "abYXcdef"
    assert edited("abcdef", "omission", [3, 2], ["", ""]) == "abef"
    assert edited("abcdef", "transposition", [2], [""]) == "abdcef"
    assert edited("abc def", "transposition", [2], [""]) == "acb def"  # a space is next: backwards
    assert edited("abcdef", "omission", [9], [""]) == "abcdef"


def test_repeats_may_undo_an_edit() -> None:
    text = "abcdefgh"
    rngs = [np.random.default_rng(seed) for seed in range(300)]
    swapped = [g for g in (misspelt(text, 2, rng, repeats=True) for rng in rngs) if len(g) == len(text)]
    assert text in swapped
    rngs = [np.random.default_rng(seed) for seed in range(300)]
    assert text not in [misspelt(text, 2, rng) for rng in rngs]


def test_a_stream_depends_on_its_names_alone() -> None:
    first = stream(0, 1, "a", "question").integers(1 << 30, size=4)
    stream(5).random(100)
    assert np.array_equal(first, stream(0, 1, "a", "question").integers(1 << 30, size=4))
    others = [(1, 1, "a", "question"), (0, 2, "a", "question"), (0, 1, "b", "question"), (0, 1, "a", "options")]
    assert all(not np.array_equal(first, stream(*names).integers(1 << 30, size=4)) for names in others)


@pytest.mark.parametrize("text", ["", "Open", "a b"])
def test_short_texts_stay(text: str) -> None:
    assert all(misspelt(text, 3, np.random.default_rng(seed), r) == text for seed in range(20) for r in (True, False))
