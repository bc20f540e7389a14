"""Locks on folders: two runs that compute the same do it once, and a run that holds a needed folder is named."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from pixfound.errors import UserError
from pixfound.io.atomic import remove_leftovers, write_atomic
from pixfound.io.terminal import say


@contextmanager
def only_writer(folder: Path, what: str) -> Iterator[None]:
    """Lock a folder; raises UserError with its holder where it is locked. The lock ends with the process."""
    lock = FileLock(folder / ".lock")
    try:
        with _lockable(lock):
            lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"{what} is being written by {holder(folder)}: wait until it ends, or stop it; what it has done is kept "
            f"({folder}){_by_hand(lock)}"
        ) from error
    try:
        _begin(folder)
        yield
    finally:
        lock.release()


@contextmanager
def next_writer(folders: Sequence[Path], what: str) -> Iterator[None]:
    """Lock folders, one after the other in the order of their names; waits for a holder, and says for whom."""
    with ExitStack() as locks:
        for folder in sorted(folders):
            lock = FileLock(folder / ".lock")
            with _lockable(lock):
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    whom = f"{holder(folder)}, which computes the same{_by_hand(lock)}"
                    say(f"{what}: waiting for {whom}", stderr=True)
                    lock.acquire()
            locks.callback(lock.release)
            _begin(folder)
        yield


@contextmanager
def _lockable(lock: FileLock) -> Iterator[None]:
    """UserError where the file system has no locks, or something else is in the lock's place."""
    try:
        yield
    except Timeout:
        raise
    except OSError as error:
        raise UserError(
            f"{lock.lock_file}: cannot be locked ({error.strerror or error}): delete it where it is no plain file, or "
            "choose a folder on another disk with outputs_dir=DIR"
        ) from error


def _by_hand(lock: FileLock) -> str:
    """Return the advice to delete a lock file that outlives its process; "" for a lock of the file system.

    A file stands for the lock where the file system has no locks.
    """
    return f"; where that process is gone, delete {lock.lock_file}" if isinstance(lock, SoftFileLock) else ""


def holder(folder: Path) -> str:
    """Return the last signer of a folder's lock: process, host and time; "another process" if that cannot be read."""
    try:
        data = json.loads((folder / ".holder.json").read_text())
        return f"process {data['pid']} on {data['host']} (since {data['since']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"


def _begin(folder: Path) -> None:
    """Sign a folder that is held now, and remove what killed processes have left there."""
    for where in (folder, folder / "arrays"):
        remove_leftovers(where)
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    write_atomic(
        folder / ".holder.json", json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
    )
