"""Text, JSON and JSON lines in files, with the place of an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from pixfound.errors import UserError


def parse_json(text: str | bytes) -> Any:
    """`json.loads` that raises JSONDecodeError, and no RecursionError, where values are nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", "", 0) from None


@contextmanager
def open_text(path: Path, encoding: str = "utf-8-sig") -> Iterator[TextIO]:
    """A text file for reading; line ends are read as line feeds, and a byte order mark is dropped.

    Raises UnicodeError, with the position in the whole file, for bytes that are not in the encoding.
    """
    with path.open("rb") as file, TextIOWrapper(file, encoding) as stream:
        try:
            yield stream
        except UnicodeDecodeError as error:  # its position counts from the last chunk
            position = file.tell() - len(error.object) + error.start
            reason = f"byte 0x{error.object[error.start]:02x} in position {position}"
            raise UnicodeError(f"{error.encoding!r} codec can't decode {reason}: {error.reason}") from error


def read_json(path: Path) -> Any:
    """The value of a JSON file. Raises OSError, and ValueError with the place of the error for invalid JSON."""
    with open_text(path) as stream:
        return parse_json(stream.read())


def text_lines(path: Path, label: str) -> Iterator[tuple[str, str]]:
    """("PATH, line N", line) of each line of a text file that is not blank.

    label: name of the file in error messages, such as `model.answers.open=PATH`.
    """
    try:
        with open_text(path) as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield f"{path}, line {number}", line.removesuffix("\n")
    except OSError as error:
        raise UserError(f"{label}: cannot be read ({error.strerror}); give the file") from error
    except UnicodeError as error:
        raise UserError(f"{label}: is no text in UTF-8 ({error}); save it in UTF-8") from error


def json_lines(path: Path, label: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """("PATH, line N", object) of each line of a JSON lines file that is not blank; `label` as in `text_lines`."""
    for where, text in text_lines(path, label):
        try:
            row = parse_json(text)
        except ValueError as error:
            raise UserError(f"{where}: is no JSON ({error}); write one object a line") from error
        if not isinstance(row, dict):
            raise UserError(f"{where}: is no JSON object; write one object a line")
        yield where, row
