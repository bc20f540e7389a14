"""The oracle upper bound: the candidate with the highest IoU with the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pixfound.interfaces import Selector
from pixfound.types import Candidate, Choice, Example, Kind
from pixfound.types.masks import ious


class Oracle(Selector):
    """The candidate with the highest IoU with the ground truth.

    ties: `score` takes the candidate with the segmenter's highest score, `last` and `first` go by position (the
        original takes the last). absent: `empty` shows nothing where the object is absent, `candidate` still takes a
        candidate (the original did so until 2026).
    """

    def __init__(
        self,
        ties: Literal["score", "last", "first"] = "score",
        absent: Literal["empty", "candidate"] = "empty",
    ) -> None:
        self.ties, self.absent = ties, absent

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """The best candidate; `missing` without candidates; see `absent` for an absent object."""
        if example.absent and self.absent == "empty":
            return Choice("empty", reason="the object is absent")
        if not candidates:
            return Choice("missing", reason="no candidate")
        values = ious([candidate.mask for candidate in candidates], example.gt_mask, example.ignore)
        ranks = [(values[i], self._tie(i, c)) for i, c in enumerate(candidates)]
        best = max(range(len(ranks)), key=ranks.__getitem__)
        return Choice("candidate", best, f"IoU {ranks[best][0]:.3f}")

    def _tie(self, index: int, candidate: Candidate) -> tuple[float, int]:
        if self.ties == "score":
            return (candidate.score or 0.0, -index)
        return (0.0, index if self.ties == "last" else -index)
