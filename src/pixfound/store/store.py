"""A stage's results on disk: journals of one JSON object a line, and arrays beside them.

Every process appends to the journal of its rank, a line in one write; arrays are written before the line that
names them. A line is found by its key and by a digest of what it was computed from, so that a changed input is
recomputed while everything else stays. A torn or damaged line is ignored, and so is a line whose arrays are gone or not
of the size that it names: what they held is computed again. The line also names the checksum of its arrays, which is
compared when they are read. Nothing is ever rewritten in place.

Which of two lines is the later one follows from their turns and never from a clock: a line's turn is one more than the
last that its process had read. Half of a surrogate pair in a text is written as JSON's own escape of it.

Memory holds the position of each line, not its content: a record is read when it is asked for.
"""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pixfound.errors import UserError
from pixfound.io.atomic import make_folder, write_all, write_atomic
from pixfound.io.text import printable
from pixfound.store.journal import Line, Place, Places, lines_of, name_of, parse, written

log = logging.getLogger(__name__)
_OPEN = 8  # journals of a store that are open at once: there may be as many as processes
_NEAR = 16  # records that are kept as they were last read: the same ones are asked for again at once
_JOURNAL = re.compile(r"journal-\d{4}\.jsonl", re.ASCII)


@dataclass(frozen=True)
class Record:
    """One result. key: what it is of; digest: of its inputs. failure: why there is no value, or None."""

    key: str
    digest: str
    value: Mapping[str, Any] | None
    failure: str | None = None


class DamagedArrays(ValueError):
    """Stored arrays that are not what was written, or gone; the next run computes them again."""


class Store:
    """The folder of one stage with one fingerprint."""

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.folder, self._rank = folder, rank
        self._descriptor: int | None = None
        self._places = Places()
        self._near = lru_cache(maxsize=_NEAR)(self._find)
        self._readers: dict[int, BinaryIO] = {}  # journals that lines are read from, by rank
        self._read_at: dict[str, int] | None = None  # size of each journal when it was read
        self._turn = 0  # of the lines that this process writes

    def open(self, description: Mapping[str, Any]) -> list[str]:
        """`begin`, and read what is there."""
        changes = self.begin(description)
        self.read()
        return changes

    def begin(self, description: Mapping[str, Any]) -> list[str]:
        """Make the folder ready to be written to. Returns what differs from how it was begun.

        description: {"identity": ..., "provenance": ...}; only the provenance may differ.
        """
        make_folder(self.folder / "arrays")
        about = self.folder / "stage.json"
        if not about.is_file():
            write_atomic(about, json.dumps(description, indent=2, sort_keys=True, default=str))
        return self.changes(description["provenance"])

    def changes(self, provenance: Mapping[str, Any]) -> list[str]:
        """Differences between a provenance and the one that the folder was begun with; [] where it was not begun.

        A commit that only one of them has is no difference: weights may have been fetched since, or elsewhere.
        """
        try:
            before = dict(json.loads((self.folder / "stage.json").read_text()).get("provenance", {}))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return []
        now = json.loads(json.dumps(provenance, default=str))  # as it is read back
        compared = {k for k in {*before, *now} if not k.endswith("commit") or (k in before and k in now)}
        return [f"{k}: {before.get(k)} -> {now.get(k)}" for k in sorted(compared) if before.get(k) != now.get(k)]

    def read(self) -> None:
        """Read all journals, those of other processes and of earlier runs too; a later line wins.

        Does nothing where no journal has changed since the last time: they only ever grow. Raises UserError where one
        cannot be read.
        """
        try:
            self._read()
        except OSError as error:
            raise self._unreadable(error) from error

    def _read(self) -> None:
        journals = sorted(path for path in self.folder.iterdir() if _JOURNAL.fullmatch(path.name))
        for path in journals:
            if not path.is_file():  # a pipe would be waited for
                raise OSError(errno.EINVAL, "it is no file", str(path))
        state = {path.name: path.stat().st_size for path in journals}
        if state == self._read_at:
            return
        self._near.cache_clear()
        lost: dict[bytes, Line] = {}
        self._places = Places(line for path in journals for line in self._complete_lines(lines_of(path), lost))
        self._read_at = state
        for name, line in lost.items():
            if not self._places.done(name):
                key = self._read_line(line.place)["key"]
                damage = f"the arrays of {printable(key)} are not whole ({line.array_bytes} bytes)"
                log.warning("%s: %s: computed again", self.folder, damage)

    def _complete_lines(self, lines: Iterable[Line], lost: dict[bytes, Line]) -> Iterator[Line]:
        """The lines whose arrays are of the size that they name; the others are put into `lost`."""
        for line in lines:
            self._turn = max(self._turn, line.place.turn + 1)
            if line.array_bytes is not None and self._array_bytes(line.name) != line.array_bytes:
                lost[line.name] = line
            else:
                yield line

    def get(self, key: str, digest: str) -> Record | None:
        """The record of these inputs, if there is one; a failed one too. Raises UserError where it cannot be read."""
        return self._near(key, digest)

    def done(self, key: str, digest: str) -> bool:
        """True if there is a result. A failure is none, and is tried again."""
        return self._places.done(name_of(key, digest))

    def append(self, record: Record, arrays: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
        """Write a record, its arrays first. One line is one write: no other process can break into it.

        Raises UserError where the disk does not take it: what was written before stays good.
        """
        try:
            self._append(record, arrays)
        except OSError as error:
            raise UserError(
                f"{self.folder}: cannot be written to ({error.strerror or error}): make room on the disk, or fix its "
                "permissions, and run the same command again; what is done is kept"
            ) from error

    def _append(self, record: Record, arrays: Mapping[str, npt.NDArray[Any]] | None) -> None:
        name = name_of(record.key, record.digest)
        body: dict[str, Any] = {
            "key": record.key,
            "digest": record.digest,
            "value": record.value,
            "failure": record.failure,
            "turn": self._turn,
        }
        if arrays:
            packed = io.BytesIO()
            np.savez(packed, **arrays)  # type: ignore[arg-type]
            path = self._arrays(name)
            temporary = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
            temporary.write_bytes(packed.getbuffer())
            body |= {"array_bytes": packed.getbuffer().nbytes, "array_crc": zlib.crc32(packed.getbuffer())}
            os.replace(temporary, path)
        line = written(body)
        descriptor = self._journal()
        write_all(descriptor, line)
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        place = Place(self._rank, end - len(line), len(line), record.failure is not None, self._turn)
        self._places.add(Line(name, None, place))
        self._near.cache_clear()

    def arrays(self, record: Record) -> dict[str, npt.NDArray[Any]]:
        """The arrays written with a record.

        Raises DamagedArrays where they are not what was written: they are put aside, so that the next run computes them
        again; OSError where they cannot be read, which says nothing about them.
        """
        name = name_of(record.key, record.digest)
        path, line = self._arrays(name), self._line(name)
        try:
            packed = path.read_bytes()
            if line and line.get("array_crc") == zlib.crc32(packed):
                with np.load(io.BytesIO(packed), allow_pickle=False) as data:
                    return {name: data[name] for name in data.files}
            os.replace(path, path.with_suffix(".damaged"))
        except FileNotFoundError:
            pass  # put aside already, or deleted
        raise DamagedArrays(
            f"the stored arrays of {record.key} are damaged or gone ({self.folder}): run the same command again, and "
            "they are computed anew"
        )

    def close(self) -> None:
        """Close the journals; they are opened again when they are needed."""
        self._close_readers()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _find(self, key: str, digest: str) -> Record | None:
        data = self._line(name_of(key, digest))
        return None if data is None else Record(data["key"], data["digest"], data["value"], data["failure"])

    def _line(self, name: bytes) -> dict[str, Any] | None:
        """The line that counts of a name."""
        place = self._places.get(name)
        try:
            return None if place is None else self._read_line(place)
        except OSError as error:
            raise self._unreadable(error) from error

    def _read_line(self, place: Place) -> dict[str, Any]:
        if place.rank not in self._readers:
            if len(self._readers) == _OPEN:
                self._close_readers()
            self._readers[place.rank] = self._journal_path(place.rank).open("rb")
        stream = self._readers[place.rank]
        data = parse(os.pread(stream.fileno(), place.length, place.offset))
        if data is None:
            raise UserError(f"{stream.name}: was changed by another program: run the same command again")
        return data

    def _unreadable(self, error: OSError) -> UserError:
        return UserError(
            f"{error.filename or self.folder}: cannot be read ({error.strerror or error}): fix the cause, and run the "
            "same command again; what is done is kept"
        )

    def _close_readers(self) -> None:
        for stream in self._readers.values():
            stream.close()
        self._readers = {}

    def _array_bytes(self, name: bytes) -> int | None:
        try:
            return self._arrays(name).stat().st_size
        except FileNotFoundError:
            return None

    def _arrays(self, name: bytes) -> Path:
        return self.folder / "arrays" / f"{name.hex()}.npz"

    def _journal_path(self, rank: int) -> Path:
        return self.folder / f"journal-{rank:04d}.jsonl"

    def _journal(self) -> int:
        if self._descriptor is None:
            path = self._journal_path(self._rank)
            torn = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            if torn:  # a killed run left half a line: end it, so that the next line stands alone
                write_all(self._descriptor, b"\n")
        return self._descriptor
