"""What a benchmark's folder is made of, and how its files are found among others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pixfound.errors import UserError


@dataclass(frozen=True)
class File:
    """One file of a benchmark.

    place: its path in the benchmark's folder, with slashes. names: what it is called in the dataset on the Hub or in
    a folder of copies, best first: a path that is one of them, or ends in one after a slash, is the file.
    repo: the dataset on the Hub that has it; None where no one has, so that it is copied or made.
    sha256: of the released file, where that is known. image_size: (height, width) of an image, where all are alike.
    optional: the benchmark does without it. instead: a file that serves as well. inside: the place of a file that
    holds it. whence: where to get it, if not from `repo`.
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
        """Whether it must be a picture."""
        return self.place.endswith(".jpg")


@dataclass(frozen=True)
class Dataset:
    """A benchmark that can be prepared.

    repos: the datasets on the Hub that it comes from. annotations: the files that are known beforehand.
    folders: the folders of pictures: how many, and where to get them. images: the pictures, and what comes with them,
    which the annotations in a folder name (UserError where these are missing or wrong).
    make: makes in a folder what can be made of the files that are there already; `lacking` tells which are wanted.
    load: reads the folder as a run would, and returns the number of examples; `count` are expected.
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
    """The paths, of a listing with slashes, that go by the best of a file's names, whatever their capitals."""
    every = list(paths)
    for name in file.names:
        wanted = name.casefold()
        found = [p for p in every if p.casefold() == wanted or p.casefold().endswith(f"/{wanted}")]
        if found:
            return found
    return []


def inside(path: str, owner: str) -> str:
    """The path itself; UserError where it leads out of the folder that it is to be put in."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0] or "\0" in path:
        raise UserError(f"{owner} has a file named {path!r}, which leads out of the folder; nothing is taken from it")
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    return _digest(path, hashlib.sha256())


def git_blob_of(path: Path) -> str:
    """The name that git gives to a file's content, which the Hub lists for files that are not in LFS."""
    return _digest(path, hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False))


def by_place(files: Iterable[File]) -> Mapping[str, File]:
    """The files by their places."""
    return {file.place: file for file in files}


def _digest(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: digest).hexdigest()
