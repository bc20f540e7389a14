"""Joining files with examples by what is in their names, never by their order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from string import Formatter

from pixfound.errors import UserError, nearest
from pixfound.interfaces import ImageInfo

MASK_NAMES = ("{number:05d}.png", "output{number:05d}.png", "{stem}.png", "{stem}.jpg", "{id}.png")
_CANDIDATE = re.compile(r"(?P<owner>.+)_(?P<phrase>\d{3,})_(?P<mask>\d{3,})\.png")
_PADDED = 5  # digits of the original's padded numbers
_NO_PHRASE = re.compile(r"(?P<owner>.+)\.png")


@dataclass(frozen=True, slots=True)
class CandidateFile:
    """A file of a candidate mask. phrase, mask: its numbers, from 0; None for an example without any phrase."""

    path: Path
    phrase: int | None
    mask: int | None


class Owners:
    """The examples by everything that a file may call them: their id, its number, or the stem of their image.

    images: the run's examples by id. Those that are left out are known as well, and what files say of them is ignored.
    """

    def __init__(self, images: Mapping[str, ImageInfo]) -> None:
        self.images = images
        self._aliases: dict[str, set[str]] = {}  # ids by the other names of each
        for id, info in images.items():
            for name in {str(int(id)) if id.isdecimal() else id, info.stem} - {id, ""}:
                if name not in images:
                    self._aliases.setdefault(name, set()).add(id)

    def present(self) -> Iterator[tuple[str, ImageInfo]]:
        """The run's examples by id, without those that it leaves out."""
        return ((id, info) for id, info in self.images.items() if not info.left_out)

    def of(self, name: str) -> str | None:
        """The id of the run's example that a name means; None for none, or for several."""
        return self._unless_left_out(self._resolve(name))

    def find(self, name: str, where: str) -> str | None:
        """Return the id of the run's example that a name means; None for one that the run leaves out.

        Raises UserError, unlike `of`, for a name that means no example or may mean several.
        """
        id = self._resolve(name)
        if id is None:
            problem = "may mean several examples" if name in self._aliases else "is no example of this benchmark"
            raise UserError(
                f"{where}: {name!r} {problem}; they are called {self._called()}: put it right, or take it away"
            )
        return self._unless_left_out(id)

    def know(self, name: str) -> bool:
        """Return True if a name means one example, which may be left out."""
        return self._resolve(name) is not None

    def _unless_left_out(self, id: str | None) -> str | None:
        return None if id is None or self.images[id].left_out else id

    def _resolve(self, name: str) -> str | None:
        padded = name.isdecimal() and len(name) <= _PADDED  # a longer number is the name of an image, as COCO has them
        return self._exact(name) or (self._exact(str(int(name))) if padded else None) or None

    def _exact(self, name: str) -> str | None:
        """The example of just that name; two examples of one image differ by their ids only."""
        if name in self.images:
            return name
        ids = self._aliases.get(name, set())
        return next(iter(ids)) if len(ids) == 1 else None

    def _called(self) -> str:
        id, info = next(self.present())
        return repr(id) + (f" or {info.stem!r}" if info.stem not in ("", id) else "") + " and so on"


def mask_files(folder: Path, owners: Owners, names: Sequence[str], key: str) -> Mapping[str, Path]:
    """The file of each example that has one, by the first of the names that any file has.

    names: patterns with {id}, {number} (the id as a number) and {stem} (of the image's file). key: of the folder.
    """
    existing = names_in(folder, key)
    for pattern in names:
        files: dict[str, Path] = {}
        matched: set[str] = set()
        for id, info in owners.images.items():
            name = _named(pattern, id, info)
            if name is not None and name in existing:
                matched.add(name)
                if not info.left_out:
                    files[id] = folder / name
        if files:
            _check_rest(sorted(existing - matched), pattern, f"{key}={folder}")
            return files
    first = min(existing, default="no file at all")
    raise UserError(
        f"{key}={folder}: no file is named after an example: tried {', '.join(names)}, and the folder has {first}; "
        "name the files so, or say how they are named with model.names=[PATTERN]"
    )


def candidate_files(folder: Path, owners: Owners, key: str) -> Mapping[str, list[CandidateFile]]:
    """The candidates of each example, in the order of their phrases and masks.

    Files are named {number or stem}_{phrase:03d}_{mask:03d}.png; {number or stem}.png stands for "no phrase".
    """
    where = f"{key}={folder}"
    candidates: dict[str, list[CandidateFile]] = {}
    existing = names_in(folder, key)
    unknown: tuple[str, str] | None = None
    for name in sorted(existing):
        match = _CANDIDATE.fullmatch(name) or _NO_PHRASE.fullmatch(name)
        id = match and owners.of(match["owner"])
        if match and id:
            phrase, mask = map(int, match.groups()[1:]) if match.re is _CANDIDATE else (None, None)
            candidates.setdefault(id, []).append(CandidateFile(folder / name, phrase, mask))
        elif match and unknown is None and not owners.know(match["owner"]):
            unknown = match["owner"], name
    if not candidates:
        first = min(existing, default="no file at all")
        raise UserError(
            f"{where}: no file is named NUMBER_PHRASE_MASK.png (as 12_000_002.png) after an example of the "
            f"benchmark; the folder has {first}"
        )
    if unknown is not None:
        owners.find(unknown[0], f"{where}: file {unknown[1]}")
    return {id: _in_order(files, where) for id, files in candidates.items()}


def _in_order(files: list[CandidateFile], where: str) -> list[CandidateFile]:
    """Candidates of one example by phrase and mask; the UserError that names two files of one candidate."""
    ordered = sorted(files, key=lambda f: (f.phrase is None, f.phrase or 0, f.mask or 0))
    for first, second in pairwise(ordered):
        if (first.phrase, first.mask) == (second.phrase, second.mask):
            raise UserError(
                f"{where}: {first.path.name} and {second.path.name} are the same candidate; remove one of them"
            )
        if second.phrase is None:
            raise UserError(
                f"{where}: {second.path.name} says that there is no phrase, but there is {first.path.name}; remove one"
            )
    return ordered


def _check_rest(names: Iterable[str], pattern: str, where: str) -> None:
    """Raise the UserError that names a file whose name follows the pattern, but which no example has."""
    form = ""
    for text, field, _, _ in Formatter().parse(pattern):
        form += re.escape(text) + ("" if field is None else r"\d+" if field == "number" else ".+")
    for name in names:
        if re.fullmatch(form, name):
            raise UserError(
                f"{where}: file {name} is named {pattern!r}, but no example of this benchmark is called so; "
                "examples are counted as their ids are: name it right, or take it away"
            )


def names_in(folder: Path, key: str) -> set[str]:
    """The names of the files in a folder."""
    if not folder.is_dir():
        raise UserError(f"{key}={folder}: there is no such folder; give the one that holds the predicted masks")
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_file()}


def inside(name: str, where: str) -> str:
    """A file name from data, unless it leads out of its folder."""
    if PurePath(name).name != name or name in ("", ".", ".."):
        raise UserError(f"{where}: file name {name!r} is no plain name; names must stay inside their folder")
    return name


def _named(pattern: str, id: str, info: ImageInfo) -> str | None:
    """The file name of an example by a pattern; None where it lacks what the pattern asks for."""
    fields: dict[str, str | int] = {"id": id}
    if id.isdecimal():
        fields["number"] = int(id)
    if info.stem:
        fields["stem"] = info.stem
    try:
        return pattern.format(**fields)
    except KeyError as error:
        if error.args[0] in ("number", "stem"):
            return None
        hint = nearest(str(error.args[0]), ("id", "number", "stem"))
        raise UserError(f"model.names: {pattern!r}: there is no field {{{error.args[0]}}}; {hint}") from error
    except (ValueError, IndexError) as error:
        raise UserError(f"model.names: {pattern!r} is no pattern ({error}); write it as {MASK_NAMES[0]!r}") from error
