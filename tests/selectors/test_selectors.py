from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pixfound.errors import UserError
from pixfound.interfaces import Model
from pixfound.selectors.oracle import Oracle
from pixfound.selectors.similarity import Similarity, cosine
from pixfound.selectors.simple import BestScore, Empty, Full, RandomCandidate
from pixfound.types.masks import RLE
from tests.support.examples import drawn, make_candidate, make_example

TRUTH = drawn("##..", "##..", "....", "....")
HALF, SHIFTED, ELSEWHERE = (
    drawn("##..", "....", "....", "...."),
    drawn("....", "##..", "....", "...."),
    drawn("....", "....", "..##", "..##"),
)
EXAMPLE, ABSENT = make_example(TRUTH), make_example(RLE.empty((4, 4)))


def chosen(selector, candidates, example=EXAMPLE):
    choice = selector.select_one(example, candidates, "ground")
    return choice.index if choice.kind == "candidate" else choice.kind


def test_oracle_takes_the_highest_iou():
    candidates = [make_candidate(m, score=s) for m, s in ((ELSEWHERE, 0.9), (HALF, 0.1), (TRUTH, 0.0), (HALF, 0.8))]
    assert chosen(Oracle(), candidates) == 2
    assert Oracle().select_one(EXAMPLE, candidates, "ground").reason == "IoU 1.000"
    assert chosen(Oracle(), candidates[:2]) == 1


@pytest.mark.parametrize(
    ("ties", "scores", "index"),
    [
        ("first", (0.1, 0.9, 0.5), 0),
        ("last", (0.1, 0.9, 0.5), 2),
        ("score", (0.1, 0.9, 0.5), 1),
        ("score", (0.5, 0.5, 0.5), 0),  # then the first
        ("score", (None, 0.2, None), 1),
        ("score", (None, None, None), 0),
    ],
)
def test_oracle_ties(ties, scores, index):
    equal = [make_candidate(mask, score=score) for mask, score in zip((HALF, SHIFTED, HALF), scores, strict=True)]
    worse = make_candidate(ELSEWHERE, score=1.0)
    assert chosen(Oracle(ties=ties), [*equal, worse]) == index


def test_oracle_on_what_is_absent():
    drawn_anyway, nothing = make_candidate(ELSEWHERE, score=0.9), make_candidate(RLE.empty((4, 4)), score=0.1)
    assert chosen(Oracle(), [drawn_anyway], ABSENT) == "empty"
    assert chosen(Oracle(absent="candidate"), [drawn_anyway], ABSENT) == 0
    assert chosen(Oracle(absent="candidate"), [drawn_anyway, nothing], ABSENT) == 1  # IoU 1
    assert chosen(Oracle(absent="candidate"), [], ABSENT) == "missing"


@pytest.mark.parametrize(
    ("selector", "kind"),
    [
        (Oracle(), "missing"),
        (Similarity(model=None, source="model"), "missing"),
        (BestScore(), "empty"),  # a model that draws nothing shows nothing
        (RandomCandidate(), "empty"),
    ],
)
def test_without_candidates_nothing_is_shown(selector, kind):
    choice = selector.select_one(EXAMPLE, [], "ground")
    assert choice.kind == kind
    assert choice.reason


@pytest.mark.parametrize(
    ("scores", "index"), [((0.2, 0.9, 0.9), 1), ((None, 0.1), 1), ((None, None), 0), ((0.3,), 0), ((0.0, None), 0)]
)
def test_best_score(scores, index):
    assert chosen(BestScore(), [make_candidate(HALF, score=score) for score in scores]) == index


def test_empty_and_full_do_as_they_say():
    candidates = [make_candidate(TRUTH, score=1.0)]
    assert chosen(Empty(), candidates) == chosen(Empty(), []) == "empty"
    assert chosen(Full(), candidates) == chosen(Full(), []) == "full"


def test_random_is_the_same_for_the_same_example_and_seed():
    candidates = [make_candidate(HALF)] * 5
    examples = [make_example(TRUTH, id=str(i)) for i in range(400)]
    one = [chosen(RandomCandidate(seed=1), candidates, e) for e in examples]
    assert one == [chosen(RandomCandidate(seed=1), candidates, e) for e in examples]
    assert one[::-1] == [chosen(RandomCandidate(seed=1), candidates, e) for e in examples[::-1]]  # no shared state
    assert one != [chosen(RandomCandidate(seed=2), candidates, e) for e in examples]
    counts = Counter(one)
    assert set(counts) == set(range(5))
    assert all(50 < count < 110 for count in counts.values())  # 80 expected


def test_only_the_oracle_reads_the_truth():
    candidates = [make_candidate(HALF, "the door", score=0.1), make_candidate(TRUTH, "a cat", score=0.2)]
    model = ToyModel({"door": [1, 0], "cat": [0, 1]})
    for selector in (BestScore(), RandomCandidate(), Empty(), Full(), Similarity(model, source="model")):
        assert chosen(selector, candidates, EXAMPLE) == chosen(selector, candidates, ABSENT)


class ToyModel(Model):
    """A model with hand-made vectors; it keeps what it was asked for."""

    def __init__(self, table):
        self.table, self.asked = table, []

    def text_vectors(self):
        return self

    def vector(self, text):
        self.asked.append(text)
        return np.array(self.table.get(text, [0, 0]), dtype=np.float32)


TABLE = {"door": [1, 0], "wooden gate": [3, 1], "window": [1, 1], "cat": [0, 2], "sky": [-1, 0]}


def similar(phrases, expression="the door", scores=None, **options):
    model = ToyModel(TABLE)
    scores = scores or [None] * len(phrases)
    candidates = [make_candidate(HALF, phrase, score=score) for phrase, score in zip(phrases, scores, strict=True)]
    return chosen(Similarity(model, source="model", **options), candidates, make_example(TRUTH, expression=expression))


@pytest.mark.parametrize(
    ("phrases", "index"),
    [
        (["a cat", "the window", "the wooden gate"], 2),
        (["a cat", "The Door", "the wooden gate"], 1),
        (["a cat", "the sky"], 0),  # 0 is more than -1
        (["the sky"], 0),
        (["an unknown thing", "the sky"], 0),
        ([None, "a cat"], 1),  # what came from no phrase is not considered
        ([None, None], "unscored"),
    ],
)
def test_similarity_takes_the_most_similar_phrase(phrases, index):
    assert similar(phrases) == index


def test_among_the_masks_of_the_best_phrase_the_score_decides():
    phrases = ["a cat", "the door", "the door", "a door", "the window"]
    assert similar(phrases, scores=[0.99, 0.2, 0.8, 0.8, 0.99]) == 2
    assert similar(phrases) == 1


@pytest.mark.parametrize(
    ("threshold", "phrases", "index"),
    [
        (0.7, ["the window"], 0),  # the cosine is the root of a half, 0.7071
        (0.71, ["the window"], "empty"),
        (0.71, ["the window", "the door"], 1),
        (1.0, ["the door"], 0),  # what equals the threshold is enough
        (0.0, ["the sky"], "empty"),
        (None, ["the sky"], 0),
    ],
)
def test_below_the_threshold_nothing_is_shown(threshold, phrases, index):
    assert similar(phrases, threshold=threshold) == index


@pytest.mark.parametrize(
    ("floor", "phrases", "index"),
    [
        (0.0, ["the sky"], "missing"),
        (0.0, ["the sky", "the cat"], 1),
        (0.8, ["the window"], "missing"),
        (None, ["sky"], 0),
    ],
)
def test_below_the_floor_a_phrase_is_never_taken(floor, phrases, index):
    assert similar(phrases, floor=floor) == index
    assert similar(phrases, floor=floor, threshold=0.9 if index == 1 else None) == ("empty" if index == 1 else index)


def test_the_last_of_equals_whatever_its_score():
    phrases = ["the door", "a cat", "the door", "a door", "the window"]
    assert similar(phrases, scores=[0.9, 0.99, 0.2, 0.1, 0.99], ties="last") == 3


def test_candidates_without_phrases_are_unscored_unless_the_original_is_followed():
    bare = [make_candidate(HALF), make_candidate(TRUTH, score=0.9)]
    for source in ("given", "model"):
        similarity = Similarity(model=None, source=source)
        assert chosen(similarity, bare) == chosen(similarity, bare, ABSENT) == "unscored"
        assert chosen(Similarity(model=None, source=source, floor=0.0), bare) == "missing"


def test_given_similarities_follow_the_same_rules():
    given = [make_candidate(HALF, "a", similarity=similarity) for similarity in (0.2, 0.9, 0.9, None)]

    def pick(candidates=given, **options):
        return chosen(Similarity(model=None, source="given", **options), candidates)

    assert pick() == 1
    assert pick(ties="last") == 2
    assert pick(threshold=0.95) == "empty"
    assert pick(given[3:]) == "unscored"
    assert pick(given[3:], floor=0.0) == "missing"  # no number is never taken


def test_a_leading_space_keeps_the_article():
    model = ToyModel({" the door": [1, 0], "door": [0, 1]})
    candidates = [make_candidate(HALF, "the door")]
    Similarity(model, source="model", leading_space=True).select_one(
        make_example(TRUTH, expression="the door"), candidates, "ground"
    )
    assert model.asked == [" the door", "door"]


@pytest.mark.parametrize("text", ["the door", "The door", " a Door ", "an door", "door", "DOOR"])
def test_one_article_is_taken_off(text):
    model = ToyModel(TABLE)
    candidate = make_candidate(HALF, "the a cat")
    Similarity(model, source="model").select_one(make_example(TRUTH, expression=text), [candidate], "ground")
    assert model.asked == ["door", "a cat"]


@pytest.mark.parametrize("text", ["theatre", "antenna", "apple"])
def test_words_that_begin_like_an_article_are_left_whole(text):
    model = ToyModel(TABLE)
    Similarity(model, source="model").select_one(
        make_example(TRUTH, expression=text), [make_candidate(HALF, "a cat")], "ground"
    )
    assert model.asked[0] == text


def test_cosine():
    a, b, zero = np.array([[3, 4], [4, 3], [0, 0]], dtype=np.float32)
    assert cosine(a, b) == pytest.approx(24 / 25)
    assert cosine(a, 10 * a) == pytest.approx(1.0)
    assert cosine(a, -a) == pytest.approx(-1.0)
    assert cosine(a, zero) == cosine(zero, zero) == 0.0
    for broken in (np.nan, np.inf):
        with pytest.raises(FloatingPointError, match="a word vector is not finite"):
            cosine(a, np.full_like(a, broken))


def test_where_the_vectors_come_from_is_part_of_the_identity():
    assert Similarity(ToyModel({}), source="model").identity() == {"vectors": "model"}
    assert Similarity(ToyModel({}), pipeline="xx_no_such_pipeline").identity() == {"vectors": "model"}
    assert Similarity(ToyModel({}), pipeline="numpy").identity() == {"spacy": np.__version__}  # any installed package
    with pytest.raises(UserError):
        Similarity(ToyModel({}), source="spacy", pipeline="xx_no_such_pipeline").identity()


def test_a_pipeline_in_a_folder_is_found(tmp_path, monkeypatch):
    spacy = pytest.importorskip("spacy")
    spacy.blank("en").to_disk(tmp_path / "pipeline")
    monkeypatch.chdir(tmp_path)
    for path in (str(tmp_path / "pipeline"), "./pipeline"):
        assert Similarity(ToyModel({}), source="spacy", pipeline=path).identity() == {"spacy": "0.0.0"}
        assert Similarity(ToyModel({}), source="auto", pipeline=path).identity() == {"spacy": "0.0.0"}


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Oracle(ties="middle"), "ties=middle"),
        (lambda: Oracle(absent="full"), "absent=full"),
        (lambda: Similarity(None, source="bert"), "source=bert"),
    ],
)
def test_options_are_checked(make, named):
    with pytest.raises(UserError, match=named):
        make()


def test_the_oracle_does_not_look_at_ignored_pixels():
    example = make_example(drawn("##....", "##...."), ignore=drawn("..####", "..####"))
    small, spilt = make_candidate(drawn("#.....", "##....")), make_candidate(drawn("######", "######"))
    assert Oracle().select_one(example, [small, spilt], "ground").index == 1
    assert Oracle().select_one(make_example(example.gt_mask), [small, spilt], "ground").index == 0
