"""The best phrase of an answer, on masks drawn by hand."""

from __future__ import annotations

import pytest

from pixfound.analyses.emergence_points import Emergence, Reading, find_emergence
from pixfound.types import Candidate, Phrase
from pixfound.types.masks import RLE
from tests.support.examples import drawn, make_example

TRUTH = drawn("##..", "##..")
HALF = drawn("#...", "#...")
MISS = drawn("...#", "...#")
NOTHING = RLE.empty((2, 4))
TEXT = "A cat on a mat in the sun."
CAT, MAT, SUN = Phrase("A cat", "cat", (0, 5)), Phrase("a mat", "mat", (9, 14)), Phrase("the sun", "sun", (18, 25))


def find(*candidates: Candidate, mask: RLE = TRUTH, text: str = TEXT, **reading) -> Emergence | str:
    return find_emergence(make_example(mask), candidates, text, (), Reading(**reading))


def best(*candidates: Candidate, **values) -> str:
    found = find(*candidates, **values)
    return found if isinstance(found, str) else found.phrases[found.best].text


def test_the_phrase_of_the_highest_iou() -> None:
    found = find(Candidate(MISS, CAT), Candidate(TRUTH, MAT), Candidate(HALF, MAT), Candidate(HALF, SUN))
    assert isinstance(found, Emergence)
    assert found.phrases == (CAT, MAT, SUN)
    assert (found.best, found.iou) == (1, 1.0)
    assert found.places == pytest.approx((0, 9 / 26, 18 / 26))
    assert found.phrase_of == (0, 1, 1, 2)
    assert found.ious == (0.0, 1.0, 0.5, 0.5)


def test_ties_follow_their_rule() -> None:
    same = (Candidate(HALF, CAT, score=0.2), Candidate(HALF, MAT, score=0.9), Candidate(HALF, SUN, score=0.1))
    assert best(*same) == "a mat"
    assert best(*same, ties="first") == "A cat"
    assert best(*same, ties="last") == "the sun"
    for ties, order in (("score", (1, 0, 2)), ("first", (0, 1, 2)), ("last", (2, 1, 0))):
        found = find(*same, ties=ties)
        assert isinstance(found, Emergence)
        assert found.preference == order


def test_the_floor_leaves_poor_examples_out() -> None:
    assert best(Candidate(HALF, CAT), iou_floor=0.5) == "A cat"
    assert best(Candidate(HALF, CAT), iou_floor=0.51) == "best IoU below the floor"
    assert best(Candidate(MISS, CAT)) == "A cat", "without a floor even a miss counts, as in the original"


def test_why_an_example_has_none() -> None:
    assert best(Candidate(HALF, CAT), mask=NOTHING) == "object absent"
    assert best() == "no candidate"
    assert best(Candidate(HALF)) == "no candidate with a phrase"
    assert best(Candidate(HALF, Phrase("far", "far", (90, 93)))) == "best phrase without a place in the answer"
    assert best(Candidate(HALF, CAT), unit="tokens") == "best phrase without a place in the answer"


def test_a_candidate_without_a_phrase_is_passed_over() -> None:
    assert best(Candidate(HALF, CAT), Candidate(TRUTH), Candidate(MISS, SUN)) == "A cat"


def test_the_original_loses_what_lies_past_its_cut_answer() -> None:
    text = "A cat - on a mat in the sun."
    cat, sun = Phrase("A cat", "cat", (0, 5)), Phrase("the sun", "sun", (20, 27))
    assert best(Candidate(HALF, cat), Candidate(TRUTH, sun), text=text) == "the sun"
    lost = "best phrase without a place in the answer"
    assert best(Candidate(HALF, cat), Candidate(TRUTH, sun), text=text, length="original") == lost
    kept = find(Candidate(TRUTH, cat), Candidate(HALF, sun), text=text, length="original")
    assert isinstance(kept, Emergence)
    assert kept.phrases == (cat,)


def test_phrases_alike_at_two_places_are_two() -> None:
    text = "a cat and a cat"
    first, second = Phrase("a cat", "cat", (0, 5)), Phrase("a cat", "cat", (10, 15))
    found = find(Candidate(MISS, first), Candidate(TRUTH, second), text=text)
    assert isinstance(found, Emergence)
    assert (len(found.phrases), found.best) == (2, 1)


def test_tokens_count_from_the_answer_s_own() -> None:
    tokens = ((0, 5), (5, 8), (8, 14), (14, 17), (17, 25), (25, 26), (0, 0))
    found = find_emergence(
        make_example(TRUTH), [Candidate(HALF, CAT), Candidate(TRUTH, SUN)], TEXT, tokens, Reading(unit="tokens")
    )
    assert isinstance(found, Emergence)
    assert found.places == pytest.approx((0, 4 / 6))


def test_partners_are_drawn_together() -> None:
    for pair, cluster in (("7", "7"), (None, "e")):
        found = find_emergence(make_example(TRUTH, pair_id=pair), [Candidate(TRUTH, CAT)], TEXT, (), Reading())
        assert isinstance(found, Emergence)
        assert found.cluster == cluster
