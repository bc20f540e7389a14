"""A staging folder for a benchmark until it is complete, and the move to its final path."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixfound.errors import UserError

_HUB = ".hub"  # downloads in flight, and what the client notes about them
_LOCK = ".lock"


class Stage:
    """A staging folder beside the benchmark's, on the same disk; kept after a failure for the next run.

    Where the benchmark's folder already has files, or is a mount point, the staging folder is inside it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        beside = root.with_name(f".{root.name}.partial")
        self.folder = root / ".partial" if self._occupied() and not beside.exists() else beside

    def _occupied(self) -> bool:
        """True if the benchmark's folder cannot be replaced as a whole."""
        return self.root.exists() and (self.root.is_mount() or any(self.root.iterdir()))

    def take(self, source: Path, place: str, move: bool = False) -> None:
        """Put a file into the staging folder by one rename: moved, or linked where the disk supports it, or copied."""
        target = self.folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if move:
            os.replace(source, target)
            return
        part = target.with_name(f"{target.name}.part")
        part.unlink(missing_ok=True)
        try:
            if self.root not in source.parents:
                raise OSError("only files of the benchmark itself are linked: a copy must not change with its original")
            os.link(source, part)
        except OSError:
            shutil.copyfile(source, part)
        os.replace(part, target)

    def discard_if_empty(self) -> None:
        """Remove the staging folder where it is empty."""
        if not any(path.is_file() and path.name != _LOCK for path in self.folder.rglob("*")):
            self.discard()

    def discard(self) -> None:
        """Delete all staged files, so that inconsistent files do not reappear in the next run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def hub_folder(self, repo: str) -> Path:
        """The folder for a dataset's downloads until they are verified."""
        return self.folder / _HUB / repo.replace("/", "--")

    def place(self) -> None:
        """Move everything to the benchmark's folder: as a whole, or file by file next to existing files."""
        shutil.rmtree(self.folder / _HUB, ignore_errors=True)
        (self.folder / _LOCK).unlink(missing_ok=True)
        if not self._occupied():
            os.rename(self.folder, self.root)  # an empty folder may be in its place
            return
        files = [p.relative_to(self.folder) for p in sorted(self.folder.rglob("*")) if p.is_file()]
        for path in files:
            _put(self.folder / path, self.root / path)
        self.discard()


def _put(source: Path, target: Path) -> None:
    """Move a file to its final path by a rename; one with equal bytes stays, even read-only or on another disk."""
    if target.is_file() and filecmp.cmp(source, target, shallow=False):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f"{target.name}.part")  # a folder of the benchmark is a link to another disk
        shutil.copyfile(source, part)
        os.replace(part, target)


@contextmanager
def staged(root: Path) -> Iterator[Stage]:
    """The staging folder of a benchmark, locked for one process at a time."""
    from filelock import FileLock, Timeout

    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        stage = Stage(root)
        stage.folder.mkdir(exist_ok=True)
        with FileLock(stage.folder / _LOCK).acquire(timeout=0):
            try:
                yield stage
            except UserError as error:  # the user knows the benchmark's folder, not the stage
                raise UserError(str(error).replace(str(stage.folder), str(root))) from error
            finally:
                stage.discard_if_empty()
    except Timeout as error:
        raise UserError(f"{root}: another process is preparing it; wait for that one") from error
    except OSError as error:
        raise UserError(f"{root}: cannot be written ({error}); give another --root") from error
