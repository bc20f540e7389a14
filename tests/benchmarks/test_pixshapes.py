from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from pixfound.benchmarks import crowds
from pixfound.benchmarks.crowds import LEVELS
from pixfound.benchmarks.pixshapes import CATEGORIES, SCHEDULE, PixShapes
from pixfound.benchmarks.scenes import COLOURS, RADII, SHAPES, SIZE, Scene, Thing, outline
from pixfound.config.factory import build
from pixfound.errors import UserError
from pixfound.interfaces import Benchmark
from pixfound.types.masks import iou, union

PAIRS = 64
CONTENT = "1283a8d336931b4900f104b859c70301098a4001d94b1bf6ba3c44a06475b239"


@pytest.fixture(scope="module")
def examples():
    return list(PixShapes(PAIRS))


@pytest.fixture(scope="module")
def pairs(examples):
    return list(zip(examples[::2], examples[1::2], strict=True))


@pytest.fixture(scope="module", params=LEVELS)
def crowd(request):
    """Examples of a harder level."""
    return list(PixShapes(40, level=request.param))


def things(example):
    return example.image.scene.things


def changes(a, b):
    """What differs between the things of two scenes, thing by thing: [(thing of a, thing of b)], None for no thing."""
    if len(things(a)) != len(things(b)):
        few, many = sorted((things(a), things(b)), key=len)
        return [(None, thing) for thing in many if thing not in few]
    return [(s, t) for s, t in zip(things(a), things(b), strict=True) if s != t]


def content(example):
    """All of an example, its drawn pixels too."""
    return [
        *(example.id, example.pair_id, example.image.digest(), example.question, example.options, example.answer),
        *(example.expression, example.gt_mask.to_json(), [m.to_json() for m in example.objects], dict(example.tags)),
    ]


def test_the_content_never_changes(examples):
    """Published figures are about these very pixels: another hash is another benchmark."""
    text = json.dumps([content(example) for example in examples])
    assert hashlib.sha256(text.encode()).hexdigest() == CONTENT


def test_a_pair_depends_on_the_seed_and_its_number_alone(examples):
    few = PixShapes(pairs=3)
    assert [content(e) for e in few] == [content(e) for e in examples[:6]]
    assert {e.image.digest() for e in few}.isdisjoint(e.image.digest() for e in PixShapes(pairs=3, seed=2025))


def test_it_is_a_sequence(examples):
    benchmark = PixShapes(pairs=2)
    assert len(benchmark) == 4
    assert [e.id for e in benchmark] == ["0000a", "0000b", "0001a", "0001b"]
    assert benchmark[-1].pair_id == "0001"
    assert [e.id for e in benchmark[1:3]] == ["0000b", "0001a"]
    assert len({e.id for e in examples}) == 2 * PAIRS
    assert len({e.image.digest() for e in examples}) == 2 * PAIRS


@pytest.mark.parametrize("pairs", [0, -1])
def test_too_few_pairs_say_what_to_type(pairs):
    with pytest.raises(UserError, match=rf"PixShapes.pairs={pairs}: must be a whole number of at least 1"):
        PixShapes(pairs=pairs)


def test_categories_are_balanced(examples):
    counts = Counter(e.tags["category"] for e in examples)
    assert set(counts) == set(CATEGORIES)
    assert counts == {c: 2 * PAIRS * SCHEDULE.count(c) // len(SCHEDULE) for c in CATEGORIES}
    assert [e.tags["category"] for e in examples[: 2 * len(SCHEDULE) : 2]] == list(SCHEDULE)


def test_one_expression_in_eight_is_absent(examples):
    absent = [e for e in examples if e.absent]
    assert len(absent) == len(examples) // 8
    assert {e.tags["category"] for e in absent} == {"presence"}


def test_both_of_a_pair_are_asked_the_same_and_answer_the_opposite(pairs):
    for a, b in pairs:
        assert (a.pair_id, a.question, a.options, a.expression) == (b.pair_id, b.question, b.options, b.expression)
        assert {a.answer, b.answer} == {0, 1}
        assert len(a.options) == 2 == len(set(a.options))


def test_no_side_and_no_letter_gives_the_answer_away(examples, pairs):
    assert sum(e.answer for e in examples) == PAIRS
    first = sum(a.answer for a, _ in pairs)
    assert PAIRS / 4 < first < 3 * PAIRS / 4
    for category in CATEGORIES:
        assert {a.answer for a, _ in pairs if a.tags["category"] == category} == {0, 1}


ATTRIBUTE = {
    "colour": "colour",
    "shape": "shape",
    "size": "size",
    "position": "cell",
    "count": "shape",
    "state": "marked",
}


def test_the_two_scenes_differ_in_one_attribute_of_one_thing(pairs):
    for a, b in pairs:
        ((before, after),) = changes(a, b)
        category = a.tags["category"]
        if category == "presence":
            assert before is None
            assert after.colour in a.expression
        else:
            assert {k for k in vars(before) if getattr(before, k) != getattr(after, k)} == {ATTRIBUTE[category]}
        assert a.image.scene.seed == b.image.scene.seed


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_two_images_differ_in_that_thing_alone(pairs, category):
    """Outside of the thing that changes the two pictures are the same, pixel for pixel."""
    for a, b in pairs:
        if a.tags["category"] == category:
            ((before, after),) = changes(a, b)
            changed = np.any([Scene((t,), 0).mask(t) for t in (before, after) if t], axis=0)
            different = (np.array(a.image.load()) != np.array(b.image.load())).any(axis=2)
            assert different.any()
            assert np.count_nonzero(different & ~changed) == 0, a.id


def true_of(example):
    """Whether each option is true of the scene, read from the question."""
    scene, (subject,) = example.image.scene, [w for w in (*COLOURS, *SHAPES) if w in example.question.split(" or ")[0]]
    category = example.tags["category"]
    found = [t for t in scene.things if subject in (t.colour, t.shape)]
    if category == "presence":
        return [bool(found), not found]
    if category == "count":
        return [len(found) == 1, len(found) == 2]
    (thing,) = found  # else the question is about several things
    row, column = divmod(thing.cell, 3)
    facts = {thing.colour, thing.shape, thing.size, "marked" if thing.marked else "plain"}
    facts |= {("top", "middle", "bottom")[row], ("left", "middle", "right")[column]}
    return [option in facts for option in example.options]


def test_the_answer_is_the_one_option_that_is_true_of_the_scene(examples):
    for example in examples:
        assert true_of(example) == [i == example.answer for i in range(2)], example.id


def test_the_mask_is_of_what_the_expression_names(examples):
    for example in examples:
        named = [w for w in (*COLOURS, *SHAPES) if w in example.expression]
        referred = [t for t in things(example) if {t.colour, t.shape} & set(named)]
        masks = [m for m, t in zip(example.objects, things(example), strict=True) if t in referred]
        assert len(named) == 1
        assert len(referred) == {"presence": 1 - example.absent, "count": 1 + example.answer}.get(
            example.tags["category"], 1
        )
        assert iou(example.gt_mask, union(masks, (SIZE, SIZE))) == 1.0


def test_masks_are_exact(examples):
    """The picture is the oracle: the background is grey (channels within 24), things are coloured or white dots."""
    for example in examples:
        pixels = np.array(example.image.load()).astype(int)
        coloured = np.ptp(pixels, axis=2) > 40
        dots = pixels.min(axis=2) > 200
        np.testing.assert_array_equal(union(example.objects, (SIZE, SIZE)).decode(), coloured | dots)
        for mask, thing in zip(example.objects, things(example), strict=True):
            inside = mask.decode() & coloured
            mean = pixels[inside].mean(axis=0)
            assert np.abs(mean - COLOURS[thing.colour]).max() < 16
            assert min(COLOURS, key=lambda c: np.abs(mean - COLOURS[c]).sum()) == thing.colour
            assert (mask.decode() & dots).any() == thing.marked
            assert inside.sum() > 0.5 * mask.area


AREAS = {"circle": np.pi, "square": 4 * 0.86**2, "triangle": 1.8, "diamond": 2.0}  # of radius 1


def test_things_lie_whole_inside_of_their_cells(examples):
    cell = SIZE / 3
    for example in examples:
        assert all(iou(a, b) == 0.0 for a, b in combinations(example.objects, 2))
        for mask, thing in zip(example.objects, things(example), strict=True):
            row, column = divmod(thing.cell, 3)
            ys, xs = np.nonzero(mask.decode())
            assert row * cell - 0.5 <= ys.min() <= ys.max() + 1 <= (row + 1) * cell + 0.5
            assert column * cell - 0.5 <= xs.min() <= xs.max() + 1 <= (column + 1) * cell + 0.5
            assert mask.area == pytest.approx(AREAS[thing.shape] * RADII[thing.size] ** 2, rel=0.1)  # whole


@pytest.mark.parametrize(
    "things",
    [
        (Thing("red", "circle", "small", 0), Thing("red", "square", "small", 1)),
        (Thing("red", "circle", "small", 4), Thing("blue", "square", "small", 4)),
    ],
)
def test_things_of_a_scene_are_told_apart_by_colour_and_place(things):
    with pytest.raises(ValueError, match="share a colour or a cell"):
        Scene(things, 0)


CROWDS = {  # "medium" and "hard"
    "0a16bd827a115eff6c36ef4f0b6a5ba34c8ea4b66a5fa1d9fc02d1e5da0d8c40",
    "08557227294a2f2c7c87c91a273099f77312a0463737279f9662264bfb8a4dae",
}


def test_the_content_of_a_level_never_changes(crowd):
    text = json.dumps([content(example) for example in crowd])
    assert hashlib.sha256(text.encode()).hexdigest() in CROWDS


def test_easy_is_the_default_and_an_unknown_level_says_what_to_type(examples):
    assert [content(e) for e in PixShapes(pairs=2, level="easy")] == [content(e) for e in examples[:4]]
    with pytest.raises(UserError, match=r"benchmark\.level=harder"):
        build({"_target_": "pixfound.benchmarks.pixshapes.PixShapes", "level": "harder"}, "benchmark", Benchmark)


def test_levels_keep_the_form_of_the_easy_one(crowd):
    pairs = list(zip(crowd[::2], crowd[1::2], strict=True))
    assert Counter(e.tags["category"] for e in crowd) == {c: 10 * crowds.SCHEDULE.count(c) for c in crowds.SCHEDULE}
    assert sum(e.absent for e in crowd) == len(crowd) // 8
    assert 5 < sum(a.answer for a, _ in pairs) < 35
    for a, b in pairs:
        assert (a.pair_id, a.question, a.options, a.expression) == (b.pair_id, b.question, b.options, b.expression)
        assert {a.answer, b.answer} == {0, 1}
        ((before, after),) = changes(a, b)
        expected = {"presence": None, "relation": "centre", "count": "shape", "state": "marked"}
        attribute = expected.get(a.tags["category"], a.tags["category"])
        if attribute is None:
            assert before is None
            outlines = outline(after)
        else:
            names = ("colour", "shape", "size", "marked", "centre", "scale")
            assert [n for n in names if getattr(before, n) != getattr(after, n)] == [attribute]
            outlines = outline(before) | outline(after)
        different = (np.array(a.image.load()) != np.array(b.image.load())).any(axis=2)
        assert different.any() and not (different & ~outlines).any()


def said_of(text, example):
    """The things of a scene that have every attribute in a text."""
    words = [word.strip("?").removesuffix("s") for word in text.split()]
    known = {*COLOURS, *SHAPES, *RADII}
    return [t for t in things(example) if {w for w in words if w in known} <= {t.colour, t.shape, t.size}]


def right_option(example):
    """The answer, read from the question and the scene."""
    category, question = example.tags["category"], example.question
    if category == "relation":
        (subject,), (mate,) = (said_of(part, example) for part in re.split(" (?:on|above) .*(?:of|below) ", question))
        axis = 0 if "left" in question else 1
        return example.options[int(subject.centre[axis] > mate.centre[axis])]
    found = said_of(example.expression, example)
    if category == "presence":
        return "yes" if found else "no"
    if category == "count":
        return ("none", "one", "two", "three", "four")[len(found)]
    (thing,) = found  # else the question is about several things
    return {"state": "marked" if thing.marked else "plain"}.get(category) or getattr(thing, category)


def test_answers_and_masks_of_a_level_are_those_of_what_is_named(crowd):
    for example in crowd:
        assert example.options[example.answer] == right_option(example), example.id
        masks = [
            m
            for m, t in zip(example.objects, things(example), strict=True)
            if t in said_of(example.expression, example)
        ]
        assert iou(example.gt_mask, union(masks, (SIZE, SIZE))) == 1.0
    assert {o for e in crowd for o in e.options} >= {"one", "two", "three", "four"}


def test_masks_of_a_level_are_exact_where_things_hide_each_other(crowd):
    """The picture is the oracle: each visible pixel has the colour of the thing whose mask it is in, or is of a dot."""
    hidden = 0
    for example in crowd:
        pixels = np.array(example.image.load()).astype(int)
        coloured, dots = np.ptp(pixels, axis=2) > 40, pixels.min(axis=2) > 200
        np.testing.assert_array_equal(union(example.objects, (SIZE, SIZE)).decode(), coloured | dots)
        assert all(iou(a, b) == 0.0 for a, b in combinations(example.objects, 2))
        for mask, thing in zip(example.objects, things(example), strict=True):
            shown = mask.decode()
            nearest = pixels[shown & coloured][:, None] - np.array(list(COLOURS.values()))
            assert (np.abs(nearest).sum(2).argmin(1) == list(COLOURS).index(thing.colour)).mean() > 0.9
            assert (shown & dots).any() == thing.marked
            hidden += shown.sum() < outline(thing).sum()
    assert hidden > len(crowd) / 20


def test_levels_rise(examples):
    """Harder levels have more and smaller things, which hide more of each other."""
    crowds_of = [examples, *(list(PixShapes(24, level=level)) for level in LEVELS)]
    numbers = [np.mean([len(e.objects) for e in found]) for found in crowds_of]
    areas = [np.mean([m.area for e in found for m in e.objects]) for found in crowds_of]
    assert numbers == sorted(numbers) and areas == sorted(areas, reverse=True)


def test_a_look_alike_shares_one_attribute_and_differs_in_two(crowd):
    for a, b in zip(crowd[::2], crowd[1::2], strict=True):
        if a.tags["category"] == "count":
            continue
        either = [(subject, thing) for e in (a, b) for subject in said_of(e.expression, e) for thing in things(e)]
        shared = [sum(getattr(s, n) == getattr(t, n) for n in ("colour", "shape", "size")) for s, t in either]
        assert 1 in shared, a.id
