"""The table of scores against the scores themselves."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixfound.scoring.scores import Score, cluster_of
from pixfound.scoring.table import SCORE, UNKNOWN, tabulate
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


def lined_up(table, scores):
    """Each score with its line of the table."""
    for row, kind in {(score.row, score.kind) for score in scores}:
        mine = [score for score in scores if (score.row, score.kind) == (row, kind)]
        yield from zip(mine, table.answers(kind) if row is None else table.masks(row, kind), strict=True)


def firsts(scores):
    """The first score of each example."""
    found = {}
    for score in scores:
        found.setdefault(score.example_id, score)
    return list(found.values())


@given(runs())
def test_a_line_says_what_the_score_says(scores):
    table = tabulate(scores)
    names = list(SCORE.names)[2:]
    assert table.count == len(scores)
    for score, line in lined_up(table, scores):
        assert told(score) == tuple("-" if np.isnan(line[name]) else line[name].item() for name in names)
        assert table.examples[score.example_id] == line["example"]
        assert table.cluster_of[line["example"]] == line["cluster"]
        assert (table.absent[line["example"]], table.paired[line["example"]]) == (line["absent"], line["paired"])
    names = list(dict.fromkeys(map(cluster_of, scores)))
    assert [names[of] for of in table.cluster_of] == [cluster_of(one) for one in firsts(scores)]
    assert list(table.examples) == [one.example_id for one in firsts(scores)]
    assert table.clusters == len(names)
    assert list(table.rows) == list(dict.fromkeys(score.row for score in scores if score.row))


@given(runs())
def test_parts_of_a_table_are_those_of_its_scores_in_order(scores):
    table = tabulate(scores)
    for row, kind in product((None, "a", "b", "c"), KINDS):
        mine = [score for score in scores if (score.row, score.kind) == (row, kind)]
        lines = table.answers(kind) if row is None else table.masks(row, kind)
        assert len(lines) == len(mine)
        groups = dict(table.groups(lines))
        assert list(groups) == sorted({place for score in mine for place in score.tags.items()})
        for place, found in groups.items():
            expected = [line.tobytes() for score, line in zip(mine, lines, strict=True) if place in score.tags.items()]
            assert expected == [line.tobytes() for line in found]


@given(runs(), st.randoms())
def test_another_order_of_the_same_examples_is_numbered_alike(scores, random):
    table, mixed = tabulate(scores), list(scores)
    random.shuffle(mixed)
    found = tabulate(mixed).numbered_like(table)
    assert (found.examples, found.clusters) == (table.examples, table.clusters)
    for score, line in lined_up(found, mixed):
        assert line["example"] == table.examples[score.example_id]
        assert line["cluster"] == table.cluster_of[line["example"]]
    for name in ("cluster_of", "absent", "paired"):
        assert (getattr(found, name) == getattr(table, name)).all()
    assert found.tags.keys() == table.tags.keys()
    for tag, about in found.tags.items():
        assert (about.of == table.tags[tag].of).all()
