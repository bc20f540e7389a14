"""Selection by a score that an extractor stored with its candidates: no judge, no truth, no word vectors."""

from __future__ import annotations

from collections.abc import Sequence

from pixfound.interfaces import Selector
from pixfound.types import Candidate, Choice, Example, Kind


class ByScore(Selector):
    """The candidate of the highest score of this name; of equal ones that of the segmenter's highest score, the first.

    name: in `Candidate.scores`.
    """

    version = 2  # 2: the segmenter's score decides between equals

    def __init__(self, name: str) -> None:
        self.name = name

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """The best candidate that has the score; `empty` without candidates, `unscored` where none has it."""
        if not candidates:
            return Choice("empty", reason="no candidate")
        scored = [(c.scores[self.name], c.score or 0.0, -i) for i, c in enumerate(candidates) if self.name in c.scores]
        if not scored:
            return Choice("unscored", reason=f"no candidate has a score {self.name}")
        value, _, index = max(scored)
        return Choice("candidate", -index, f"{self.name} {value:.3f}")
