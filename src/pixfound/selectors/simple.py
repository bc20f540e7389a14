"""Selectors that look at no mask and no word: nulls and the segmenter's own opinion."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pixfound.types import Candidate, Choice, Example


class BestScore:
    """The candidate that the segmenter itself trusts most; the first among equals."""

    def choose(self, example: Example, candidates: Sequence[Candidate]) -> Choice:
        """The highest predicted IoU; nothing where there is no candidate."""
        if not candidates:
            return Choice("empty", reason="no candidate")
        best = max(range(len(candidates)), key=lambda i: (candidates[i].score or 0.0, -i))
        return Choice("candidate", best)


class First:
    """The candidate that was proposed first."""

    def choose(self, example: Example, candidates: Sequence[Candidate]) -> Choice:
        """The first; nothing where there is no candidate."""
        return Choice("candidate", 0) if candidates else Choice("empty", reason="no candidate")


class RandomCandidate:
    """A candidate drawn uniformly; the same for the same example and seed."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def choose(self, example: Example, candidates: Sequence[Candidate]) -> Choice:
        """A random candidate; nothing where there is none."""
        if not candidates:
            return Choice("empty", reason="no candidate")
        digest = hashlib.sha256(f"{self.seed}:{example.id}".encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        return Choice("candidate", int(rng.integers(len(candidates))))


class Empty:
    """Never shows anything: right exactly where the object is absent."""

    def choose(self, example: Example, candidates: Sequence[Candidate]) -> Choice:
        """Nothing."""
        return Choice("empty", reason="by design")


class Full:
    """Always shows the whole image."""

    def choose(self, example: Example, candidates: Sequence[Candidate]) -> Choice:
        """Everything."""
        return Choice("full", reason="by design")
