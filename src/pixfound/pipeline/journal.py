"""The lines of journals: what is known of one without keeping what it says, and where the one of a name stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pixfound.pipeline.output import encode
from pixfound.shelf import Scratch

_TABLE = (
    "places (name BLOB PRIMARY KEY, good INTEGER, turn INTEGER, rank INTEGER, start INTEGER, length INTEGER) "
    "WITHOUT ROWID"
)
_GET = "SELECT rank, start, length, good FROM places WHERE name = ?"
_PUT = (
    "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET good = excluded.good, "
    "turn = excluded.turn, rank = excluded.rank, start = excluded.start, length = excluded.length "
    "WHERE (excluded.good, excluded.turn) >= (good, turn)"
)


class Place(NamedTuple):
    """Where a line stands: the rank of its journal, and its bytes there."""

    rank: int
    offset: int
    length: int
    failed: bool


class Line(NamedTuple):
    """What is known of a line while journals are read. array_bytes: the size of its arrays' file where it has one."""

    name: bytes
    turn: int
    array_bytes: int | None
    place: Place


class Places:
    """The place of the line that counts of each name: of the latest result, or else of the latest failure.

    The later of two lines is the one of the later turn, and of one turn the one that comes later here. Places lie in a
    temporary file.
    """

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._scratch = Scratch(_TABLE)
        self._scratch.fill(_PUT, map(_row, lines))

    def get(self, name: bytes) -> Place | None:
        """The place of a name's line."""
        for rank, start, length, good in self._scratch.run(_GET, name):
            return Place(rank, start, length, not good)
        return None

    def done(self, name: bytes) -> bool:
        """Whether a name has a result."""
        return bool(self._scratch.run("SELECT 1 FROM places WHERE name = ? AND good", name))

    def add(self, line: Line) -> None:
        """Take note of a line."""
        self._scratch.run(_PUT, *_row(line))

    def drop(self, name: bytes) -> None:
        """Forget a name."""
        self._scratch.run("DELETE FROM places WHERE name = ?", name)


def lines_of(journal: Path) -> Iterator[Line]:
    """The lines of a journal that are whole."""
    rank, offset = int(journal.stem.removeprefix("journal-")), 0
    with journal.open("rb") as stream:
        for raw in stream:
            if data := parse(raw):
                place = Place(rank, offset, len(raw), data["failure"] is not None)
                yield Line(name_of(data["key"], data["digest"]), data["turn"], data.get("array_bytes"), place)
            offset += len(raw)


def parse(line: bytes) -> dict[str, Any] | None:
    """A line as it was written, whole; else None."""
    try:
        data: dict[str, Any] = json.loads(line.decode())
        data["turn"] = int(data.get("turn", 0))  # lines of before there were turns are the oldest
        whole = {"key", "digest", "value", "failure"} <= data.keys() and 0 <= data["turn"] < 2**32
        return data if whole else None
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def name_of(key: str, digest: str) -> bytes:
    """What stands for a key and digest in memory, and names the file of their arrays."""
    return hashlib.sha256(encode(f"{key}\0{digest}")).digest()[:16]


def _row(line: Line) -> tuple[bytes, bool, int, int, int, int]:
    place = line.place
    return line.name, not place.failed, line.turn, place.rank, place.offset, place.length
