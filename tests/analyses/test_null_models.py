"""The nulls' probabilities against all permutations, written out."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixfound.analyses.null_models import length_matched, permuted, shuffled


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_permuted_is_the_average_over_all_permutations(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    ious = data.draw(st.lists(st.sampled_from([0.0, 0.2, 0.5]), min_size=count, max_size=count))
    phrase_of = data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    preference = data.draw(st.permutations(range(count)))
    expected, orders = np.zeros(3), list(permutations(ious))
    for order in orders:
        tied = [i for i in range(count) if order[i] == max(order)]
        expected[phrase_of[min(tied, key=preference.index)]] += 1
    assert permuted(phrase_of, ious, preference, 3) == pytest.approx(expected / len(orders))


def test_more_masks_are_more_tries() -> None:
    assert permuted([0, 1, 1, 1], [0.1, 0.2, 0.3, 0.4], [0, 1, 2, 3], 2) == pytest.approx([0.25, 0.75])


def test_a_tie_of_all_goes_where_the_rule_sends_it() -> None:
    assert permuted([0, 1, 2], [0.0, 0.0, 0.0], [2, 1, 0], 3) == pytest.approx([0, 0, 1])


def test_shuffled_knows_nothing() -> None:
    assert shuffled(4) == pytest.approx([0.25] * 4)


def test_length_matched_keeps_to_phrases_of_as_many_words() -> None:
    phrases = ["a cat", "the very big dog", "it", "the mat", "some of the old hats"]
    assert length_matched(phrases, 0) == pytest.approx([0.5, 0, 0, 0.5, 0])
    assert length_matched(phrases, 2) == pytest.approx([0, 0, 1, 0, 0])
    assert length_matched(phrases, 4) == pytest.approx([0, 0.5, 0, 0, 0.5]), "four words or more are one length"
