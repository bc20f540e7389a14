"""Who writes to a folder: two runs that compute the same do it once, and one that is in the way is named."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from pixfound.errors import UserError
from pixfound.pipeline.output import write_atomic
from pixfound.terminal import say


@contextmanager
def only_writer(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder; raises UserError with who holds it where somebody does. The lock ends with the process."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"{what} is being written by {holder(folder)}: wait until it ends, or stop it; what it has done is kept "
            f"({folder})"
        ) from error
    try:
        _sign(folder)
        yield
    finally:
        lock.release()


@contextmanager
def next_writer(folders: Sequence[Path], what: str) -> Iterator[None]:
    """Hold folders, one after the other in the order of their names; waits for whoever holds one, and says for whom."""
    with ExitStack() as held:
        for folder in sorted(folders):
            lock = FileLock(folder / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                say(f"{what}: waiting for {holder(folder)}, which computes the same", stderr=True)
                lock.acquire()
            held.callback(lock.release)
            _sign(folder)
        yield


def holder(folder: Path) -> str:
    """Who has signed the lock of a folder last."""
    try:
        data = json.loads((folder / ".holder.json").read_text())
        return f"process {data['pid']} on {data['host']} (since {data['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _sign(folder: Path) -> None:
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    write_atomic(
        folder / ".holder.json", json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
    )
