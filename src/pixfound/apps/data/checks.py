"""Verification of a benchmark's folder: every file is present, has the expected bytes, and every image is readable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pixfound.apps.data.files import Dataset, File, sha256_of
from pixfound.apps.data.manifest import Entry, Manifest
from pixfound.errors import UserError
from pixfound.io.images import opened

_SHOWN = 10  # more files of a folder with the same problem are one line
_WORKERS = 8
MISSING = "missing"


@dataclass(frozen=True)
class Problem:
    """A problem of one file, and its remedy."""

    place: str
    what: str
    cure: str


def check_folder(dataset: Dataset, root: Path, manifest: Manifest) -> list[Problem]:
    """All problems of a folder; the benchmark itself is read last, and only if there are no other problems."""
    problems = check_files(dataset.annotations, root, manifest)
    try:
        problems += check_files(dataset.images(root), root, manifest)
    except UserError as error:
        if not problems:
            return [Problem("", str(error), "")]
        problems += unnamed_pictures(dataset, root)
    return problems or _check_content(dataset, root)


def unnamed_pictures(dataset: Dataset, root: Path) -> list[Problem]:
    """The folders that lack images, while the annotations with the images' names are missing."""
    found = []
    for folder, (count, source) in dataset.folders.items():
        there = sum(path.is_file() for path in (root / folder).glob("*.jpg"))
        if there < count:
            found.append(Problem(folder, f"{count - there} of {count} pictures are missing", f"get them from {source}"))
    return found


def check_files(files: Sequence[File], root: Path, manifest: Manifest) -> list[Problem]:
    """The problems of some files, in the order of the files."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        found = pool.map(lambda file: check_file(file, root, manifest), files)
        return [problem for problem in found if problem]


def check_file(file: File, root: Path, manifest: Manifest) -> Problem | None:
    """The problem of one file; None where there is none."""
    present = here(file, root)
    if present is None:
        return None if file.optional else Problem(file.place, MISSING, f"get it from {whence(file)}")
    again = f"take it from {whence(file)} again"
    wrong = wrong_bytes(present, root / present.place, manifest.files.get(present.place))
    return Problem(present.place, wrong, again) if wrong else None


def here(file: File, root: Path) -> File | None:
    """The file, or its alternative, whichever exists; None where neither does."""
    if (root / file.place).is_file():
        return file
    return here(file.instead, root) if file.instead else None


def wrong_bytes(file: File, path: Path, entry: Entry | None) -> str:
    """The problem of an existing file's bytes; "" where none is known.

    entry: the file's entry in the manifest, which may have been allowed to differ from the released file.
    """
    try:
        size = path.stat().st_size
        if entry and size != entry.size:
            return f"has {size} bytes, not the {entry.size} that it was prepared with"
        if not size:
            return "is empty"
        expected = entry.sha256 if entry else file.sha256
        if expected and (digest := sha256_of(path)) != expected:
            known = "that it was prepared with" if entry else "of the released file"
            return f"has the sha256 {digest[:12]}..., not the {expected[:12]}... {known}"
        return wrong_picture(path, file.image_size) if file.is_image and not expected else ""
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def wrong_picture(path: Path, size: tuple[int, int] | None) -> str:
    """The problem of an image: not fully decodable, or not of `size`, (height, width); "" where there is none."""
    try:
        with opened(path) as picture:
            picture.load()
            found = (picture.height, picture.width)
    except OSError as error:
        reason = str(error).replace(str(path), path.name)
        return f"is no readable picture ({reason})"
    if size and found != size:
        return f"is {found[1]} x {found[0]} pixels, not {size[1]} x {size[0]}"
    return ""


def whence(file: File) -> str:
    """The source of a file, in words."""
    return file.whence or (f"https://huggingface.co/datasets/{file.repo}" if file.repo else "your copies")


def lines(problems: Iterable[Problem], root: Path) -> list[str]:
    """One line for each problem, with the file's path on disk; many equal ones of a folder are one line."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        kind = "" if problem.what == MISSING else problem.what
        groups.setdefault((str(PurePosixPath(problem.place).parent), kind, problem.cure), []).append(problem)
    found = []
    for (folder, _, _), alike in groups.items():
        first = alike[0]
        if len(alike) > _SHOWN:
            names = ", ".join(PurePosixPath(p.place).name for p in alike[:3])
            found.append(f"{root / folder}: {len(alike)} files are {first.what} ({names} ...); {first.cure}")
            continue
        for p in alike:
            place = f"{root / p.place}: " if p.place else ""
            found.append(f"{place}{p.what}" + (f"; {p.cure}" if p.cure else ""))
    return found


def _check_content(dataset: Dataset, root: Path) -> list[Problem]:
    try:
        count = dataset.load(root)
    except UserError as error:
        return [Problem("", str(error), "")]
    if count != dataset.count:
        return [Problem("", f"{root}: has {count} examples, not {dataset.count}", "")]
    return []
