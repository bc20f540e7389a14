"""A choice that was made elsewhere, and written to a file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pixfound.errors import UserError
from pixfound.interfaces import ImageInfo
from pixfound.predictions.naming import Owners
from pixfound.predictions.texts import NONE, read_selections
from pixfound.shelf import Shelf
from pixfound.types import Candidate, Choice, Example


class Selected:
    """The candidate whose file a list names for the example.

    selections: JSON lines, see `pixfound.predictions.texts.read_selections`. offset: added to their `question_id`.
    unlisted: an example that the list says nothing of is `unscored`, or `missing` a choice, as to the original, so that
        the scoring profile says what it is worth.
    """

    runtime_options = ("selections",)

    def __init__(self, selections: str, offset: int = 1, unlisted: Literal["unscored", "missing"] = "unscored") -> None:
        if unlisted not in ("unscored", "missing"):
            raise UserError(f"selected unlisted={unlisted}: valid values are unscored and missing")
        self._path, self.offset, self.unlisted = Path(selections).expanduser(), offset, unlisted
        self._chosen: Mapping[str, str] = {}
        self._stand_ins: Shelf[list[str]] = Shelf(list)  # examples of which the picture of no phrase is selected

    def index(self, images: Mapping[str, ImageInfo]) -> None:
        """Read the list."""
        owners = Owners(images)
        self._chosen = read_selections(self._path, owners, "selections", self.offset)
        self._stand_ins = Shelf(list)
        for id, name in self._chosen.items():
            if owners.of(name.rpartition(".")[0]) == id:
                self._stand_ins.add(id, name)

    def identity(self) -> Mapping[str, Any]:
        """A digest of the list."""
        with self._path.open("rb") as file:
            return {"content": hashlib.file_digest(file, "sha256").hexdigest()}

    def choose(self, example: Example, candidates: Sequence[Candidate]) -> Choice:
        """The candidate of that name; nothing for NONE; unscored where the list does not tell."""
        name = self._chosen.get(example.id)
        if name is None:
            return Choice(self.unlisted, reason=f"{self._path.name} selects nothing for this example")
        if name.rpartition(".")[0] == NONE or name == NONE:
            return Choice("empty", reason=f"selected: {NONE}")
        if example.id in self._stand_ins:
            return Choice("empty", reason=f"selected: {name}, the picture of nothing that stands for no phrase")
        index = next((i for i, candidate in enumerate(candidates) if candidate.name == name), None)
        if index is None:
            return Choice("unscored", reason=f"{self._path.name} selects {name}, which is no candidate")
        return Choice("candidate", index, f"selected: {name}")
