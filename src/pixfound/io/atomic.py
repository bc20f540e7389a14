"""Writing files so that a full disk or a kill costs nothing that was there before."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pixfound.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

_OLD_S = 86400.0  # a temporary file of a process on another machine is left alone so long
_TEMPORARY = re.compile(r"\.probe\.(\d+)|\..*\.(\d+)\.tmp|[0-9a-f]+\.(\d+)\.tmp")  # a name, and the process it is of


def write_atomic(path: Path, text: str | Iterable[str]) -> None:
    r"""Write a file, whole or in parts, under a temporary name and then rename it, so that no reader sees a part.

    Half of a surrogate pair, which UTF-8 cannot hold, is written as \udXXX: inside a JSON string that is it again.
    """
    with _written(path) as stream:
        stream.writelines(map(encode, [text] if isinstance(text, str) else text))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in the same way."""
    with _written(path) as stream:
        stream.write(data)


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG in the same way."""
    with _written(path) as stream:
        picture.save(stream, format="PNG")


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """Open a binary stream whose content replaces the file as a whole at the end; UserError where that cannot be.

    Nothing is left of a file whose writing is broken off.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}): make room on the disk, or fix its permissions, "
            "and run the same command again; what is done is kept"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_leftovers(folder: Path, pids: Container[int] | None = None) -> None:
    """Remove temporary files that killed processes have left in a folder which is held alone.

    pids: whose; None for all processes that are not on this machine, unless a file is young enough to be of a live one
    on another.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match is None:
                continue
            pid = int(next(filter(None, match.groups())))
            with suppress(OSError):
                is_old = time.time() - entry.stat().st_mtime > _OLD_S
                if pid in pids if pids is not None else is_old or not _is_running(pid):
                    os.unlink(entry.path)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


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


def cache_folder() -> Path:
    """The user's cache of this package: in $XDG_CACHE_HOME, else in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pixfound"


def write_output(path: Path, text: str) -> None:
    """Write a file that a command's option names, and its folder; UserError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); give another file") from error
