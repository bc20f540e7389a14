"""Choices read from files that another program wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pixfound.errors import UserError
from pixfound.interfaces import ImageInfo, Model, Selector
from pixfound.io.predictions.naming import Owners
from pixfound.io.predictions.texts import NONE, read_selections
from pixfound.models.precomputed import Precomputed
from pixfound.types import Candidate, Choice, Example, Kind, MaskKind

_KEY = "extraction.selectors.selected.selections"
_KINDS: tuple[Kind, ...] = ("open", "ground")  # kinds of prompt with mask selection


class Selected(Selector):
    """The candidate whose file is named for the example in a list of selections.

    selections: for each kind of prompt, open and ground, a list for its candidates: JSON lines, see
        `pixfound.io.predictions.texts.read_selections`. Examples of a kind without a list are unscored.
    offset: added to the lists' `question_id`.
    unlisted: the decision for an example that is not in the list: `unscored`, or `missing` as in the original, whose
        score is set by the scoring profile.
    """

    version = 2
    runtime_options = ("selections",)

    def __init__(
        self,
        model: Model,
        selections: Mapping[MaskKind, str | None],
        offset: int = 1,
        unlisted: Literal["unscored", "missing"] = "unscored",
    ) -> None:
        if not isinstance(model, Precomputed):
            raise UserError("extraction=precomputed_selected names files of candidates: it needs model=precomputed")
        self._paths = {kind: Path(path).expanduser() for kind, path in selections.items() if path}
        if not self._paths:
            raise UserError(f"extraction=precomputed_selected: give a judge's selections: {_KEY}.ground=FILE")
        self._model, self.offset, self.unlisted = model, offset, unlisted
        self._chosen: dict[Kind, Mapping[str, str]] = {}
        self._stand_ins: dict[Kind, set[str]] = {}  # examples of which the picture of no phrase is selected

    def bind_examples(self, images: Mapping[str, ImageInfo]) -> None:
        """Read the lists; raises UserError where none of a list's files is a candidate of its kind of prompt."""
        owners = Owners(images)
        for kind, path in self._paths.items():
            key = f"{_KEY}.{kind}"
            chosen = self._chosen[kind] = read_selections(path, owners, key, self.offset)
            self._stand_ins[kind] = {id for id, name in chosen.items() if owners.of(name.rpartition(".")[0]) == id}
            named = [(id, name) for id, name in chosen.items() if not _none(name)]
            if named and not any(self._model.has_candidate(kind, id, name) for id, name in named):
                id, name = named[0]
                raise UserError(
                    f"{key}={path}: names no file of model.candidates.{kind} (of example {id}: {name}); give the list "
                    f"that was made of these candidates, or {key}=null"
                )

    def identity(self) -> Mapping[str, Any]:
        """A digest of each list."""
        digests: dict[str, str] = {}
        for kind, path in self._paths.items():
            try:
                with path.open("rb") as file:
                    digests[kind] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise UserError(f"{_KEY}.{kind}={path}: cannot be read ({error.strerror}); give the file") from error
        return digests

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        """The listed candidate; `empty` for NONE; `unlisted` without an entry; `unscored` where it cannot be found."""
        if kind not in self._paths:
            return Choice("unscored", reason=f"{_KEY}.{kind} is not given")
        name, file = self._chosen[kind].get(example.id), self._paths[kind].name
        if name is None:
            return Choice(self.unlisted, reason=f"{file} selects nothing for this example")
        if _none(name):
            return Choice("empty", reason=f"selected: {NONE}")
        if example.id in self._stand_ins[kind]:
            return Choice("empty", reason=f"selected: {name}, the picture of nothing that stands for no phrase")
        index = next((i for i, candidate in enumerate(candidates) if candidate.name == name), None)
        if index is None:
            return Choice("unscored", reason=f"{file} selects {name}, which is no candidate")
        return Choice("candidate", index, f"selected: {name}")


def _none(name: str) -> bool:
    return NONE in (name, name.rpartition(".")[0])
