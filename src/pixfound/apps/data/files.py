"""Description of a benchmark's files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pixfound.errors import UserError


@dataclass(frozen=True)
class File:
    """One file of a benchmark.

    paths: its possible paths in the benchmark's folder, with slashes; `prepare` writes the first one with the suffix of
    the file that it found. names: its names in the dataset on the Hub or in a folder of copies, best first: a path
    equal to one of them, or ending in one after a slash, is the file.
    repo: the dataset on the Hub that has it; None where none has, so that it is copied or made.
    sha256: of the released file, where it is known. image_size: (height, width) of an image, where all are equal.
    optional: the benchmark works without it. made_from: path of the file that it can be made from.
    source: where to get it, if not from `repo`.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    repo: str | None = None
    sha256: str | None = None
    image_size: tuple[int, int] | None = None
    optional: bool = False
    made_from: str = ""
    source: str = ""

    @property
    def path(self) -> str:
        """The usual path in the benchmark's folder."""
        return self.paths[0]

    @property
    def is_image(self) -> bool:
        """True if it must be an image."""
        return self.path.endswith(".jpg")

    @property
    def remedy(self) -> str:
        """Advice where to get the file."""
        hub = f"https://huggingface.co/datasets/{self.repo}" if self.repo else "your copies"
        return f"get it from {self.source or hub}"

    def in_folder(self, root: Path) -> str | None:
        """Its path in a benchmark's folder; None where it is missing."""
        return next((path for path in self.paths if (root / path).is_file()), None)

    def matches(self, listing: Mapping[str, Sequence[Path]]) -> Sequence[Path]:
        """The paths of a listing that match the best of its names, ignoring case."""
        for name in self.names:
            end = f"/{name}".casefold()
            paths = listing.get(PurePosixPath(name).name.casefold(), ())
            if matches := [path for path in paths if path.as_posix().casefold().endswith(end)]:
                return matches
        return ()


@dataclass(frozen=True)
class Dataset:
    """A benchmark that can be prepared.

    annotations: the files that are known in advance. folders: the folders of images, with the number of images and
    their source. images: lists the images, and the files that belong to them, from the annotations in a folder
    (UserError where these are missing or wrong). make: creates the missing ones of some files in a folder, as far as
    its existing files allow. load: reads the folder as a run does, and returns the number of examples; `count` is the
    expected number.
    """

    name: str
    repos: tuple[str, ...]
    annotations: tuple[File, ...]
    folders: Mapping[str, tuple[int, str]]
    images: Callable[[Path], tuple[File, ...]]
    make: Callable[[Path, Sequence[File]], None]
    load: Callable[[Path], int]
    count: int


def inside(path: str, owner: str) -> str:
    """The path unchanged; raises UserError where it leads out of its target folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in parts[0] or "\0" in path:
        raise UserError(f"{owner} has a file named {path!r}, which leads out of the folder; correct it")
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def list_files(folder: Path) -> dict[str, list[Path]]:
    """The files below a folder by their names in lower case."""
    listing: dict[str, list[Path]] = {}
    for path in sorted(folder.absolute().rglob("*")):
        if path.is_file():
            listing.setdefault(path.name.casefold(), []).append(path)
    return listing
