"""Text files that are read piece by piece: as much of them is in memory as an entry takes, however long they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

_PIECE = 2**16  # characters that are read at once
_LONGEST = 16  # no token that is not a string has so many characters
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
_DEEP = "Nested too deeply"


class NoList(ValueError):
    """A JSON file has no list where it should. Its text is the list's name, "" where the whole file should be one."""


def parse_json(text: str | bytes) -> Any:
    """`json.loads`, to which a value that is nested too deeply for Python is no JSON either, and no RecursionError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError(_DEEP, "", 0) from None


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


def json_list(path: Path) -> Iterator[Any]:
    """The entries of the list that a JSON file is, one by one.

    Raises OSError, NoList, and ValueError where the file is no JSON: what `json.loads` says of it, when it is reached.
    """
    with open_text(path) as stream:
        text = _Json(stream)
        yield from text.entries()
        text.end()


def json_lists(path: Path, *names: str) -> Iterator[tuple[str, Any]]:
    """(name, entry) for each entry of some lists in the object that a JSON file is, in the file's order.

    The first of them must be there. Raises as `json_list` does.
    """
    found = set()
    with open_text(path) as stream:
        text = _Json(stream)
        for name in text.names(names[0]):
            found.add(name)
            if name in names:
                for entry in text.entries(name):
                    yield name, entry
            else:
                text.skip()
        text.end()
    if names[0] not in found:
        raise NoList(names[0])


class _Json:
    """JSON from a stream. What was read of it already is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text, self._at = "", 0
        self._dropped, self._lines, self._line_start = 0, 0, 0  # characters, lines, and where the last line starts

    def entries(self, name: str = "") -> Iterator[Any]:
        """The entries of the list that comes next. name: of the list, for NoList."""
        self._open("[", name)
        if not self._skip("]"):
            yield self.value()
            while not self._skip("]"):
                self._expect(",", "Expecting ',' delimiter")
                yield self.value()

    def names(self, wanted: str) -> Iterator[str]:
        """The members' names of the object that comes next; each one's value is to be read before the next name.

        wanted: the list that should be in the object, for NoList.
        """
        self._open("{", wanted)
        if not self._skip("}"):
            yield self._name()
            while not self._skip("}"):
                self._expect(",", "Expecting ',' delimiter")
                yield self._name()

    def value(self) -> Any:
        """The value that comes next, whole."""
        self._next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise self._error(_DEEP, self._at) from None
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - _LONGEST
                if not cut or not self._more():
                    raise self._error(error.msg, error.pos) from error
            else:
                if end + 2 < len(self._text) or not self._more():  # a number may go on: 1, 1e+, 1e+9
                    self._at = end
                    return value

    def skip(self) -> None:
        """Pass the value that comes next; of a list no more than an entry is in memory."""
        if self._next() == "[":
            for _ in self.entries():
                pass
        else:
            self.value()

    def end(self) -> None:
        """Nothing may follow."""
        if self._next():
            raise self._error("Extra data", self._at)

    def _name(self) -> str:
        if self._next() != '"':
            raise self._error("Expecting property name enclosed in double quotes", self._at)
        name: str = self.value()
        self._expect(":", "Expecting ':' delimiter")
        return name

    def _open(self, bracket: str, wanted: str) -> None:
        if not self._skip(bracket):
            if self._next() not in ("[", "{"):
                self.value()  # unless that is no JSON at all
            raise NoList(wanted)

    def _expect(self, character: str, otherwise: str) -> None:
        if not self._skip(character):
            raise self._error(otherwise, self._at)

    def _skip(self, character: str) -> bool:
        found = self._next() == character
        self._at += found
        return found

    def _next(self) -> str:
        """The next character that is no space, which is not passed; "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read on; False at the end. Twice as much as there is, so that what is long is not tried too often."""
        piece = self._stream.read(max(_PIECE, len(self._text) - self._at))
        if piece:
            self._drop(self._at)
            self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def _drop(self, count: int) -> None:
        last = self._text.rfind("\n", 0, count)
        if last >= 0:
            self._lines += self._text.count("\n", 0, count)
            self._line_start = self._dropped + last + 1
        self._dropped += count

    def _error(self, message: str, place: int) -> ValueError:
        self._drop(place)
        column = self._dropped - self._line_start + 1
        return ValueError(f"{message}: line {self._lines + 1} column {column} (char {self._dropped})")
