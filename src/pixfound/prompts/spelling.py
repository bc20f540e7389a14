"""Spelling noise: a few edits of one kind in a text, as in the prompt sensitivity study of arXiv 2502.04192.

Positions are drawn from [2, length - 2): the first two and the last two characters are never deleted, inserted before,
or drawn for a swap, but may be the neighbour in one. A text of less than five characters is unchanged.
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

Edit = Literal["insertion", "omission", "transposition"]
EDITS: tuple[Edit, ...] = get_args(Edit)
MARGIN = 2


def stream(*names: object) -> np.random.Generator:
    """A random generator seeded by the names alone, independent of earlier draws."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def misspelt(text: str, edits: int, rng: np.random.Generator, repeats: bool = False) -> str:
    """The text with `edits` edits of one random kind; with fewer edits where the text is too short.

    repeats: draw positions with replacement, as the original does. Some edits then undo others or fall behind the end;
    without it every edit is visible.
    """
    free = range(MARGIN, len(text) - MARGIN)
    if not edits or not free:
        return text
    kind = EDITS[int(rng.integers(len(EDITS)))]
    if repeats:
        positions = [int(p) for p in rng.integers(free.start, free.stop, edits)]
    elif kind == "transposition":
        positions = _swaps(text, edits, [int(p) for p in rng.permutation(free)])
    else:  # from behind, so that an edit moves none of those to come
        positions = sorted((int(p) for p in rng.permutation(free)[:edits]), reverse=True)
    letters = [string.ascii_letters[int(i)] for i in rng.integers(len(string.ascii_letters), size=len(positions))]
    return edited(text, kind, positions, letters)


def edited(text: str, kind: Edit, positions: Sequence[int], letters: Sequence[str]) -> str:
    """The text after one edit at each position, in order. letters: the characters to insert.

    A transposition swaps a character with the next one, or with the one before where a space is next.
    """
    for at, letter in zip(positions, letters, strict=True):
        if kind == "insertion":
            text = text[:at] + letter + text[at:]
        elif kind == "omission":
            text = text[:at] + text[at + 1 :]
        else:
            first = _first(text, at)
            text = text[:first] + text[first + 1] + text[first] + text[first + 2 :]
    return text


def _first(text: str, at: int) -> int:
    """Index of the first of the two characters that a transposition at `at` swaps."""
    return at - 1 if text[at + 1] == " " else at


def _swaps(text: str, edits: int, order: Sequence[int]) -> list[int]:
    """The first positions of `order` whose swaps change the text and do not overlap."""
    positions: list[int] = []
    occupied: set[int] = set()
    for at in order:
        first = _first(text, at)
        touched = {at, at + 1, first}
        if len(positions) < edits and text[first] != text[first + 1] and not touched & occupied:
            positions.append(at)
            occupied |= touched
    return positions
