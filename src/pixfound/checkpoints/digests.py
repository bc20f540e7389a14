"""Digests of weight files: SHA-256 over every byte, with a cache on disk for large files.

The cache key is the file's path; an entry is valid while size, inode and times of change are the same.
Hashing takes one to three seconds a gigabyte, or as long as the disk takes to read it. With the cache that happens once
a machine instead of once a run and process.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock

from pixfound.io.atomic import cache_folder
from pixfound.io.terminal import say

_LARGE = 64 * 2**20  # bytes; smaller files are hashed each time
_SAID = 2**31  # bytes; hashing of a larger file prints a message, as it takes a while
_SETTLED = 2.0  # seconds since the last change; file systems may not tell two changes apart that are closer


def file_digest(file: Path) -> bytes:
    """SHA-256 of a file's content. Raises OSError where it cannot be read."""
    if file.stat().st_size < _LARGE:
        return _hashed(file)
    note = cache_folder() / "weights" / f"{hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:32]}.json"
    with ExitStack() as stack:
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{note}.lock"))  # the other processes of a run wait, and then need not hash
        except OSError:  # nowhere to remember it
            return _hashed(file)
        state = _state(file)
        try:
            cached = json.loads(note.read_text())
            if cached["state"] == state:
                return bytes.fromhex(cached["sha256"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        digest = _hashed(file)
        changed_ns = max(state["modified_ns"], state["altered_ns"])
        if _state(file) == state and time.time() - changed_ns / 1e9 > _SETTLED:
            try:
                temporary = note.with_suffix(f".{os.getpid()}.tmp")
                temporary.write_text(json.dumps({"state": state, "sha256": digest.hex()}))
                os.replace(temporary, note)
            except OSError:
                pass
        return digest


def _hashed(file: Path) -> bytes:
    size = file.stat().st_size
    if size > _SAID:
        say(f"{file.name}: hashing {size / 2**30:.1f} GiB of weights once, to recognise them", stderr=True)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _state(file: Path) -> dict[str, int]:
    about = file.stat()
    return {
        "size": about.st_size,
        "inode": about.st_ino,
        "modified_ns": about.st_mtime_ns,
        "altered_ns": about.st_ctime_ns,  # a program may set the time of modification back
    }
