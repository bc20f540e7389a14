"""Predictions of another program for one kind of prompt, as its files have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pixfound.errors import UserError
from pixfound.io.grayscale_masks import Grey
from pixfound.io.predictions.masks import Resize, Scored, check_picture, read_mask, read_results
from pixfound.io.predictions.naming import CandidateFile, Owners, candidate_files, mask_files
from pixfound.io.predictions.texts import Line, read_answers, read_meta
from pixfound.types import Candidate, Generation, Kind, Phrase
from pixfound.types.masks import RLE

Missing = Literal["error", "unscored", "empty"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Options for reading files: the arguments of these names of `pixfound.models.precomputed.Precomputed`."""

    names: Sequence[str]
    offset: int
    missing: Missing
    resize: Resize
    grey: Grey
    least_score: float | None


class Given:
    """The files of one kind of prompt, joined with the examples. Masks are decoded one by one when they are needed.

    paths: by what they hold, `answers`, `masks`, `candidates` and `meta`; where a path is not given, what it would hold
    is None. Raises UserError where the files do not fit the examples, or a picture is none of its image's size.
    """

    def __init__(self, kind: Kind, paths: Mapping[str, Path], reading: Reading, owners: Owners) -> None:
        self.kind, self._paths, self._reading = kind, paths, reading
        self.answers: Mapping[str, str] | None = self._read("answers", owners)
        self.masks: Mapping[str, Path] | Mapping[str, Scored] | None = self._read("masks", owners)
        self.candidates: Mapping[str, list[CandidateFile]] | Mapping[str, Scored] | None = self._read(
            "candidates", owners
        )
        self.meta: Mapping[str, Mapping[int, Line]] = self._read("meta", owners) or {}
        if reading.missing == "error" and "meta" in paths:
            self._check_phrases()
        self._check_pictures(owners)

    def generation(self, id: str, size: tuple[int, int]) -> Generation:
        """All of an example with an image of `size` (H, W); ValueError for a picture that is no readable mask."""
        lines = self.meta.get(id, {})
        answer = self.answers.get(id) if self.answers is not None else None
        text = answer if answer is not None else next((line.text for line in lines.values() if line.text), None)
        scored, candidates = self._masks(id, size), self._candidates(id, size, text or "", lines)
        unanswered = ""
        if text is None:
            reason = "has no answer of this example" if self.answers is not None else "is not given"
            unanswered = f"model.answers.{self.kind} {reason}"
        ungrounded = ""
        may_hold_boxes = self.kind == "ground" and answer is not None  # boxes may be written in it
        if scored is None and candidates is None and not may_hold_boxes:
            has_files = self.masks is not None or self.candidates is not None
            reason = "have no file of this example" if has_files else "are not given"
            ungrounded = f"model.masks.{self.kind} and model.candidates.{self.kind} {reason}"
        return Generation(
            text or "",
            size,
            masks=tuple(mask for mask, _ in scored or ()),
            mask_scores=tuple(score for _, score in scored or ()),
            candidates=tuple(candidates or ()),
            unanswered=unanswered,
            ungrounded=ungrounded,
        )

    def has_candidate(self, id: str, name: str) -> bool:
        """Return True if a file of that name is about an example, even one that says that there is no phrase."""
        return any(
            isinstance(file, CandidateFile) and file.path.name == name for file in (self.candidates or {}).get(id, [])
        )

    def _masks(self, id: str, size: tuple[int, int]) -> Scored | None:
        """The masks of an example with their scores; None without a file, unless that is agreed to mean empty."""
        if self.masks is None:
            return None
        entry = self.masks.get(id)
        if entry is None:
            return [] if self._reading.missing == "empty" else None
        if isinstance(entry, Path):
            return [(self._decoded(entry, size), None)]
        least = self._reading.least_score
        return [(mask, score) for mask, score in entry if least is None or score is None or score >= least]

    def _candidates(
        self, id: str, size: tuple[int, int], text: str, lines: Mapping[int, Line]
    ) -> list[Candidate] | None:
        if self.candidates is None:
            return None
        entries = self.candidates.get(id)
        if entries is None:
            return [] if self._reading.missing == "empty" else None
        candidates: list[Candidate] = []
        for entry in entries:
            if not isinstance(entry, CandidateFile):
                mask, score = entry
                candidates.append(Candidate(mask, score=score))
            elif entry.phrase is not None:
                line = lines.get(entry.phrase)
                phrase = Phrase(line.phrase, line.head, line.span or _span(line.phrase, text)) if line else None
                mask = self._decoded(entry.path, size)
                similarity = line.similarity if line else None
                candidates.append(Candidate(mask, phrase, similarity=similarity, name=entry.path.name))
        return candidates

    def _decoded(self, path: Path, size: tuple[int, int]) -> RLE:
        return read_mask(path, size, self._reading.resize, self._reading.grey)

    def _read(self, field: str, owners: Owners) -> Any:
        path, key = self._paths.get(field), f"model.{field}.{self.kind}"
        if path is None:
            return None
        by_id: Mapping[str, Any]
        if field == "answers":
            by_id = read_answers(path, owners, key, self._reading.offset)
        elif field == "meta":
            return read_meta(path, owners, key)
        elif _holds_results(path):
            by_id = read_results(path, owners, key)
        elif field == "masks":
            by_id = mask_files(path, owners, self._reading.names, key)
        else:
            by_id = candidate_files(path, owners, key)
        if self._reading.missing == "error":
            _require(by_id, owners, f"{key}={path}")
        return by_id

    def _check_phrases(self) -> None:
        """Every candidate of a phrase must have its line."""
        for id, files in (self.candidates or {}).items():
            for file in files:
                if not isinstance(file, CandidateFile) or file.phrase is None:
                    continue
                if file.phrase not in self.meta.get(id, {}):
                    raise UserError(
                        f"{self._paths['meta']}: has no line for phrase {file.phrase} of example {id}, of which there "
                        f"is {file.path.name}; add it, take the file away, or do without the phrase: "
                        "model.missing=empty"
                    )

    def _check_pictures(self, owners: Owners) -> None:
        """Every picture must be one, and of its image's size: as its header and check sums say; no pixel is decoded."""
        for field, by_id in (("masks", self.masks), ("candidates", self.candidates)):
            if by_id is None or _holds_results(self._paths[field]):
                continue
            for id, info in owners.present():
                entry: Any = by_id.get(id, [])
                for path in [entry] if isinstance(entry, Path) else [file.path for file in entry]:
                    check_picture(path, info.size, self._reading.resize, f"model.{field}.{self.kind}")


def _holds_results(path: Path) -> bool:
    """Return True if masks or candidates are a COCO results file, and no folder of pictures."""
    return path.suffix == ".json"


def _require(by_id: Mapping[str, Any], owners: Owners, where: str) -> None:
    """Raise the UserError that counts the examples of which there is nothing."""
    total = sum(1 for _ in owners.present())
    if len(by_id) == total:
        return
    missing = (id for id, _ in owners.present() if id not in by_id)
    first_ids = [id for id, _ in zip(missing, range(6), strict=False)]
    raise UserError(
        f"{where}: has nothing of {total - len(by_id)} of {total} examples "
        f"({', '.join(first_ids[:5])}{' ...' if len(first_ids) > 5 else ''}); add it, or say what that "
        "means with model.missing=empty (nothing is shown) or model.missing=unscored"
    )


def _span(phrase: str, text: str) -> tuple[int, int]:
    """Span (start, end) of a phrase's first occurrence in the answer, in characters; (0, 0) where it has none."""
    start = text.find(phrase)
    return (start, start + len(phrase)) if start >= 0 and phrase else (0, 0)
