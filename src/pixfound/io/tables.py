"""CSV tables as people's programs leave them: with commas, semicolons or tabs, in UTF-8 or in the UTF-16 of Excel.

Problems are UserErrors that name the file, the line and what to do. A line is one of the file, as an editor counts
them: a field in quotes may hold several.
"""

from __future__ import annotations

import codecs
import csv
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from pixfound.errors import UserError, nearest
from pixfound.io.text_files import open_text

Row = dict[str, str]
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@contextmanager
def longest_field(characters: int) -> Iterator[None]:
    """Let the fields of CSV files be so long inside the block, beyond csv's 131,072 characters."""
    before = csv.field_size_limit(characters)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def table_rows(
    path: Path, columns: Sequence[str], skipinitialspace: bool = False, aliases: Mapping[str, str] | None = None
) -> Iterator[tuple[int, Row]]:
    """(line, row) one by one. Columns without a name are passed over, and so are rows without a single value.

    columns: those that must be there. skipinitialspace: spaces that a value begins with are dropped, and quotes may
    follow them. aliases: other spellings of columns, and what they stand for. OSError where the file cannot be opened.
    """
    try:
        with open_text(path, _encoding(path)) as stream:
            yield from _rows(path, stream, columns, skipinitialspace, aliases or {})
    except UnicodeError as error:
        raise UserError(f"{path}: is no text ({error}); save it as CSV in UTF-8") from error


def read_table(path: Path, keys: Sequence[str], columns: Sequence[str]) -> dict[int, Row]:
    """Rows by their number in the key column, in the file's order; values keep the spaces around them.

    keys: spellings of the key column; rows have the first.
    """
    key, *aliases = keys
    rows: dict[int, Row] = {}
    try:
        for line, row in table_rows(path, (*columns, key), aliases=dict.fromkeys(aliases, key)):
            index = _number(row[key], f"{path}, line {line}: {key}")
            if index in rows:
                raise UserError(f"{path}, line {line}: {key} {index} stands in an earlier line too; remove one of them")
            rows[index] = row
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the folder that holds it") from error
    return rows


def _rows(
    path: Path, stream: TextIO, columns: Sequence[str], skipinitialspace: bool, aliases: Mapping[str, str]
) -> Iterator[tuple[int, Row]]:
    head = list(_down_to_header(stream))
    separator = _separator(head, {*columns, *aliases})
    reader = csv.reader(chain(head, stream), delimiter=separator, strict=True, skipinitialspace=skipinitialspace)
    lines = _lines(path, reader)
    _, header = next(lines, (0, None))
    if header is None:
        raise UserError(f"{path}: is no CSV table, for it is empty; its first line must name the columns")
    names = [aliases.get(name.strip(), name.strip()) for name in header]
    _check(path, names, columns)
    for line, fields in lines:
        if len(fields) != len(names):
            wrong = f"has {len(fields)} fields, the header {len(names)}"
            raise UserError(f"{path}, line {line}: {wrong}; put quotes around values with {_SEPARATORS[separator]}")
        yield line, {name: field for name, field in zip(names, fields, strict=True) if name}


def _down_to_header(stream: TextIO) -> Iterator[str]:
    """The lines down to the first with a sign that is no separator."""
    for line in stream:
        yield line
        if line.strip("".join(_SEPARATORS)).strip():
            return


def _separator(head: Sequence[str], columns: Collection[str]) -> str:
    """The one that finds most of the wanted columns in the header; commas where none does."""

    def matches(separator: str) -> int:
        return len({name.strip(' "\n') for name in head[-1].split(separator)} & set(columns)) if head else 0

    return max(_SEPARATORS, key=matches)  # the first of several


def _lines(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """(line that it begins in, fields) of each row with a value."""
    begins = 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield begins, fields
            begins = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}, line {begins}: is no CSV table ({error}); put its quotes right") from error


def _check(path: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    """Raise UserError where a column is missing or is there twice."""
    for name, count in Counter(filter(None, names)).items():
        if count > 1:
            raise UserError(f"{path}: the table has {count} columns {name!r}; remove or rename all but one")
    for column in columns:
        if column not in names:
            raise UserError(f"{path}: the table has no column {column!r}; {nearest(column, filter(None, names))}")


def _number(text: str, where: str) -> int:
    try:
        if text.strip().isdecimal():
            return int(text)
        raise ValueError
    except ValueError as error:
        raise UserError(f"{where} {text!r} is no number; download it again") from error


def _encoding(path: Path) -> str:
    """UTF-16 where the file begins with its mark; otherwise UTF-8, whose mark may be there."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
