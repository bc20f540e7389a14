"""An answer about a picture, with the masks that were proposed from it and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pixfound.types import Candidate, Choice, Generation, Phrase
from pixfound.types.masks import BoolMask


@dataclass(frozen=True)
class Reply:
    """An answer, and what was made of it. choice: among the candidates."""

    generation: Generation
    candidates: Sequence[Candidate]
    choice: Choice

    @property
    def text(self) -> str:
        """The answer."""
        return self.generation.text

    @property
    def phrases(self) -> list[Phrase]:
        """The phrases of the answer that have candidates, in order."""
        return list(dict.fromkeys(c.phrase for c in self.candidates if c.phrase is not None))

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that was chosen; None where none was."""
        return None if self.choice.index is None else self.candidates[self.choice.index]

    @property
    def mask(self) -> BoolMask | None:
        """(H, W) of the chosen candidate; None where none was."""
        return None if self.chosen is None else self.chosen.mask.decode()
