"""Examples that are not in memory are what they were when they were put away, each time that they are asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.benchmarks.image_sources import NoImage
from pixfound.benchmarks.shelved import ShelvedExamples
from pixfound.types import Example
from pixfound.types.masks import RLE

TEXTS = st.text(st.characters(), max_size=6)
MASKS = st.tuples(st.integers(0, 20), st.integers(0, 3)).map(
    lambda drawn: RLE((4, 5), (RLE.full((4, 5)) if drawn[0] > 10 else RLE.empty((4, 5))).counts, drawn[1])
)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    texts = TEXTS.map(lambda text: f"x{text}")  # questions, options and expressions are not empty
    options = tuple(f"{i}{text}" for i, text in enumerate(draw(st.lists(TEXTS, min_size=2, max_size=4))))
    index = st.integers(0, len(options) - 1)
    return Example(
        id=draw(TEXTS),
        image=NoImage(draw(st.sampled_from(["a.png", "b/é.png"]))),
        question=draw(texts),
        options=options,
        answer=draw(index),
        expression=draw(texts),
        gt_mask=draw(MASKS),
        pair_id=draw(st.none() | TEXTS),
        objects=tuple(draw(st.lists(MASKS, max_size=3))),
        tags=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
        labels=draw(st.dictionaries(TEXTS, index, max_size=2)),
        named=draw(st.booleans()),
    )


@given(st.lists(examples(), max_size=40))
def test_examples_are_what_they_were(made: list[Example]) -> None:
    shelved = ShelvedExamples(NoImage)
    for example in made:
        shelved.append(example, example.image.path)  # type: ignore[attr-defined]
    assert len(shelved) == len(made)
    assert list(shelved) == made
    assert [shelved[i] for i in range(len(made))] == made  # and once more
    assert [shelved[i] for i in range(-len(made), 0)] == made
    assert shelved[1:-1:2] == made[1:-1:2]
    for beyond in (len(made), -len(made) - 1):
        with pytest.raises(IndexError):
            shelved[beyond]


def test_objects_of_an_image_are_asked_for_where_they_are_known() -> None:
    known = {"a.png": (RLE.full((2, 2)), RLE.empty((2, 2))), "b.png": (RLE.empty((2, 2)),)}
    asked = []

    def objects(name: str) -> tuple[RLE, ...]:
        asked.append(name)
        return known[name]

    shelved = ShelvedExamples(NoImage, objects)
    common = ("?", ("yes", "no"), 0, "it", RLE.full((2, 2)))
    made = [
        Example(str(i), NoImage(name), *common, objects=known[name] if given else ())
        for i, (name, given) in enumerate([("a.png", True), ("a.png", True), ("a.png", False), ("b.png", True)])
    ]
    for example in made:
        shelved.append(example, example.image.path)  # type: ignore[attr-defined]
    assert list(shelved) == made
    assert asked == ["a.png", "b.png"]
