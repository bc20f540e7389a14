"""Made-up emergent masks for PixMMVP in the original's form: candidates, their phrases and answers, from a seed.

Everything comes from `random.Random(seed).random()`, so that a seed means the same on every machine. The answers hold
what the original's meta file stumbles over (hyphens before spaces, new lines); some candidates have no meta line; masks
repeat, miss or are empty, so that IoUs tie.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 224  # every image of PixMMVP is 224 x 224
NOUNS = ("cat", "wing", "school bus", "well-known hat", "eye", "left side", "flower", "red car", "tail", "person")
JOINTS = (" and ", ", next to ", ". It is near ", " on top of ", "\n", ". In the middle is ")
HYPHENS = (" - or rather - ", "- with ", " - behind ")  # they cut the original's answer short


@dataclass(frozen=True)
class Group:
    """A noun phrase with its candidates. boxes: (x0, y0, x1, y1) of each mask; of no area for an empty one."""

    text: str
    core: str
    span: tuple[int, int]
    boxes: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class Answer:
    """What a model said about one image. lines: how many of the groups have a line in the meta file."""

    text: str
    groups: tuple[Group, ...]
    lines: int


def make_answer(seed: int, image: int) -> Answer:
    """The answer about an image (1 to 300)."""
    rng = random.Random(seed * 1000 + image)
    count = 1 + int(rng.random() * 6)
    text = _pick(rng, ("", "", "The image shows ", "There is ", "In this picture "))
    groups: list[Group] = []
    for number in range(count):
        core = _pick(rng, NOUNS)
        phrase = _pick(rng, ("a ", "the ", "its ", "")) + core
        start = len(text)
        text += phrase
        previous = groups[-1].boxes if groups else ()
        groups.append(Group(phrase, core.split()[-1], (start, len(text)), _boxes(rng, previous)))
        if number < count - 1:
            text += _pick(rng, HYPHENS if rng.random() < 0.15 else JOINTS)
    text += _pick(rng, (".", ".", "", " in the scene.", ".  "))
    lines = count - 1 if count > 1 and rng.random() < 0.1 else count
    return Answer(text, tuple(groups), lines)


def mask_of(box: Sequence[int]) -> npt.NDArray[np.bool_]:
    """(224, 224) the mask of a box."""
    mask = np.zeros((SIDE, SIDE), dtype=np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def write(folder: Path, seed: int, name: str) -> Path:
    """Write `folder/NAME/{image}_{group}_{mask}.png` of all images, and return the meta file beside them."""
    masks = folder / name
    masks.mkdir(parents=True)
    lines = []
    for image in range(1, 301):
        answer = make_answer(seed, image)
        flat = answer.text.replace("\n", " ")
        for g, group in enumerate(answer.groups):
            if g < answer.lines:
                start, end = group.span
                lines.append(f"{image}.jpg - {g} - {group.text}| {group.core}| 0.5 | {start} | {end}| {flat}\n")
            for m, box in enumerate(group.boxes):
                picture = Image.fromarray(mask_of(box).astype(np.uint8) * 255)
                picture.save(masks / f"{image}_{g:03d}_{m:03d}.png")
    meta = folder / f"{name}.txt"
    meta.write_text("".join(lines))
    return meta


def _boxes(
    rng: random.Random, previous: tuple[tuple[int, int, int, int], ...]
) -> tuple[tuple[int, int, int, int], ...]:
    boxes = []
    for _ in range(3):
        kind = rng.random()
        if kind < 0.15 and previous:
            boxes.append(_pick(rng, previous))
        elif kind < 0.25:
            boxes.append((0, 0, 0, 0))
        else:
            x, y = int(rng.random() * 180), int(rng.random() * 180)
            boxes.append((x, y, x + 8 + int(rng.random() * (216 - x)), y + 8 + int(rng.random() * (216 - y))))
    return tuple(boxes)


def _pick(rng: random.Random, options: Sequence):  # type: ignore[no-untyped-def, type-arg]
    return options[int(rng.random() * len(options))]
