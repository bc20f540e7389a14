"""The lines of journals: what is known of one without keeping what it says, and where the one of a name stands."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pixfound.pipeline.output import encode

_ROW = np.dtype(
    [("high", "u8"), ("low", "u8"), ("offset", "u8"), ("length", "u4"), ("rank", "u2"), ("good", "?")], align=True
)
_NEW = 4096  # lines that are kept one by one before they are put with the others


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

    The later of two lines is the one of the later turn, and of one turn the one that comes later here. Takes 32 bytes a
    name.
    """

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._new: dict[bytes, Place] = {}
        rows = ((_row(line.name, line.place), line.turn) for line in lines)
        read = np.fromiter(rows, dtype=[("row", _ROW), ("turn", "u4")])
        self._keep(read["row"][np.argsort(read["turn"], kind="stable")])

    def get(self, name: bytes) -> Place | None:
        """The place of a name's line."""
        if name in self._new:
            return self._new[name]
        high, low = _halves(name)
        row = bisect_left(self._high, high)
        while row < len(self._high) and self._high[row] == high:
            _, found, offset, length, rank, good = self._rows[row].item()
            if found == low:
                return Place(rank, offset, length, not good)
            row += 1
        return None

    def done(self, name: bytes) -> bool:
        """Whether a name has a result."""
        place = self.get(name)
        return place is not None and not place.failed

    def add(self, name: bytes, place: Place) -> None:
        """Take note of a line that was just written. A failure does not stand for a result that there is."""
        if place.failed and self.done(name):
            return
        self._new[name] = place
        if len(self._new) == _NEW:
            new = np.array([_row(name, place) for name, place in self._new.items()], dtype=_ROW)
            self._keep(np.concatenate([self._rows, new]))
            self._new = {}

    def drop(self, name: bytes) -> None:
        """Forget a name."""
        self._new.pop(name, None)
        high, low = _halves(name)
        self._keep(self._rows[(self._rows["high"] != high) | (self._rows["low"] != low)])

    def _keep(self, rows: npt.NDArray[np.void]) -> None:
        """Of each name the row that counts, in the order of the names. rows: the later ones last."""
        ordered = rows[np.lexsort((rows["good"], rows["low"], rows["high"]))]  # stable
        last = np.ones(len(ordered), dtype=bool)
        last[:-1] = (ordered["high"][1:] != ordered["high"][:-1]) | (ordered["low"][1:] != ordered["low"][:-1])
        self._rows = ordered[last]
        high: Any = self._rows["high"]
        self._high = memoryview(high)  # its numbers are Python's, which bisect likes


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


def _row(name: bytes, place: Place) -> tuple[int, int, int, int, int, bool]:
    return (*_halves(name), place.offset, place.length, place.rank, not place.failed)


def _halves(name: bytes) -> tuple[int, int]:
    return int.from_bytes(name[:8]), int.from_bytes(name[8:])
