"""Predictions that another program made: the way in for a model that cannot run here, and for the paper's own outputs.

Files are joined with the examples by id. Nothing here looks at an image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image

from pixfound.errors import UserError, nearest
from pixfound.greys import GREYS, Grey
from pixfound.interfaces import ImageInfo, TextVectors
from pixfound.masks import RLE
from pixfound.predictions.naming import MASK_NAMES, CandidateFile, Owners, candidate_files, files_in, mask_files
from pixfound.predictions.pixels import RESIZES, Resize, check_picture, read_mask, read_results
from pixfound.predictions.texts import Line, read_answers, read_meta
from pixfound.types import KINDS, Candidate, Generation, Kind, Phrase, Prompt

Missing = Literal["error", "unscored", "empty"]
Paths = Mapping[Kind, str | None]
Scored = list[tuple[RLE, float | None]]


@dataclass
class _Given:
    """What the files hold for one kind of prompt; None for what no file was given of."""

    answers: dict[str, str] | None = None
    masks: dict[str, Path] | dict[str, Scored] | None = None
    candidates: dict[str, list[CandidateFile]] | dict[str, Scored] | None = None
    meta: dict[str, dict[int, Line]] = field(default_factory=dict)


class Precomputed:
    """A model whose answers and masks are read from files. Each argument maps a kind of prompt (open, choice, ground).

    answers: JSON lines, see `pixfound.predictions.texts.read_answers`.
    masks: a folder of pictures, one each, named by `names`; or a COCO results file, whose masks of an image are united.
    candidates: a folder of pictures {number or stem}_{phrase:03d}_{mask:03d}.png; or a COCO results file, whose masks
        are candidates. For extraction=precomputed.
    meta: the candidates' phrases, see `pixfound.predictions.texts.read_meta`.
    names: patterns for `masks`, tried in order; the fields are {id}, {number} and {stem} of the image's file.
    offset: added to the answers' `question_id`.
    missing: an example without a file: `error` before anything is computed, `unscored`, or `empty`: nothing is shown.
        Of a candidate whose phrase has no line in `meta` the mask alone is known, unless that is an `error`.
    resize: a mask of another size than the image: `error`, the `nearest` pixels, or `linear` as in the paper's code.
    grey: what is inside of a mask in grey: what is over the `threshold` of 127, or `levels`, see `pixfound.greys`.
    """

    needs_image = False
    captures = False
    runtime_options = ("answers", "masks", "candidates", "meta")  # paths; `identity` has what they hold

    def __init__(
        self,
        answers: Paths | None = None,
        masks: Paths | None = None,
        candidates: Paths | None = None,
        meta: Paths | None = None,
        names: Sequence[str] = MASK_NAMES,
        offset: int = 0,
        missing: Missing = "error",
        resize: Resize = "error",
        grey: Grey = "threshold",
    ) -> None:
        if grey not in GREYS:
            raise UserError(f"model.grey={grey}: must be {' or '.join(GREYS)}")
        if missing not in get_args(Missing):
            raise UserError(f"model.missing={missing}: must be {', '.join(get_args(Missing))}")
        if resize not in RESIZES:
            raise UserError(f"model.resize={resize}: must be {' or '.join(RESIZES)}")
        self._paths = {
            "answers": _known("answers", answers),
            "masks": _known("masks", masks),
            "candidates": _known("candidates", candidates),
            "meta": _known("meta", meta),
        }
        if not any(self._paths.values()):
            raise UserError("model=precomputed: give predictions, as model.masks.ground=DIR or model.answers.open=FILE")
        for kind in self._paths["meta"]:
            if kind not in self._paths["candidates"]:
                raise UserError(f"model.meta.{kind}: describes candidates; give their folder, model.candidates.{kind}")
        self.names, self.offset, self.missing = tuple(names), offset, missing
        self.resize, self.grey = resize, grey
        self._given: dict[Kind, _Given] = {}

    def index(self, images: Mapping[str, ImageInfo]) -> None:
        """Join every file with the examples; the masks themselves are decoded one by one when they are needed."""
        owners = Owners(images)
        for kind in KINDS:
            given = _Given()
            for what, paths in self._paths.items():
                if kind in paths:
                    setattr(given, what, self._read(what, paths[kind], owners, f"model.{what}.{kind}"))
                    if self.missing == "error" and what != "meta":
                        _require(getattr(given, what), owners.images, f"model.{what}.{kind}={paths[kind]}")
            if self.missing == "error":
                self._check_phrases(given, kind)
            self._check_pictures(given, kind, owners.images)
            self._given[kind] = given

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        """What the files hold for each prompt; raises ValueError for a picture that cannot be read as a mask."""
        return [
            self._generation(prompt.kind, prompt.example_id, (image.height, image.width)) for image, prompt in requests
        ]

    def vectors(self) -> TextVectors:
        """There are none."""
        raise UserError(
            "model=precomputed has no word vectors: choose by the similarity that came with the candidates "
            "(extraction.selectors.similarity.source=given), or by spaCy's (source=spacy)"
        )

    def identity(self) -> Mapping[str, Any]:
        """A digest of every file's name and content, for each kind of prompt; never where they lie."""
        return {f"{what}.{kind}": digest for (what, kind), digest in self._digests.items()}

    @cached_property
    def _digests(self) -> dict[tuple[str, str], str]:
        found: dict[tuple[str, str], str] = {}
        for what, paths in self._paths.items():
            for kind, path in paths.items():
                digest = hashlib.sha256()
                for file in [path] if path.is_file() else files_in(path, f"model.{what}.{kind}"):
                    digest.update(f"{file.name if path.is_dir() else ''}\0".encode())
                    digest.update(hashlib.sha256(file.read_bytes()).digest())
                found[what, kind] = digest.hexdigest()
        return found

    def _read(self, what: str, path: Path, owners: Owners, key: str) -> Any:
        if what == "answers":
            return read_answers(path, owners, key, self.offset)
        if what == "meta":
            return read_meta(path, owners, key)
        if path.suffix == ".json":
            return read_results(path, owners, key)
        return mask_files(path, owners, self.names, key) if what == "masks" else candidate_files(path, owners, key)

    def _check_phrases(self, given: _Given, kind: Kind) -> None:
        """Every candidate of a phrase must have its line, where there is meta text."""
        path = self._paths["meta"].get(kind)
        for id, files in (given.candidates or {}).items() if path else ():
            for file in files:
                if not isinstance(file, CandidateFile) or file.phrase is None:
                    continue
                if file.phrase not in given.meta.get(id, {}):
                    raise UserError(
                        f"{path}: has no line for phrase {file.phrase} of example {id}, of which there is "
                        f"{file.path.name}; add it, take the file away, or do without the phrase: model.missing=empty"
                    )

    def _check_pictures(self, given: _Given, kind: Kind, images: Mapping[str, ImageInfo]) -> None:
        """Every picture must be one, and of its image's size: told by its header and check sums, not by its pixels."""
        for id, info in images.items():
            mask = (given.masks or {}).get(id)
            if isinstance(mask, Path):
                check_picture(mask, info.size, self.resize, f"model.masks.{kind}")
            for file in (given.candidates or {}).get(id, []):
                if isinstance(file, CandidateFile):
                    check_picture(file.path, info.size, self.resize, f"model.candidates.{kind}")

    def _generation(self, kind: Kind, id: str, size: tuple[int, int]) -> Generation:
        given = self._given[kind]
        lines = given.meta.get(id, {})
        text = (given.answers or {}).get(id) or next((line.text for line in lines.values() if line.text), None)
        masks, candidates = self._masks(given, id, size), self._candidates(given, id, size, text or "")
        unanswered = ""
        if text is None and id not in (given.answers or {}):
            unanswered = f"model.answers.{kind} {'has no answer of this example' if given.answers else 'is not given'}"
        ungrounded = ""
        if masks is None and candidates is None:
            lacks = given.masks is not None or given.candidates is not None
            ungrounded = f"model.masks.{kind} and model.candidates.{kind} " + (
                "have no file of this example" if lacks else "are not given"
            )
        return Generation(
            text or "",
            size,
            masks=tuple(masks or ()),
            candidates=tuple(candidates or ()),
            unanswered=unanswered,
            ungrounded=ungrounded,
        )

    def _masks(self, given: _Given, id: str, size: tuple[int, int]) -> list[RLE] | None:
        """The masks of an example; None where there is neither a file nor an agreement to take that for empty."""
        if given.masks is None or id not in given.masks:
            return [] if given.masks is not None and self.missing == "empty" else None
        found = given.masks[id]
        return (
            [read_mask(found, size, self.resize, self.grey)] if isinstance(found, Path) else [mask for mask, _ in found]
        )

    def _candidates(self, given: _Given, id: str, size: tuple[int, int], text: str) -> list[Candidate] | None:
        if given.candidates is None or id not in given.candidates:
            return [] if given.candidates is not None and self.missing == "empty" else None
        found: list[Candidate] = []
        for entry in given.candidates[id]:
            if not isinstance(entry, CandidateFile):
                mask, score = entry
                found.append(Candidate(mask, score=score))
            elif entry.phrase is not None:
                line = given.meta.get(id, {}).get(entry.phrase)
                phrase = Phrase(line.phrase, line.head, line.span or _span(line.phrase, text)) if line else None
                mask = read_mask(entry.path, size, self.resize, self.grey)
                similarity = line.similarity if line else None
                found.append(Candidate(mask, phrase, similarity=similarity, name=entry.path.name))
        return found


def _known(what: str, paths: Paths | None) -> dict[Kind, Path]:
    """The paths that are given, by kind of prompt."""
    for kind in paths or ():
        if kind not in KINDS:
            raise UserError(f"model.{what}.{kind}: there is no such kind of prompt; {nearest(str(kind), KINDS)}")
    return {kind: Path(path).expanduser() for kind, path in (paths or {}).items() if path}


def _require(found: Mapping[str, Any], images: Mapping[str, ImageInfo], where: str) -> None:
    lacking = [id for id in images if id not in found]
    if lacking:
        shown = ", ".join(lacking[:5]) + (" ..." if len(lacking) > 5 else "")
        raise UserError(
            f"{where}: has nothing of {len(lacking)} of {len(images)} examples ({shown}); add it, or say what that "
            "means with model.missing=empty (nothing is shown) or model.missing=unscored"
        )


def _span(phrase: str, text: str) -> tuple[int, int]:
    """Where a phrase first stands in the answer; (0, 0) where it does not."""
    start = text.find(phrase)
    return (start, start + len(phrase)) if start >= 0 and phrase else (0, 0)
