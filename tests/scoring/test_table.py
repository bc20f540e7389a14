"""The table of scores against the scores themselves."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixfound.scoring.scores import Score, cluster_of
from pixfound.scoring.table import ANSWER, SCORE, UNKNOWN, of_kind, tabulate
from pixfound.types import KINDS

MAYBE = st.none() | st.booleans()
SHARE = st.none() | st.floats(0, 1)


@st.composite
def runs(draw):
    """Scores of a few examples in any order; what belongs to an example is the same in all of its scores."""
    count = draw(st.integers(1, 5))
    about = [
        {
            "example_id": f"e{i}",
            "pair_id": draw(st.sampled_from([None, "p", "q"])),
            "tags": draw(st.dictionaries(st.sampled_from("st"), st.sampled_from("xyz"))),
            "absent": draw(st.booleans()),
            "named": draw(st.booleans()),
        }
        for i in range(count)
    ]
    return [
        Score(
            key="k",
            kind=draw(st.sampled_from(KINDS)),
            row=draw(st.sampled_from([None, "b", "a"])),
            **{name: draw(MAYBE) for name in ("correct", "shown", "on_target", "on_object")},
            **{name: draw(SHARE) for name in ("iou", "area", "chance")},
            response=draw(st.none() | st.just("")),
            **draw(st.sampled_from(about)),
        )
        for _ in range(draw(st.integers(0, 12)))
    ]


def told(score):
    """A score as a line of the table says it."""
    numbers = (getattr(score, name) for name in ("correct", "shown", "on_target", "on_object"))
    shares = (getattr(score, name) for name in ("iou", "area", "chance"))
    return (
        *(score.pair_id is not None, score.absent, score.named, score.response is not None),
        *(UNKNOWN if value is None else int(value) for value in numbers),
        *("-" if value is None else value for value in shares),
    )


@given(runs())
def test_a_line_says_what_the_score_says(scores):
    table = tabulate(scores)
    names = list(SCORE.names)[4:]
    for score, line in zip(scores, table.scores, strict=True):
        assert told(score) == tuple("-" if np.isnan(line[name]) else line[name].item() for name in names)
        assert KINDS[line["kind"]] == score.kind
        assert (None if line["row"] == ANSWER else table.rows[line["row"]]) == score.row
        assert table.examples[score.example_id] == line["example"]
    for names_of, column in ((cluster_of, "cluster"), (lambda score: score.example_id, "example")):
        first = list(dict.fromkeys(map(names_of, scores)))
        assert [first[code] for code in table.scores[column]] == list(map(names_of, scores))
    assert table.clusters == len(set(map(cluster_of, scores)))


@given(runs())
def test_parts_of_a_table_are_those_of_its_scores_in_order(scores):
    table = tabulate(scores)

    def same(lines, expected):
        assert [table.scores[i].tobytes() for i in range(len(scores)) if expected(scores[i])] == [
            line.tobytes() for line in lines
        ]

    same(table.answers(), lambda score: score.row is None)
    for row in ("a", "b", "c"):
        same(table.masks(row), lambda score, row=row: score.row == row)
    for kind in KINDS:
        same(of_kind(table.scores, kind), lambda score, kind=kind: score.kind == kind)
    groups = dict(table.groups(table.scores))
    assert list(groups) == sorted({place for score in scores for place in score.tags.items()})
    for place, lines in groups.items():
        same(lines, lambda score, place=place: place in score.tags.items())


@given(runs(), st.randoms())
def test_another_order_of_the_same_examples_is_numbered_alike(scores, random):
    table, mixed = tabulate(scores), list(scores)
    random.shuffle(mixed)
    found = tabulate(mixed).numbered_like(table)
    assert (found.examples, found.clusters) == (table.examples, table.clusters)
    for score, line in zip(mixed, found.scores, strict=True):
        assert line["example"] == table.examples[score.example_id]
        assert line["cluster"] == table.cluster_of[line["example"]]
    for place, lines in found.groups(found.scores):
        assert {int(line["example"]) for line in lines} == {
            table.examples[score.example_id] for score in scores if place in score.tags.items()
        }
