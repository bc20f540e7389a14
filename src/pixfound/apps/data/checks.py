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
    """A problem of a file or folder, by its path in the benchmark's folder, and its remedy."""

    path: str
    reason: str
    remedy: str = ""


def check_folder(dataset: Dataset, root: Path, manifest: Manifest) -> list[Problem]:
    """All problems of a folder; the benchmark itself is read last, and only if there are no other problems."""
    problems = check_files(dataset.annotations, root, manifest)
    try:
        problems += check_files(dataset.images(root), root, manifest)
        if not problems and (count := dataset.load(root)) != dataset.count:
            return [Problem("", f"{root}: has {count} examples, not {dataset.count}")]
    except UserError as error:
        return [*problems, *unnamed_images(dataset, root)] if problems else [Problem("", str(error))]
    return problems


def check_manifest(root: Path, manifest: Manifest) -> list[Problem]:
    """The problems of the files that were prepared: they are there, with the bytes that they had."""

    def check(entry: tuple[str, Entry]) -> Problem | None:
        name, prepared = entry
        if not (root / name).is_file():
            return Problem(name, MISSING, f"get it from {prepared.source}")
        wrong = wrong_bytes(File((name,), (name,)), root / name, prepared)
        return Problem(name, wrong, f"get it from {prepared.source} again") if wrong else None

    with ThreadPoolExecutor(_WORKERS) as pool:
        return [problem for problem in pool.map(check, manifest.files.items()) if problem]


def unnamed_images(dataset: Dataset, root: Path) -> list[Problem]:
    """The folders that lack images, for use where the annotations with the images' names are missing."""
    problems = []
    for folder, (count, source) in dataset.folders.items():
        present = sum(path.is_file() for path in (root / folder).glob("*.jpg"))
        if present < count:
            reason = f"{count - present} of {count} pictures are missing"
            problems.append(Problem(folder, reason, f"get them from {source}"))
    return problems


def check_files(files: Sequence[File], root: Path, manifest: Manifest) -> list[Problem]:
    """The problems of some files, in the order of the files."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        return [problem for problem in pool.map(lambda file: check_file(file, root, manifest), files) if problem]


def check_file(file: File, root: Path, manifest: Manifest) -> Problem | None:
    """The problem of one file; None where there is none."""
    name = file.in_folder(root)
    if name is None:
        return None if file.optional else Problem(file.path, MISSING, file.remedy)
    wrong = wrong_bytes(file, root / name, manifest.files.get(name))
    return Problem(name, wrong, f"{file.remedy} again") if wrong else None


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
            origin = "that it was prepared with" if entry else "of the released file"
            return f"has the sha256 {digest[:12]}..., not the {expected[:12]}... {origin}"
        return wrong_picture(path, file.image_size) if file.is_image and not expected else ""
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def wrong_picture(path: Path, size: tuple[int, int] | None) -> str:
    """The problem of an image: not fully decodable, or not of `size`, (height, width); "" where there is none."""
    try:
        with opened(path) as picture:
            picture.load()
            actual = (picture.height, picture.width)
    except OSError as error:
        reason = str(error).replace(str(path), path.name)
        return f"is no readable picture ({reason})"
    if size and actual != size:
        return f"is {actual[1]} x {actual[0]} pixels, not {size[1]} x {size[0]}"
    return ""


def lines(problems: Iterable[Problem], root: Path) -> list[str]:
    """One line for each problem, with the file's path on disk; many equal ones of a folder are one line."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        reason = "" if problem.reason == MISSING else problem.reason
        groups.setdefault((str(PurePosixPath(problem.path).parent), reason, problem.remedy), []).append(problem)
    texts = []
    for (folder, _, remedy), alike in groups.items():
        if len(alike) > _SHOWN:
            names = ", ".join(PurePosixPath(problem.path).name for problem in alike[:3])
            texts.append(f"{root / folder}: {len(alike)} files are {alike[0].reason} ({names} ...); {remedy}")
            continue
        for problem in alike:
            path = f"{root / problem.path}: " if problem.path else ""
            texts.append(f"{path}{problem.reason}" + (f"; {remedy}" if remedy else ""))
    return texts
