"""Joining files with examples by what is in their names, never by their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pixfound.errors import UserError, nearest
from pixfound.interfaces import ImageInfo

MASK_NAMES = ("{number:05d}.png", "output{number:05d}.png", "{stem}.png", "{stem}.jpg", "{id}.png")
_CANDIDATE = re.compile(r"(?P<owner>.+)_(?P<phrase>\d{3,})_(?P<mask>\d{3,})\.png")
_NO_PHRASE = re.compile(r"(?P<owner>.+)\.png")


@dataclass(frozen=True)
class CandidateFile:
    """A file of a candidate mask. phrase, mask: its numbers, from 0; None for an example without any phrase."""

    path: Path
    phrase: int | None
    mask: int | None


class Owners:
    """The examples by everything that a file may call them: their id, its number, or the stem of their image."""

    def __init__(self, images: Mapping[str, ImageInfo]) -> None:
        self.images = images
        self._ids: dict[str, str] = {}
        for id, info in images.items():
            for name in {id, id.lstrip("0") if id.isdecimal() else id, info.stem} - {""}:
                if self._ids.setdefault(name, id) != id:  # two examples of one image: only ids tell them apart
                    self._ids[name] = ""
        self._ids |= {id: id for id in images}

    def of(self, name: str) -> str | None:
        """The id of the example that a name means; None for none, or for several."""
        return self._ids.get(name) or self._ids.get(name.lstrip("0")) or None


def mask_files(folder: Path, owners: Owners, names: Sequence[str], key: str) -> dict[str, Path]:
    """The file of each example that has one, by the first of the names that any file has.

    names: patterns with {id}, {number} (the id as a number) and {stem} (of the image's file). key: of the folder.
    """
    there = {path.name: path for path in files_in(folder, key)}
    for pattern in names:
        found = {}
        for id, info in owners.images.items():
            name = _named(pattern, id, info)
            if name is not None and name in there:
                found[id] = there[name]
        if found:
            return found
    first = min(there, default="no file at all")
    raise UserError(
        f"{key}={folder}: no file is named after an example: tried {', '.join(names)}, and the folder has {first}; "
        "name the files so, or say how they are named with model.names=[PATTERN]"
    )


def candidate_files(folder: Path, owners: Owners, key: str) -> dict[str, list[CandidateFile]]:
    """The candidates of each example, in the order of their phrases and masks.

    Files are named {number or stem}_{phrase:03d}_{mask:03d}.png; {number or stem}.png stands for "no phrase".
    """
    found: dict[str, list[CandidateFile]] = {}
    there = files_in(folder, key)
    for path in there:
        match = _CANDIDATE.fullmatch(path.name) or _NO_PHRASE.fullmatch(path.name)
        id = match and owners.of(match["owner"])
        if match and id:
            phrase, mask = (int(number) for number in match.groups()[1:]) if match.re is _CANDIDATE else (None, None)
            found.setdefault(id, []).append(CandidateFile(path, phrase, mask))
    if not found:
        first = min((path.name for path in there), default="no file at all")
        raise UserError(
            f"{key}={folder}: no file is named NUMBER_PHRASE_MASK.png (as 12_000_002.png) after an example of the "
            f"benchmark; the folder has {first}"
        )
    return {id: sorted(files, key=lambda f: (f.phrase is None, f.phrase, f.mask)) for id, files in found.items()}


def files_in(folder: Path, key: str) -> list[Path]:
    """The files of a folder, by name."""
    if not folder.is_dir():
        raise UserError(f"{key}={folder}: there is no such folder; give the one that holds the predicted masks")
    return sorted(path for path in folder.iterdir() if path.is_file())


def inside(name: str, where: str) -> str:
    """A file name from data, unless it leads out of its folder."""
    if PurePath(name).name != name or name in ("", ".", ".."):
        raise UserError(f"{where}: file name {name!r} is no plain name; names must stay inside their folder")
    return name


def one_each(ids: Iterable[tuple[str, str]]) -> None:
    """(example id, where it stands): raise the UserError that names the first id that stands twice."""
    seen: dict[str, str] = {}
    for id, where in ids:
        if id in seen:
            raise UserError(f"{where}: example {id} stands already at {seen[id]}; remove one of them")
        seen[id] = where


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
        known = nearest(str(error.args[0]), ("id", "number", "stem"))
        raise UserError(f"model.names: {pattern!r}: there is no field {{{error.args[0]}}}; {known}") from error
    except (ValueError, IndexError) as error:
        raise UserError(f"model.names: {pattern!r} is no pattern ({error}); write it as {MASK_NAMES[0]!r}") from error
