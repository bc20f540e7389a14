"""The lines of a journal: where each stands, and what is known of it without keeping what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pixfound.pipeline.output import encode


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
        return data if {"key", "digest", "value", "failure"} <= data.keys() else None
    except (ValueError, TypeError, AttributeError):
        return None


def name_of(key: str, digest: str) -> bytes:
    """What stands for a key and digest in memory, and names the file of their arrays."""
    return hashlib.sha256(encode(f"{key}\0{digest}")).digest()[:16]
