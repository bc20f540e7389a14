"""Selectors that use neither masks nor words: null baselines and the segmenter's predicted IoU."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pixfound.interfaces import Selector
from pixfound.types import Candidate, Choice, Example, Kind
from pixfound.types.arguments import NonNegative


class BestScore(Selector):
    """The candidate with the segmenter's highest score; the first among equals."""

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """The candidate with the highest score; `empty` without candidates."""
        if not candidates:
            return Choice("empty", reason="no candidate")
        best = max(range(len(candidates)), key=lambda i: (candidates[i].score or 0.0, -i))
        return Choice("candidate", best)


class First(Selector):
    """The candidate that was proposed first."""

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """The first candidate; `empty` without candidates."""
        return Choice("candidate", 0) if candidates else Choice("empty", reason="no candidate")


class RandomCandidate(Selector):
    """A candidate drawn uniformly; the same for the same example and seed."""

    def __init__(self, seed: NonNegative = 0) -> None:
        self.seed = seed

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """A random candidate; `empty` without candidates."""
        if not candidates:
            return Choice("empty", reason="no candidate")
        digest = hashlib.sha256(f"{self.seed}:{example.id}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        return Choice("candidate", int(rng.integers(len(candidates))))


class Empty(Selector):
    """The empty mask always: correct exactly where the object is absent."""

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """The choice `empty`."""
        return Choice("empty", reason="by design")


class Full(Selector):
    """The mask of the whole image always."""

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """The choice `full`."""
        return Choice("full", reason="by design")
