"""Figures against nulls: exact expectations, and p that are calibrated where the null is true."""

from __future__ import annotations

import numpy as np
import pytest

from pixfound.analyses.comparison import Comparison, draw_means, family_p_values, p_values
from pixfound.analyses.emergence_points import Emergence, Reading, find_emergence
from pixfound.analyses.null_models import NULLS
from pixfound.types import Candidate, Phrase
from pixfound.types.masks import RLE
from tests.support.examples import make_example

WORDS = ("a cat", "a dog", "the hat", "an old mat", "my car")


def emergence(rng: np.random.Generator, number: int, iou_of=None) -> Emergence:
    """An answer of three to five phrases with one to three candidates each; random IoUs unless told otherwise."""
    words = list(rng.permutation(WORDS)[: rng.integers(3, 6)])
    text = " and ".join(words)
    starts = [text.index(word) for word in words]
    truth = np.zeros((4, 25), dtype=np.bool_)
    truth[:2] = True
    candidates = []
    for k, (word, start) in enumerate(zip(words, starts, strict=True)):
        phrase = Phrase(str(word), str(word).split()[-1], (start, start + len(word)))
        for _ in range(rng.integers(1, 4)):
            inside = int(rng.integers(0, 51)) if iou_of is None else iou_of(k)
            mask = np.zeros((4, 25), dtype=np.bool_)
            mask.flat[:inside] = True
            candidates.append(Candidate(RLE.encode(mask), phrase, score=float(rng.random())))
    example = make_example(RLE.encode(truth), id=str(number), pair_id=str(number // 2))
    found = find_emergence(example, candidates, text, (), Reading())
    assert isinstance(found, Emergence)
    return found


def compare(emergences: list[Emergence], seed: int = 0, resamples: int = 400) -> Comparison:
    values = [np.array([[p, p < 0.5] for p in e.places], dtype=np.float64) for e in emergences]
    return Comparison(emergences, ["place", "early"], values, NULLS, resamples=resamples, seed=seed)


@pytest.mark.parametrize("null", NULLS)
def test_p_is_uniform_where_the_iou_is_random(null: str) -> None:
    rng = np.random.default_rng(7)
    ps = []
    for trial in range(120):
        compared = compare([emergence(rng, i) for i in range(30)], seed=trial, resamples=200)
        ps.append(compared.figure("place")["nulls"][null]["p"])
    assert np.mean(ps) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.array(ps) < 0.25) == pytest.approx(0.25, abs=0.12)
    assert np.mean(np.array(ps) < 0.05) <= 0.11


def test_p_is_small_where_the_last_phrase_is_always_best() -> None:
    rng = np.random.default_rng(3)
    compared = compare([emergence(rng, i, iou_of=lambda k: 10 * k) for i in range(30)])
    place = compared.figure("place")
    for null in ("shuffled", "permuted"):
        assert place["nulls"][null]["p"] == pytest.approx(1 / 401)
        assert place["value"] > place["nulls"][null]["high"]
    assert compared.count("early") == 0


def test_the_shuffled_expectation_is_the_mean_of_means() -> None:
    rng = np.random.default_rng(5)
    emergences = [emergence(rng, i) for i in range(9)]
    place = compare(emergences).figure("place")
    expected = np.mean([np.mean(e.places) for e in emergences])
    assert place["nulls"]["shuffled"]["value"] == pytest.approx(expected)
    assert place["value"] == pytest.approx(np.mean([e.places[e.best] for e in emergences]))
    assert place["nulls"]["shuffled"]["low"] < expected < place["nulls"]["shuffled"]["high"]


def test_an_answer_of_one_phrase_leaves_no_choice() -> None:
    mask = RLE.full((2, 2))
    one = find_emergence(
        make_example(mask), [Candidate(mask, Phrase("a cat", "cat", (3, 8)))], "It: a cat", (), Reading()
    )
    assert isinstance(one, Emergence)
    compared = compare([one])
    assert compared.free == dict.fromkeys(NULLS, 0)
    assert {null["p"] for null in compared.figure("place")["nulls"].values()} == {1.0}


def test_draws_follow_their_weights() -> None:
    weights = [np.array([0.2, 0.0, 0.8]), np.array([1.0, 0.0, 0.0])]
    features = [np.eye(3), np.eye(3)]
    expected, drawn = draw_means(weights, features, 4000, np.random.default_rng(0))
    assert expected == pytest.approx([0.6, 0.0, 0.4])
    assert drawn.mean(axis=0) == pytest.approx(expected, abs=0.02)
    assert drawn[:, 1].max() == 0, "what has no weight is never drawn"


def test_the_same_seed_gives_the_same_figures() -> None:
    rng = np.random.default_rng(11)
    emergences = [emergence(rng, i) for i in range(8)]
    assert compare(emergences).figure("place") == compare(emergences).figure("place")
    assert compare(emergences).figure("place") != compare(emergences, seed=1).figure("place")


def test_p_by_hand() -> None:
    drawn = np.array([[0.0], [1.0], [2.0], [5.0]])
    assert p_values(np.array([2.0]), np.array([1.0]), drawn) == pytest.approx((1 + 3) / 5)
    assert p_values(np.array([5.0]), np.array([1.0]), drawn) == pytest.approx((1 + 1) / 5)


def test_a_family_pays_for_its_size() -> None:
    rng = np.random.default_rng(0)
    expected = np.zeros(10)
    falsely = alone = 0
    for _ in range(200):
        drawn, observed = rng.normal(size=(199, 10)), rng.normal(size=10)
        falsely += bool((family_p_values(observed, expected, drawn) <= 0.05).any())
        alone += bool((p_values(observed, expected, drawn) <= 0.05).any())
    assert falsely <= 20, "the chance of any false alarm among ten is 0.05"
    assert alone > 50, "without the adjustment it is 0.4"


def test_a_family_of_constants_says_nothing() -> None:
    assert family_p_values(np.zeros(2), np.zeros(2), np.zeros((9, 2))) == pytest.approx([1, 1])
