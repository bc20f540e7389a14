"""Collection of a benchmark's files in its staging folder.

The sources, in order: the benchmark's folder itself, files that can be made from others, local copies, the Hub.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

from tqdm import tqdm

from pixfound.apps.data.checks import MISSING, Problem, check_folder, here, lines, unnamed_pictures, whence, wrong_bytes
from pixfound.apps.data.files import Dataset, File, find, sha256_of
from pixfound.apps.data.hub import Hub, Listing, Remote, Unreachable
from pixfound.apps.data.manifest import Entry, Manifest
from pixfound.apps.data.shelf import Shelf
from pixfound.apps.data.staging import Stage
from pixfound.errors import UserError

_WORKERS = 8
_EARLIER, _ITSELF, _COPIES = "an earlier run", "the folder itself", "copies"


@dataclass
class Gathering:
    """State of one preparation.

    origin: the source of each file in the staging folder. refused: the reasons why available files were not taken.
    listings: the listings fetched from the Hub.
    """

    dataset: Dataset
    root: Path
    stage: Stage
    shelf: Shelf
    old: Manifest
    revisions: Mapping[str, str]
    pinned: frozenset[str]
    allow_changed: bool
    origin: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    listings: dict[str, Listing] = field(default_factory=dict)
    hub: Hub = field(default_factory=Hub)

    def gather(self, files: Sequence[File]) -> None:
        """Collect files in the staging folder; raises UserError with the names of the missing ones."""
        for file in files:
            self._take_own(file)
        self.dataset.make(self.stage.folder, self._lacking(files))
        for file in self._lacking(files):
            self._take_copy(file)
        self.dataset.make(self.stage.folder, self._lacking(files))
        self._from_hub(files)
        self.dataset.make(self.stage.folder, self._lacking(files))
        if problems := self._missing(files):
            raise UserError(self._report(f"{self.dataset.name}: {len(problems)} files are missing", problems))

    def check(self, images: Sequence[File]) -> list[str]:
        """Raise UserError where the staged files are wrong; returns notes on optional Hub files left out as wrong."""
        accepted = replace(self.dataset, annotations=tuple(map(self._accepted, self.dataset.annotations)))
        problems = check_folder(accepted, self.stage.folder, Manifest(""))
        extra = [f.place for f in images if f.optional and self.origin.get(f.place) == f.repo] if problems else []
        notes = []
        for place in extra:
            (self.stage.folder / place).unlink()
            why = problems[0].what.replace(str(self.stage.folder), str(self.root))
            notes.append(f"{place} of {self.origin.pop(place)} is left out: {why}")
        if extra:
            problems = check_folder(accepted, self.stage.folder, Manifest(""))
        if problems:
            self.stage.discard()
            raise UserError("\n".join([f"{self.dataset.name} is not right:", *lines(problems, self.root)]))
        return notes

    def manifest(self, files: Sequence[File]) -> Manifest:
        """The checksums of all files in the staging folder."""
        entries = {}
        for file in files:
            if present := here(file, self.stage.folder):
                path = self.stage.folder / present.place
                source = self.origin.get(present.place) or (present.inside or "Objects.csv")
                entries[present.place] = Entry(path.stat().st_size, sha256_of(path), source)
        commits = {**self.old.commits, **{repo: listing.commit for repo, listing in self.listings.items()}}
        return Manifest(self.dataset.name, entries, commits)

    def counts(self) -> dict[str, int]:
        """The number of files by source."""
        sources = list(self.origin.values())
        return {source: sources.count(source) for source in dict.fromkeys(sources)}

    def _take_own(self, file: File) -> None:
        """Use the file in the staging folder, or the one in the benchmark's folder, if its bytes are correct."""
        wanted = self._accepted(file)
        if staged := here(wanted, self.stage.folder):
            path = self.stage.folder / staged.place
            if not wrong_bytes(staged, path, None):
                self.origin.setdefault(staged.place, _EARLIER)
                return
            path.unlink()
        if (own := here(wanted, self.root)) and self._good(own, self.root / own.place):
            self._stage(self.root / own.place, own.place, _ITSELF)

    def _take_copy(self, file: File) -> None:
        """Use a local copy with correct bytes."""
        link: File | None = self._accepted(file)
        while link:
            if (copy := self.shelf.find(link)) and self._good(link, copy):
                self._stage(copy, link.place, _COPIES)
                return
            link = link.instead

    def _good(self, file: File, path: Path) -> bool:
        """True if a file may be taken; else the reason is stored for the report."""
        own = path == self.root / file.place
        wrong = wrong_bytes(file, path, self.old.files.get(file.place) if own else None)
        if wrong:
            self.refused.setdefault(file.place, wrong if own else f"{MISSING}, for {path} {wrong}")
        return not wrong

    def _stage(self, source: Path, place: str, origin: str) -> None:
        self.stage.take(source, place)
        self.origin[place] = origin

    def _missing(self, files: Sequence[File]) -> list[Problem]:
        wanted = [file for file in self._lacking(files) if not file.optional]
        return [Problem(f.place, self.refused.get(f.place, MISSING), f"get it from {whence(f)}") for f in wanted]

    def _missing_pictures(self, files: Sequence[File]) -> list[Problem]:
        """The missing images that come after these files, for a complete report."""
        try:
            later = [file for file in self.dataset.images(self.stage.folder) if file not in files]
        except UserError:
            return unnamed_pictures(self.dataset, self.root)
        there = [file for file in later if here(file, self.root) or self.shelf.find(file)]
        return self._missing([file for file in later if file not in there])

    def _lacking(self, files: Sequence[File]) -> tuple[File, ...]:
        return tuple(file for file in files if here(file, self.stage.folder) is None)

    def _from_hub(self, files: Sequence[File]) -> None:
        """Download the missing files and, for datasets with a requested revision, existing ones that differ."""
        lacking = self._lacking(files)
        needed = [f for f in lacking if not f.optional]
        repos = dict.fromkeys(f.repo for f in files if f.repo and (f in needed or f.repo in self.pinned))
        for repo in repos:
            if repo not in self.listings:
                try:
                    self.listings[repo] = self.hub.listing(repo, self.revisions.get(repo))
                except Unreachable as error:
                    problems = [*self._missing(files), *self._missing_pictures(files)]
                    raise UserError(self._report(str(error), problems)) from error
        wanted = {}
        for file in files:
            remote = self._remote(file)
            if remote and (file in lacking or self._differs(file, remote)):
                wanted[file.place] = (file, remote)
        self._fetch(list(wanted.values()))

    def _remote(self, file: File) -> Remote | None:
        """The file in its dataset's listing."""
        listing = self.listings.get(file.repo or "")
        found = find(file, listing.files) if listing else []
        if listing and len(found) > 1:
            raise UserError(
                f"{file.repo}: has {found[0]} and {found[1]}, either of which could be {file.place}; use --from"
            )
        return listing.files[found[0]] if listing and found else None

    def _differs(self, file: File, remote: Remote) -> bool:
        """True if an existing file must be replaced; copies and files confirmed by a manifest are kept."""
        path = self.stage.folder / file.place
        vouched = self.origin.get(file.place) == _COPIES or (
            file.place in self.old.files and file.repo not in self.pinned
        )
        return path.is_file() and not vouched and bool(remote.wrong(path))

    def _fetch(self, wanted: Sequence[tuple[File, Remote]]) -> None:
        """Download in parallel; every failure is reported, and complete files stay in the staging folder."""
        failures: list[str] = []
        pool = ThreadPoolExecutor(_WORKERS)
        try:
            jobs = [pool.submit(self._fetch_one, file, remote) for file, remote in wanted]
            for job in tqdm(as_completed(jobs), total=len(jobs), desc="downloading", disable=None, leave=False):
                try:
                    job.result()
                except UserError as error:
                    failures.append(str(error))
                    if isinstance(error, Unreachable):
                        break
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if failures:
            raise UserError("\n".join(failures))

    def _fetch_one(self, file: File, remote: Remote) -> None:
        assert file.repo
        listing = self.listings[file.repo]
        path = self.hub.fetch(listing, remote, self.stage.hub_folder(file.repo))
        wrong = wrong_bytes(self._accepted(file), path, None)
        if wrong:
            raise UserError(
                f"{file.repo} at {listing.commit[:12]}, {remote.path}: {wrong}; give another --revision"
                + (", or take it with --allow-changed" if file.sha256 else "")
            )
        self.stage.take(path, file.place, move=True)
        self.origin[file.place] = file.repo

    def _accepted(self, file: File) -> File:
        """The file with its required checksum."""
        entry = self.old.files.get(file.place)
        if not file.sha256 or not (self.allow_changed or (entry and entry.sha256 != file.sha256)):
            return file
        return replace(file, sha256=None, instead=file.instead and self._accepted(file.instead))

    def _report(self, first: str, problems: Sequence[Problem]) -> str:
        found = lines(problems, self.root)
        what = "put these in place, or name folders of copies with --from, and run the same command again:"
        return "\n".join([f"{first}; {what}", *found])
