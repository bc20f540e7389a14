"""The lines of journals: what is known of one without keeping what it says, and where the one of a name stands.

A line is a JSON object that ends with the CRC-32 of all that stands before it. A line whose checksum fails counts as
never written.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pixfound.io.atomic import encode

log = logging.getLogger(__name__)
_END = re.compile(rb',"crc":"[0-9a-f]{8}"}\n?\Z')  # of a line that was written whole


class Place(NamedTuple):
    """The position of a line: the rank of its journal, and its bytes there. turn: see `pixfound.store.store`."""

    rank: int
    offset: int
    length: int
    failed: bool
    turn: int


class Line(NamedTuple):
    """Index entry of a line, made while journals are read.

    array_bytes: size of the file of its arrays; None if it has none.
    """

    name: bytes
    array_bytes: int | None
    place: Place


class Places:
    """The place of the line that counts of each name: of the latest result, or else of the latest failure.

    The later of two lines is the one of the later turn, and of one turn the one that comes later here.
    """

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._places: dict[bytes, Place] = {}
        for line in lines:
            self.add(line)

    def get(self, name: bytes) -> Place | None:
        """The place of a name's line."""
        return self._places.get(name)

    def done(self, name: bytes) -> bool:
        """True if the name has a result; a failure is none."""
        place = self._places.get(name)
        return place is not None and not place.failed

    def add(self, line: Line) -> None:
        """Take note of a line."""
        before = self._places.get(line.name)
        if before is None or (not line.place.failed, line.place.turn) >= (not before.failed, before.turn):
            self._places[line.name] = line.place


def lines_of(journal: Path) -> Iterator[Line]:
    """The lines of a journal that are whole. Warns of those that were, and have changed since."""
    rank, offset, changed = int(journal.stem.removeprefix("journal-")), 0, 0
    with journal.open("rb") as stream:
        for raw in stream:
            if data := parse(raw):
                place = Place(rank, offset, len(raw), data["failure"] is not None, data["turn"])
                yield Line(name_of(data["key"], data["digest"]), data.get("array_bytes"), place)
            elif _END.search(raw):
                changed += 1
            offset += len(raw)
    if changed:
        log.warning("%s: %d lines are damaged and count as never written", journal, changed)


def written(body: Mapping[str, Any]) -> bytes:
    """A line; `parse` reads it. Raises ValueError where JSON cannot hold a value."""
    head = encode(json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False)[:-1])
    return head + _end(head) + b"\n"


def parse(line: bytes) -> dict[str, Any] | None:
    """A line as it was written, whole; else None."""
    line = line.removesuffix(b"\n")
    head, end = line[: -len(_end(b""))], line[-len(_end(b"")) :]
    if end != _end(head):
        return None
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and _is_record(data) else None


def _end(head: bytes) -> bytes:
    return b',"crc":"%08x"}' % zlib.crc32(head)


def _is_record(data: Mapping[str, Any]) -> bool:
    if not data.keys() >= {"key", "digest", "value", "failure", "turn"}:
        return False
    key, digest, value, failure = (type(data[name]) for name in ("key", "digest", "value", "failure"))
    arrays = [type(data[name]) for name in ("array_bytes", "array_crc") if name in data]
    return (
        (key, digest) == (str, str)
        and (value, failure) in ((dict, type(None)), (type(None), str))
        and arrays in ([], [int, int])
        and type(data["turn"]) is int
        and 0 <= data["turn"] < 2**32
    )


def name_of(key: str, digest: str) -> bytes:
    """Return 16 bytes that stand for a key and digest in memory and name the file of their arrays.

    They are the first half of the SHA-256 of both.
    """
    return hashlib.sha256(encode(f"{key}\0{digest}")).digest()[:16]
