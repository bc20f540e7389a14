"""PixCV-Bench's referring expressions, from the names of the objects that CV-Bench's question is about."""

from __future__ import annotations

import ast
from difflib import SequenceMatcher

from pixfound.benchmarks.pixcvbench_files import AGAIN
from pixfound.errors import UserError

RED_BOX = "(annotated by the red box)"


def refer(objects: str, question: str, where: str) -> str:
    """The referring expression of an entry of Objects: "a", "a and b", or "a (annotated by the red box) and b".

    objects: a name, or the printed form of a tuple of two. A name may hold commas between its synonyms.
    """
    text = objects.strip()
    if not text.startswith("("):
        if text:
            return text
        raise UserError(f"{where}: Objects is empty; {AGAIN}")
    try:
        pair = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise UserError(f"{where}: Objects {objects!r} is no tuple of two names ({error}); {AGAIN}") from error
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(name, str) for name in pair)):
        raise UserError(f"{where}: Objects {objects!r} is no tuple of two names; {AGAIN}")
    if RED_BOX not in question:
        return f"{pair[0]} and {pair[1]}"
    boxed = highlighted(question, pair)
    return f"{pair[boxed]} {RED_BOX} and {pair[1 - boxed]}"


def highlighted(question: str, names: tuple[str, str]) -> int:
    """Return the index, 0 or 1, of the name that the question marks with the red box.

    The words between "the" and the mark are the name or one of its synonyms. A name that ends them settles it,
    the longest one if both do. Where the question uses words of its own ("trees" for "tree"), the name more like
    what is marked, and less like what it is compared with, is taken.
    """
    before = question.partition(RED_BOX)[0].lower().strip()
    ends = [max((len(w) for w in _synonyms(name) if f" {before}".endswith(f" {w}")), default=0) for name in names]
    if ends[0] != ends[1]:
        return int(ends[1] > ends[0])
    marked = before.rpartition("the ")[2]
    reference = question.lower().rpartition("with respect to the ")[2].strip(" ?.")
    first = _alike(marked, names[0]) + _alike(reference, names[1])
    second = _alike(marked, names[1]) + _alike(reference, names[0])
    return int(second > first)


def _synonyms(name: str) -> set[str]:
    full_name = name.lower().strip()
    return {full_name, *(part.strip() for part in full_name.split(",") if part.strip())}


def _alike(words: str, name: str) -> float:
    """The likeness of some words and a name, from 0 to 1, by the most similar of its synonyms."""
    return max(SequenceMatcher(None, words, synonym).ratio() for synonym in _synonyms(name))
