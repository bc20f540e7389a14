"""The harder levels of PixShapes: crowded scenes of smaller things, with look-alikes, relations and occlusion.

As at the easy level the two images of a pair differ in one attribute of one thing, and share question, options and
expression. Of the attributes colour, shape and size a look-alike shares one with the thing in question and differs in
two. Where one attribute names a thing, its look-alike shares another one. Where two name it, it has a look-alike for
each of them, so that neither alone tells which thing is meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from pixfound.benchmarks.scenes import COLOURS, SHAPES, SIZE, Scene, Thing, dot, outline

# Presence comes twice: half of its images lack the object, one expression in eight of all.
SCHEDULE = ("presence", "colour", "shape", "size", "presence", "relation", "count", "state")
NUMBERS = ("one", "two", "three", "four")
T = TypeVar("T")
_VALUES: Mapping[str, Sequence[str]] = {"colour": tuple(COLOURS), "shape": SHAPES, "size": ("large", "small")}
_NAMED_BY: Mapping[int, Mapping[str, Sequence[str]]] = {  # number of attributes -> category -> attributes
    1: {"colour": ("shape",), "else": ("colour",)},
    2: {"colour": ("size", "shape"), "shape": ("size", "colour"), "else": ("colour", "shape")},
}
_AXES = (("left", "right", "on the left or on the right of"), ("above", "below", "above or below"))
_APART = 14.0  # pixels along its axis between the two things of a relation, at least
_TRIES = 40  # positions drawn for a thing before the whole scene is drawn anew


@dataclass(frozen=True)
class Level:
    """The difficulty of scenes.

    things: fewest and most. scale: of the radii. overlap: share of the things that are put over or under another.
    seen: the share of each thing that shows, at least. axes: of relations; 1: left and right, 2: above and below too.
    names: number of attributes that name a thing.
    """

    things: tuple[int, int]
    scale: float
    overlap: float
    seen: float
    axes: int
    names: Literal[1, 2]


LEVELS = {
    "medium": Level(things=(4, 5), scale=0.9, overlap=0.15, seen=0.75, axes=1, names=1),
    "hard": Level(things=(6, 9), scale=0.65, overlap=0.4, seen=0.5, axes=2, names=2),
}


@dataclass(frozen=True)
class Asked:
    """A question about a scene. referred: the things that `expression` names."""

    category: str
    question: str
    options: tuple[str, ...]
    answer: int
    expression: str
    referred: tuple[Thing, ...]


Sides = tuple[tuple[Scene, Asked], tuple[Scene, Asked]]


def make_pair(category: str, level: Level, rng: np.random.Generator) -> Sides:
    """A random pair of a category, in random order."""
    draw = _count_pair if category == "count" else _named_pair
    while True:
        sides = draw(category, level, rng)
        if sides and all(_is_clear(scene, level) for scene, _ in sides):
            return sides if rng.integers(2) else (sides[1], sides[0])


def _count_pair(category: str, level: Level, rng: np.random.Generator) -> Sides | None:
    number = int(rng.integers(1, len(NUMBERS)))  # in one scene; in the other there is one more
    shape, total = _draw(SHAPES, rng), int(rng.integers(level.things[0], level.things[1] + 1))
    shapes = [shape] * number
    shapes += [_draw([s for s in SHAPES if s != shape], rng) for _ in range(max(2, total - number))]
    placed = _placed([replace(_random_thing(level, rng), shape=s) for s in shapes], level, rng)
    if placed is None:
        return None
    scene = _scene(placed, rng)
    scenes = (scene, _with(scene, placed[-1], shape=shape))
    question, options = f"How many {shape}s are there?", NUMBERS[number - 1 : number + 1]
    referred = [tuple(t for t in s.things if t.shape == shape) for s in scenes]
    queries = [Asked(category, question, options, i, f"the {shape}s", referred[i]) for i in range(2)]
    return (scenes[0], queries[0]), (scenes[1], queries[1])


def _named_pair(category: str, level: Level, rng: np.random.Generator) -> Sides | None:
    """A pair about one thing; None where the draw gives its name to a second thing, or has no room for all."""
    by = _NAMED_BY[level.names].get(category, _NAMED_BY[level.names]["else"])
    shared = by if level.names == 2 else ("size",) if category in ("colour", "shape") else ("shape",)
    first, total = _random_thing(level, rng), int(rng.integers(level.things[0], level.things[1] + 1))
    alike = [_look_alike(first, attribute, rng) for attribute in shared]
    fill = [_random_thing(level, rng) for _ in range(total - 1 - len(alike))]
    placed = _placed([first, *alike, *fill], level, rng)
    if placed is None:
        return None
    scene, subject, name = _scene(placed, rng), placed[0], _name(placed[0], by)
    options: tuple[str, ...]
    if category == "presence":
        question, options = f"Is there {'an' if name[0] in 'aeiou' else 'a'} {name}?", ("yes", "no")
        value, other = "yes", replace(scene, things=tuple(t for t in scene.things if t is not subject))
    elif category == "relation":
        axis, mate = int(rng.integers(level.axes)), placed[-1]
        moved = _moved_across(scene, subject, mate, axis, rng)
        if moved is None or len(_of_name(scene, mate, by)) > 1:
            return None
        low, high, words = _AXES[axis]
        question, options = f"Is the {name} {words} the {_name(mate, by)}?", (low, high)
        value, other = low if subject.centre[axis] < mate.centre[axis] else high, moved
    elif category == "state":
        question, options = f"Is the {name} marked or plain?", ("marked", "plain")
        value, other = "marked" if subject.marked else "plain", _with(scene, subject, marked=not subject.marked)
    else:  # the look-alike has the other value
        value, other_value = (getattr(thing, category) for thing in (subject, placed[len(alike)]))
        question = f"What {category} is the {name}?" if category != "size" else f"Is the {name} large or small?"
        options = tuple(v for v in _VALUES[category] if v in (value, other_value))
        other = _with(scene, subject, **{category: other_value})
    twins = _of_name(other, subject, by)
    if len(_of_name(scene, subject, by)) != 1 or len(twins) != (category != "presence"):
        return None
    right = options.index(value)
    sides = ((scene, right, (subject,)), (other, 1 - right, twins))
    first_side, second_side = ((s, Asked(category, question, options, a, f"the {name}", t)) for s, a, t in sides)
    return first_side, second_side


def _random_thing(level: Level, rng: np.random.Generator) -> Thing:
    """A thing without a place."""
    colour, shape, size = (_draw(values, rng) for values in _VALUES.values())
    return Thing(colour, shape, size, cell=0, marked=bool(rng.integers(2)), scale=level.scale)


def _look_alike(thing: Thing, shared: str, rng: np.random.Generator) -> Thing:
    """A thing that shares one attribute and differs in the two others, and in being marked."""
    changed = {name: _draw([v for v in values if v != getattr(thing, name)], rng) for name, values in _VALUES.items()}
    return replace(thing, **{**changed, shared: getattr(thing, shared)}, marked=not thing.marked)


def _placed(things: Sequence[Thing], level: Level, rng: np.random.Generator) -> list[Thing] | None:
    """The things at random places; None where there is no room for one of them."""
    placed: list[Thing] = []
    for thing in things:
        over = bool(placed) and rng.random() < level.overlap
        moved = _place(thing, placed, over, rng)
        if moved is None:
            return None
        placed.append(moved)
    return placed


def _place(thing: Thing, others: Sequence[Thing], over: bool, rng: np.random.Generator) -> Thing | None:
    """The thing at a random place that touches no other, or (`over`) that overlaps one and touches no further one."""
    for _ in range(_TRIES):
        shift = (int(rng.integers(-21, 22)), int(rng.integers(-21, 22)))
        tried = replace(thing, cell=int(rng.integers(9)), shift=shift)
        if not _is_inside(tried):
            continue
        gaps = [np.hypot(*np.subtract(tried.centre, t.centre)) / (tried.radius + t.radius) for t in others]
        near = [gap for gap in gaps if gap < 1.15]
        if (not near and not over) or (over and len(near) == 1 and 0.5 < near[0] < 0.9):
            return tried
    return None


def _moved_across(scene: Scene, thing: Thing, mate: Thing, axis: int, rng: np.random.Generator) -> Scene | None:
    """The scene with the thing on the other side of its mate along an axis (0: x); None where there is no room."""
    before, others = thing.centre[axis] - mate.centre[axis], [t for t in scene.things if t is not thing]
    if abs(before) < _APART:
        return None
    for _ in range(_TRIES):
        moved = _place(thing, others, False, rng)
        if moved is not None and (mate.centre[axis] - moved.centre[axis]) * np.sign(before) >= _APART:
            return replace(scene, things=tuple(moved if t is thing else t for t in scene.things))
    return None


def _scene(placed: Sequence[Thing], rng: np.random.Generator) -> Scene:
    """The things in random order, of which the later ones lie over the earlier."""
    order = rng.permutation(len(placed))
    return Scene(tuple(placed[i] for i in order), seed=int(rng.integers(2**31)), crowded=True)


def _is_clear(scene: Scene, level: Level) -> bool:
    """True where all things are inside, show enough of themselves and their dots, and hide none of their own colour."""
    above = {colour: np.zeros((SIZE, SIZE), dtype=bool) for colour in COLOURS}
    for thing in reversed(scene.things):
        mask, hiding = outline(thing), np.any(list(above.values()), axis=0)
        hidden = (mask & hiding).sum() > (1 - level.seen) * mask.sum() or (dot(thing) & hiding).any()
        if hidden or not _is_inside(thing) or (mask & above[thing.colour]).any():
            return False
        above[thing.colour] |= mask
    return True


def _is_inside(thing: Thing) -> bool:
    return all(thing.radius <= value <= SIZE - thing.radius for value in thing.centre)


def _name(thing: Thing, by: Sequence[str]) -> str:
    words = " ".join(getattr(thing, attribute) for attribute in by)
    return words if "shape" in by else f"{words} object"


def _of_name(scene: Scene, thing: Thing, by: Sequence[str]) -> tuple[Thing, ...]:
    """The things of a scene that have the name of `thing`."""
    return tuple(t for t in scene.things if all(getattr(t, name) == getattr(thing, name) for name in by))


def _with(scene: Scene, thing: Thing, **values: object) -> Scene:
    changed = replace(thing, **values)  # type: ignore[arg-type]
    return replace(scene, things=tuple(changed if t is thing else t for t in scene.things))


def _draw(values: Sequence[T], rng: np.random.Generator) -> T:
    return values[int(rng.integers(len(values)))]
