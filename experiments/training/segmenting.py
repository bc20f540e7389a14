"""What the pixel-level miniature is asked: expressions to segment, with exact masks, mixed with the usual questions.

The proportions are those of LISA's published mixture (arXiv 2308.00692): 9 semantic : 3 referring : 1 reasoning
segmentation : 3 VQA.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from experiments.training.questions import KINDS, Turn, draw_turns
from experiments.training.words import SEG

from pixfound.benchmarks.scenes import COLOURS, SHAPES, Scene, Thing
from pixfound.prompts.builder import Prompts

MIXTURE = {"semantic": 9, "referring": 3, "reasoning": 1, "vqa": 3}
REQUEST = "Can you segment {expression} in this image?"  # prompts.ground=lisa
REPLY = f"It is {SEG}."
Target = tuple[str, tuple[Thing, ...]]


def draw_mixed(
    rng: np.random.Generator, prompts: Prompts, shares: Mapping[str, float]
) -> tuple[Scene, list[Turn], list[tuple[Thing, ...]]]:
    """A scene, a turn of the mixture for each of `KINDS`, and the things named by each request for a mask, in order."""
    chances = np.array(list(MIXTURE.values())) / sum(MIXTURE.values())
    drawn = [list(MIXTURE)[i] for i in rng.choice(len(MIXTURE), size=len(KINDS), p=chances)]
    kinds = tuple(kind for kind, task in zip(KINDS, drawn, strict=True) if task == "vqa")
    scene, turns = draw_turns(rng, prompts, shares, kinds)
    targets = [_target(task, scene, rng) for task in drawn if task != "vqa"]
    asked = [Turn("ground", "segment", REQUEST.format(expression=text), REPLY) for text, _ in targets]
    return scene, [*turns, *asked], [things for _, things in targets]


def _target(task: str, scene: Scene, rng: np.random.Generator) -> Target:
    """An expression and the things that it names, at least one."""
    thing = scene.things[int(rng.integers(len(scene.things)))]
    if task == "semantic":
        if rng.random() < 0.6:
            return f"the {thing.colour} object", (thing,)
        same = tuple(t for t in scene.things if t.shape == thing.shape)
        plural = len(same) > 1 or rng.random() < 0.5
        return f"the {thing.shape}{'s' * plural}", same
    if task == "referring":
        texts = (
            f"the {thing.size} {thing.colour} {thing.shape}",
            f"the {thing.colour} {thing.shape}",
            f"the {thing.shape} at the {thing.place}",
        )
        return texts[int(rng.integers(len(texts)))], (thing,)
    lone = [name for name, things in _properties(scene).items() if len(things) == 1]
    if not lone:
        return f"the object at the {thing.place}", (thing,)
    name = lone[int(rng.integers(len(lone)))]
    return f"the {name} object", _properties(scene)[name]


def _properties(scene: Scene) -> dict[str, tuple[Thing, ...]]:
    """The things of each property that must be looked for."""
    return {
        "marked": tuple(t for t in scene.things if t.marked),
        "plain": tuple(t for t in scene.things if not t.marked),
        "small": tuple(t for t in scene.things if t.size == "small"),
        "large": tuple(t for t in scene.things if t.size == "large"),
    }


def new_words() -> list[str]:
    """Words of requests and replies, with the space before them."""
    asked = REQUEST.format(expression=f"the {next(iter(COLOURS))} {SHAPES[0]}")
    return [f"\n{asked}", f" {REPLY.replace(SEG, '')}"]
