"""Description of a benchmark's files, and matching of their names in listings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pixfound.errors import UserError


@dataclass(frozen=True)
class File:
    """One file of a benchmark.

    place: its path in the benchmark's folder, with slashes. names: its names in the dataset on the Hub or in a folder
    of copies, best first: a path equal to one of them, or ending in one after a slash, is the file.
    repo: the dataset on the Hub that has it; None where none has, so that it is copied or made.
    sha256: of the released file, where it is known. image_size: (height, width) of an image, where all are equal.
    optional: the benchmark works without it. instead: an alternative file. inside: the path of a file that contains
    it. whence: the source of the file, if not `repo`.
    """

    place: str
    names: tuple[str, ...]
    repo: str | None = None
    sha256: str | None = None
    image_size: tuple[int, int] | None = None
    optional: bool = False
    instead: File | None = None
    inside: str | None = None
    whence: str = ""

    @property
    def is_image(self) -> bool:
        """True if it must be an image."""
        return self.place.endswith(".jpg")


@dataclass(frozen=True)
class Dataset:
    """A benchmark that can be prepared.

    repos: its source datasets on the Hub. annotations: the files that are known in advance.
    folders: the folders of images, with the number of images and their source. images: lists the images, and the files
    that belong to them, from the annotations in a folder (UserError where these are missing or wrong).
    make: creates the files in `lacking` in a folder, as far as its existing files allow.
    load: reads the folder as a run does, and returns the number of examples; `count` is the expected number.
    """

    name: str
    repos: tuple[str, ...]
    annotations: tuple[File, ...]
    folders: Mapping[str, tuple[int, str]]
    images: Callable[[Path], tuple[File, ...]]
    make: Callable[[Path, tuple[File, ...]], None]
    load: Callable[[Path], int]
    count: int


def find(file: File, paths: Iterable[str]) -> list[str]:
    """The paths of a listing (with slashes) that match the best of a file's names, ignoring case."""
    every = list(paths)
    for name in file.names:
        wanted = name.casefold()
        found = [p for p in every if p.casefold() == wanted or p.casefold().endswith(f"/{wanted}")]
        if found:
            return found
    return []


def inside(path: str, owner: str) -> str:
    """The path unchanged; raises UserError where it leads out of its target folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0] or "\0" in path:
        raise UserError(f"{owner} has a file named {path!r}, which leads out of the folder; nothing is taken from it")
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    return _digest(path, hashlib.sha256())


def git_blob_of(path: Path) -> str:
    """The git blob id of a file's content, listed by the Hub for files that are not in LFS."""
    return _digest(path, hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False))


def by_place(files: Iterable[File]) -> Mapping[str, File]:
    """The files by their paths in the benchmark's folder."""
    return {file.place: file for file in files}


def _digest(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: digest).hexdigest()
