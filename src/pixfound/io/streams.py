"""Text and JSON as people's programs leave them, with the place of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO


def parse_json(text: str | bytes) -> Any:
    """`json.loads`, to which a value that is nested too deeply for Python is no JSON either, and no RecursionError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", "", 0) from None


@contextmanager
def open_text(path: Path, encoding: str = "utf-8-sig") -> Iterator[TextIO]:
    """A text file to be read, whose lines end with a line feed alone, in UTF-8 with or without the mark before it.

    UnicodeError, with the place in the whole file, where it is none.
    """
    with path.open("rb") as file, TextIOWrapper(file, encoding) as stream:
        try:
            yield stream
        except UnicodeDecodeError as error:  # it knows its place in what was decoded last
            place = file.tell() - len(error.object) + error.start
            wrong = f"byte 0x{error.object[error.start]:02x} in position {place}"
            raise UnicodeError(f"{error.encoding!r} codec can't decode {wrong}: {error.reason}") from error


def read_json(path: Path) -> Any:
    """The value of a JSON file. Raises OSError, and ValueError with the place where it is no JSON."""
    with open_text(path) as stream:
        return parse_json(stream.read())
