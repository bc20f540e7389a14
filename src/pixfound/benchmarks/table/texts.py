"""Texts, options and answers in a table's cells."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import string
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from pixfound.benchmarks.table.columns import TEMPLATE, AnswerColumn, ImageColumn, OptionColumns, RegionColumn, Text
from pixfound.benchmarks.table.rows import Fault, Row
from pixfound.types.option_letters import index_of

_MARKER = re.compile(r"(?:^|(?<=[\s>(\[]))([(\[]?)([A-Za-z])([)\].:])")


def matched(value: Any, pattern: str | None, column: str) -> Any:
    """The part of a text that a pattern's first group matches, or all that it matches; other values as they are."""
    if pattern is None or not isinstance(value, str):
        return value
    match = re.search(pattern, value, re.DOTALL)
    if match is None:
        raise Fault(f"does not match {pattern!r}", "change `match` in the spec of this column", column, value)
    return match[1] if match.re.groups else match[0]


def named_by(row: Row, spec: ImageColumn | RegionColumn) -> Any:
    """The cell of a picture or region; the name by its template, null where one of the columns in it is."""
    if spec.template is None:
        return matched(row.cell(spec.column or ""), spec.match, spec.column or "")
    cells = {name: row.cell(name) for name in TEMPLATE.findall(spec.template)}
    if None in cells.values():
        return None
    return TEMPLATE.sub(lambda name: plain(cells[name[1]]), spec.template)


def texts_of(row: Row, spec: Text, fields: Mapping[str, str]) -> list[str]:
    """The texts of a cell, several where it holds a list. fields: of the example, for templates."""
    if spec.template is not None:

        def filled(name: re.Match[str]) -> str:
            if name[1] in fields:
                return fields[name[1]]
            value = row.cell(name[1])
            return " and ".join(map(plain, value)) if isinstance(value, list) else plain(value)

        return [TEMPLATE.sub(filled, spec.template)]
    column = spec.column or ""
    value = listed(row.cell(column))
    values = value if isinstance(value, list | tuple) else [value]
    texts = [plain(matched(element, spec.match, column)) for element in values if element is not None]
    return [re.sub(spec.remove, "", text).strip() if spec.remove else text for text in texts]


def text_of(row: Row, spec: Text, fields: Mapping[str, str]) -> str:
    """The one text of a cell; "" for null."""
    texts = texts_of(row, spec, fields)
    if len(texts) > 1:
        raise Fault("is a list where one text is wanted", "name an element: COLUMN.0", spec.column or "", texts)
    return texts[0] if texts else ""


def listed(value: Any) -> Any:
    """A text that writes a list, as cells of CSV files do, as that list; other values as they are."""
    if isinstance(value, str) and value.strip().startswith("[") and value.strip().endswith("]"):
        for parse in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
                return parse(value.strip())
    return value


def plain(value: Any) -> str:
    """A cell as text; a whole number without its fraction; "" for null."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """(what stands before them, options) of a text with the letters A, B ... in order; (text, ()) without.

    The letters are of one style (case and brackets), that of most of them.

    >>> split_options("Which one? (a) red (b) dark blue")
    ('Which one?', ('red', 'dark blue'))
    """
    by_style: dict[tuple[str, bool, str], list[re.Match[str]]] = {}
    for mark in _MARKER.finditer(text):
        style = mark[1], mark[2].isupper(), mark[3]
        marks = by_style.get(style, [])
        if mark[2].lower() == "a" and len(marks) < 2:
            by_style[style] = [mark]
        elif marks and mark[2].lower() == string.ascii_lowercase[len(marks)]:
            marks.append(mark)
    marks = max(by_style.values(), key=len, default=[])
    if len(marks) < 2:
        return text, ()
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    options = tuple(text[mark.end() : end].strip(" \t\r\n,;") for mark, end in zip(marks, ends, strict=True))
    return text[: marks[0].start()].strip(), options


def options_of(row: Row, spec: OptionColumns, question: str) -> tuple[str, tuple[str, ...]]:
    """(the question without options, the options in the order of the letters)."""
    if spec.inside:
        stem, options = split_options(question)
        if not options:
            raise Fault(
                "holds no options A, B ... in order", "they stand elsewhere: name their columns", "question", question
            )
        return stem, options
    if spec.columns:
        cells = [plain(row.cell(column)).strip() for column in spec.columns]
        found = tuple(cell for cell in cells if cell and cell != "nan")
        if found or not spec.column:
            return question, found
    column = spec.column or ""
    value = row.cell(column)
    if value is None or value == []:
        return question, ()
    value = listed(value)
    if isinstance(value, Mapping):  # letter -> text; Parquet has null for those that other rows have
        value = [value[name] for name in sorted(value) if value[name] not in (None, "")]
    if isinstance(value, list | tuple):
        texts = tuple(plain(element).strip() for element in value)
        return question, split_options("\n".join(texts))[1] if _lettered(texts) else texts
    text = plain(value)
    if "|" in text:
        return question, tuple(part.strip() for part in text.split("|"))
    before, options = split_options(text)
    if before or len(options) < 2:
        raise Fault("is no `(a) yes (b) no` in this order, nor `yes|no`", "put the options right", column, value)
    return question, options


def answer_of(
    row: Row, spec: AnswerColumn, options: Sequence[str], shuffle: int | None, id: str
) -> tuple[tuple[str, ...], int | None, tuple[str, ...]]:
    """(options in the order asked, index of the right one or None, accepted free answers)."""
    column = spec.column or ""
    value = None if spec.form == "first" else matched(row.cell(column), spec.match, column)
    if not options:
        value = listed(value)
        accepted = value if isinstance(value, list | tuple) else [value]
        answers = tuple(text for text in (plain(answer).strip() for answer in accepted) if text)
        if not answers:
            raise Fault("has no answer", "leave the row out, or write one", column, value)
        return (), None, answers
    index = _index(value, spec, options, column)
    if shuffle is not None:
        seed = hashlib.sha256(f"{shuffle} {id}".encode()).digest()
        order = np.random.default_rng(list(seed)).permutation(len(options)).tolist()
        options, index = [options[i] for i in order], order.index(index)
    return tuple(options), index, ()


def _index(value: Any, spec: AnswerColumn, options: Sequence[str], column: str) -> int:
    text, count = plain(value).strip(), len(options)
    index: int | None = None
    if spec.form == "first":
        index = 0
    elif spec.form == "letter":
        match = re.fullmatch(r"\(?([A-Za-z])([).:]?)\s*(.*)", text, re.DOTALL)
        index = index_of(match[1], count) if match else None
        if match and index is not None and not match[2] and match[3] not in ("", options[index]):
            index = None  # a text that begins with a letter: "a cat"
    elif spec.form == "index":
        index = int(text) - spec.start if re.fullmatch(r"-?\d+", text) else None
    elif list(map(str.casefold, options)).count(text.casefold()) == 1:
        index = list(map(str.casefold, options)).index(text.casefold())
    if index is None or not 0 <= index < count:
        other = _other(text, options)
        cure = "" if other == spec.form else f", or say what it is: benchmark.columns.answer.form={other}"
        raise Fault(f"is no {spec.form} of the options {list(options)}", f"put it right{cure}", column, value)
    return index


def _other(text: str, options: Sequence[str]) -> str:
    """The form under which an answer would be read."""
    if text.casefold() in map(str.casefold, options):
        return "text"
    return "index" if text.isdecimal() else "letter"


def _lettered(texts: Sequence[str]) -> bool:
    return all(
        re.match(rf"\(?{letter}[).:]", text, re.IGNORECASE)
        for letter, text in zip(string.ascii_lowercase, texts, strict=False)
    )
