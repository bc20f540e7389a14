"""Writing files so that a full disk or a kill costs nothing that was there before."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pixfound.errors import UserError


def write_atomic(path: Path, text: str | Iterable[str]) -> None:
    r"""Write a file, all at once or part by part, under a temporary name and then rename it: nobody sees half of it.

    Half of a surrogate pair, which UTF-8 cannot hold, is written as \udXXX: inside a JSON string that is it again.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.writelines(map(encode, [text] if isinstance(text, str) else text))
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}): make room on the disk, or mend its permissions, "
            "and run the same command again; what is done is kept"
        ) from error


def make_folder(folder: Path) -> None:
    """Create a folder that must be writable, or say plainly that it is not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"outputs cannot be written to {folder} ({error.strerror}): choose another folder with outputs_dir=DIR"
        ) from error


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the data; a full disk may take a part of it, and then raises at the next part."""
    while data:
        data = data[os.write(descriptor, data) :]


def encode(text: str) -> bytes:
    r"""UTF-8; half of a surrogate pair, which it cannot hold, becomes \udXXX, JSON's own escape of it."""
    return text.encode("utf-8", "backslashreplace")
