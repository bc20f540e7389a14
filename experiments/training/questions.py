"""Training scenes and everything that is asked and answered about them, as text.

Seeds: training draws from generators seeded at 1,000,000 and above, validation from 900,000; benchmarks of the
paper's figures use seeds far below. So no scene is shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import yaml
from omegaconf import OmegaConf

from pixfound.benchmarks.pixshapes import (
    CATEGORIES,
    Ask,
    ask,
    make_pair,
    partner,
    subjects,
)
from pixfound.benchmarks.scenes import COLOURS, SHAPES, Scene, SceneImage
from pixfound.prompts.builder import Prompts
from pixfound.types import Example, Kind
from pixfound.types.masks import RLE
from pixfound.types.option_letters import letter

TRAIN_SEED = 1_000_000  # a stage adds its own small number
VALIDATION_SEED = 900_000
KINDS: tuple[Kind, ...] = ("choice", "open", "choice", "ground", "open", "choice", "ground", "open")
T = TypeVar("T")
_NOTHING = RLE.empty((1, 1))


@dataclass(frozen=True)
class Turn:
    """One prompt about an image and the answer that is taught."""

    kind: Kind
    category: str
    prompt: str
    answer: str


def uniform_prompts() -> Prompts:
    """The wording of conf/prompts/uniform.yaml."""
    folder = Path(__file__).parents[2] / "conf" / "prompts"
    ids = OmegaConf.load(folder / "uniform.yaml")  # resolves the ids of a model that declares no format of coordinates
    library = yaml.safe_load((folder / "templates" / "library.yaml").read_text(encoding="utf-8"))
    return Prompts(library, **{kind: str(ids[kind]) for kind in ("open", "choice", "ground", "extension")})


def draw_scene(rng: np.random.Generator) -> tuple[Scene, Ask]:
    """One side of a random pair of a random category, with the question that the pair asks."""
    sides = make_pair(_draw(CATEGORIES, rng), rng)
    return sides[int(rng.integers(2))]


def draw_turns(
    rng: np.random.Generator, prompts: Prompts, shares: Mapping[str, float], kinds: tuple[Kind, ...] = KINDS
) -> tuple[Scene, list[Turn]]:
    """A scene and one turn for each of `kinds`, of categories drawn by `shares` (any positive numbers).

    The pair's own question comes first; the others are put so that their answers are balanced.
    """
    scene, asked = draw_scene(rng)
    names = list(shares)
    chances = np.array([shares[n] for n in names]) / sum(shares.values())
    turns = []
    for kind in kinds:
        if turns:
            found = None
            while found is None:
                found = another(names[int(rng.choice(len(names), p=chances))], scene, rng)
            asked = found
        if kind == "ground" and rng.random() < 0.08:
            asked = absent_shape(scene, rng) or asked
        turns.append(_turn(kind, asked, prompts))
    return scene, turns


def another(category: str, scene: Scene, rng: np.random.Generator) -> Ask | None:
    """A question of a category about a given scene; None where it has none."""
    shapes = [t.shape for t in scene.things]
    if category == "presence":
        present = [t.colour for t in scene.things]
        names = present if rng.integers(2) else [c for c in COLOURS if c not in present]
        return ask(category, scene, _draw(names, rng), scene)
    if category == "count":
        groups = [[s for s in SHAPES if shapes.count(s) == n] for n in (1, 2)]
        groups = [g for g in groups if g]
        return ask(category, scene, _draw(_draw(groups, rng), rng), scene) if groups else None
    names = subjects(category, scene)
    if not names:
        return None
    subject = _draw(names, rng)
    return ask(category, scene, subject, partner(category, scene, subject, rng))


def absent_shape(scene: Scene, rng: np.random.Generator) -> Ask | None:
    """A reference to a shape that the scene lacks; None where it has all."""
    missing = [s for s in SHAPES if all(t.shape != s for t in scene.things)]
    if not missing:
        return None
    return Ask("presence", "Is it there?", ("yes", "no"), 1, f"the {_draw(missing, rng)}", (), "")


def _turn(kind: Kind, asked: Ask, prompts: Prompts) -> Turn:
    example = Example("", _IMAGE, asked.question, asked.options, asked.answer, asked.expression, _NOTHING)
    if kind == "choice":
        answer = letter(asked.answer)
    elif kind == "open":
        answer = asked.spoken
    else:  # two things are told in reading order, so that the picture decides which comes first
        answer = replace(asked, referred=tuple(sorted(asked.referred, key=lambda t: t.cell))).identified
    return Turn(kind, asked.category, prompts.prompt(example, kind).text, answer)


def _draw(values: Sequence[T], rng: np.random.Generator) -> T:
    return values[int(rng.integers(len(values)))]


_IMAGE = SceneImage(Scene((), 0))
