"""Preparation of a benchmark: correct files stay, local copies are used, the rest is downloaded from the Hub.

The work is done in `.partial` inside the benchmark's folder: `hub/` has downloads, which a later run goes on with, and
`set/` the benchmark to be, made of links. Its files are moved to their places when all are complete and verified,
images before annotations, without which no run reads the folder.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pixfound.apps.data.checks import MISSING, Problem, check_folder, lines, unnamed_images, wrong_bytes
from pixfound.apps.data.files import Dataset, File, list_files, sha256_of
from pixfound.apps.data.hub import Unreachable, download
from pixfound.apps.data.manifest import NAME, Entry, Manifest, read_manifest
from pixfound.errors import UserError, nearest

WORK = ".partial"
_FOLDER, _COPIES = "the folder itself", "copies"


@dataclass(frozen=True)
class Prepared:
    """The result of a preparation.

    sources: number of files by source. notes: optional files that were left out, with the reason. was_complete: True if
    there was nothing to do.
    """

    manifest: Manifest
    sources: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    was_complete: bool = False


def prepare(
    dataset: Dataset,
    root: Path,
    copies: Sequence[Path] = (),
    revisions: Mapping[str, str] | None = None,
    allow_changed: bool = False,
) -> Prepared:
    """Bring a benchmark into its layout in `root`.

    copies: folders that are searched by file name before the Hub is asked. revisions: branch, tag or commit by dataset
    on the Hub. allow_changed: accept annotation files that differ from the released ones.
    Raises UserError with every missing file and its path where the dataset cannot be completed.
    """
    revisions = dict(revisions or {})
    for repo in revisions:
        if repo not in dataset.repos:
            names = nearest(repo, dataset.repos)
            raise UserError(f"--revision {repo}=...: {dataset.name} does not come from it; {names}")
    for folder in copies:
        if not folder.expanduser().is_dir():
            raise UserError(f"--from {folder}: there is no such folder; give the one that holds the copies")
    root = root.expanduser().resolve()
    if root.exists() and not root.is_dir():
        raise UserError(f"--root {root}: is a file; give a folder")
    old = read_manifest(root, dataset.name)
    pinned = {repo for repo, revision in revisions.items() if old.commits.get(repo) != revision}
    if old.files and not pinned and not check_folder(dataset, root, old):
        return Prepared(old, was_complete=True)
    with locked(root):
        work = _Preparation(dataset, root, [list_files(folder.expanduser()) for folder in copies], old, allow_changed)
        work.revisions, work.pinned = revisions, pinned
        work.collect(dataset.annotations)
        images = dataset.images(work.stage)
        work.collect(images)
        notes = work.check(images)
        manifest = work.manifest((*images, *dataset.annotations))
        work.place(manifest)
    return Prepared(manifest, work.counts(), notes)


@dataclass
class _Preparation:
    """State of one preparation.

    copies: the files of each folder of copies. stage: the folder of links. origin: source of each file in it, by path.
    refused: why a file that was found is not taken, by path. commits: of the datasets downloaded from.
    """

    dataset: Dataset
    root: Path
    copies: Sequence[Mapping[str, Sequence[Path]]]
    old: Manifest
    allow_changed: bool
    revisions: Mapping[str, str] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    origin: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)

    @property
    def stage(self) -> Path:
        return self.root / WORK / "set"

    def collect(self, files: Sequence[File]) -> None:
        """Put files into the stage; raises UserError with the names of the missing ones."""
        for take in (self._take_own, self._take_copies, self._download):
            take(files)
            self.dataset.make(self.stage, self._missing(files))
        if problems := self._problems(files):
            raise UserError(self._report(f"{self.dataset.name}: {len(problems)} files are missing", problems))

    def check(self, images: Sequence[File]) -> list[str]:
        """Raise UserError where the stage is wrong; returns notes on optional downloads that are left out as wrong."""
        dataset = replace(self.dataset, annotations=tuple(map(self._accepted, self.dataset.annotations)))
        problems = check_folder(dataset, self.stage, Manifest(""))
        notes = []
        for file in images if problems else ():
            if file.optional and self.origin.get(file.path) == file.repo:
                (self.stage / file.path).unlink()
                reason = problems[0].reason.replace(str(self.stage), str(self.root))
                notes.append(f"{file.path} of {self.origin.pop(file.path)} is left out: {reason}")
        if notes:
            problems = check_folder(dataset, self.stage, Manifest(""))
        if problems:
            raise UserError("\n".join([f"{self.dataset.name} is not right:", *lines(problems, self.root)]))
        return notes

    def manifest(self, files: Sequence[File]) -> Manifest:
        """The checksums of all files in the stage."""
        entries = {}
        for file in files:
            if name := file.in_folder(self.stage):
                path = self.stage / name
                entries[name] = Entry(path.stat().st_size, sha256_of(path), self.origin.get(name) or file.made_from)
        return Manifest(self.dataset.name, entries, {**self.old.commits, **self.commits})

    def place(self, manifest: Manifest) -> None:
        """Copy what is to be copied, then move the files to their places, and write the manifest last."""
        for name, origin in self.origin.items():
            if origin == _COPIES:
                part = self.stage / f"{name}.part"
                shutil.copyfile(self.stage / name, part)
                os.replace(part, self.stage / name)
        for name in manifest.files:
            path, target = self.stage / name, self.root / name
            source = path.readlink() if path.is_symlink() else path
            if source == target:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name}.part")  # on the disk of the target, which may be behind a link
            shutil.move(source, part)
            os.replace(part, target)
        part = self.root / f"{NAME}.part"
        part.write_text(manifest.to_json(), encoding="utf-8")
        os.replace(part, self.root / NAME)

    def counts(self) -> dict[str, int]:
        """The number of files by source."""
        sources = list(self.origin.values())
        return {source: sources.count(source) for source in dict.fromkeys(sources)}

    def _take_own(self, files: Sequence[File]) -> None:
        """Use the files of the benchmark's folder that are correct, but for datasets of which a revision is given."""
        for file in files:
            name = file.in_folder(self.root)
            if name and file.repo not in self.pinned:
                entry = self.old.files.get(name)
                wrong = wrong_bytes(self._accepted(file), self.root / name, entry)
                if wrong:
                    self.refused[file.path] = wrong
                else:
                    self._link(self.root / name, name, _FOLDER)

    def _take_copies(self, files: Sequence[File]) -> None:
        for listing in self.copies:
            self._take(files, listing, _COPIES)

    def _download(self, files: Sequence[File]) -> None:
        """Download what is missing from the datasets that have a file which is not optional."""
        missing = [file for file in self._missing(files) if file.repo]
        for repo in dict.fromkeys(str(file.repo) for file in missing if not file.optional or file.repo in self.pinned):
            names = [glob.escape(name) for file in missing if file.repo == repo for name in file.names]
            patterns = [pattern for name in names for pattern in (name, f"*/{name}")]
            folder = self.root / WORK / "hub" / repo.replace("/", "--")
            try:
                self.commits[repo] = download(repo, self.revisions.get(repo), patterns, folder)
            except Unreachable as error:
                problems = [*self._problems(files), *self._later_problems(files)]
                raise UserError(self._report(str(error), problems)) from error
            self._take([file for file in missing if file.repo == repo], list_files(folder), repo)

    def _take(self, files: Sequence[File], listing: Mapping[str, Sequence[Path]], origin: str) -> None:
        """Use the correct ones of some files, which are found by their names."""
        for file in self._missing(files):
            paths = file.matches(listing)
            wrong = {path: wrong_bytes(self._accepted(file), path, None) for path in paths}
            correct = [path for path in paths if not wrong[path]]
            if len({sha256_of(path) for path in correct}) > 1 and len(correct) > 1:
                first, second = correct[:2]
                raise UserError(f"{file.path}: could be {first} or {second}; give --from a folder that has one of them")
            if correct:
                name = next((n for n in file.paths if Path(n).suffix == correct[0].suffix), file.path)
                self._link(correct[0], name, origin)
            elif paths:
                commit = self.commits.get(origin)
                where = f"{origin} at {commit[:12]}, {paths[0].name}" if commit else str(paths[0])
                self.refused.setdefault(file.path, f"{MISSING}, for {where} {wrong[paths[0]]}")

    def _link(self, source: Path, name: str, origin: str) -> None:
        path = self.stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(source.absolute())
        self.origin[name] = origin

    def _missing(self, files: Sequence[File]) -> list[File]:
        return [file for file in files if file.in_folder(self.stage) is None]

    def _problems(self, files: Sequence[File]) -> list[Problem]:
        problems = []
        for file in self._missing(files):
            reason = self.refused.get(file.path, MISSING)
            alternative = ", or take it with --allow-changed" if file.sha256 and reason != MISSING else ""
            if not file.optional:
                problems.append(Problem(file.path, reason, file.remedy + alternative))
        return problems

    def _later_problems(self, files: Sequence[File]) -> list[Problem]:
        """The missing images, for a complete report where the annotations are not."""
        try:
            images = self.dataset.images(self.stage)
        except UserError:
            return unnamed_images(self.dataset, self.root)
        later = [file for file in images if file not in files and file.in_folder(self.root) is None]
        return self._problems([file for file in later if not any(file.matches(listing) for listing in self.copies)])

    def _accepted(self, file: File) -> File:
        """The file with its required checksum."""
        entry = self.old.files.get(file.path)
        changed = self.allow_changed or (entry is not None and entry.sha256 != file.sha256)
        return replace(file, sha256=None) if file.sha256 and changed else file

    def _report(self, first: str, problems: Sequence[Problem]) -> str:
        advice = "put these in place, or name folders of copies with --from, and run the same command again:"
        return "\n".join([f"{first}; {advice}", *lines(problems, self.root)])


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """The work folder of a benchmark for one process at a time; only downloads are kept after a failure."""
    from filelock import FileLock, Timeout

    work = root / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        with FileLock(work / ".lock").acquire(timeout=0):
            shutil.rmtree(work / "set", ignore_errors=True)
            try:
                yield
            except UserError as error:  # the user knows the benchmark's folder, not the stage
                raise UserError(str(error).replace(str(work / "set"), str(root))) from error
            else:
                shutil.rmtree(work / "hub", ignore_errors=True)
            finally:
                shutil.rmtree(work / "set", ignore_errors=True)
                if not any(path.is_file() and path.stat().st_size for path in (work / "hub").rglob("*")):
                    shutil.rmtree(work, ignore_errors=True)
                with suppress(OSError):
                    root.rmdir()  # where nothing was found
    except Timeout as error:
        raise UserError(f"{root}: another process is preparing it; wait for that one") from error
    except OSError as error:
        raise UserError(f"{root}: cannot be written ({error}); give another --root") from error
