"""Text files of predictions: answers as JSON lines, the phrases of candidates, and a judge's selections."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pixfound.errors import UserError
from pixfound.io.predictions.harness_answers import names_of, reply_of, table_rows
from pixfound.io.predictions.naming import Owners, inside
from pixfound.io.text_files import json_lines, text_lines

NONE = "NONE"  # the original's word for "the object is not in the image"
_PICTURES = (".jpg", ".jpeg", ".png")
# The beginning and the end of a line of meta text; between them stand the phrase, a bar, and its head.
_META = re.compile(r"(?P<file>[^/\\]+?)\.\w+ - (?P<group>\d{1,9}) - ")
_META_END = re.compile(
    r"\| (?P<similarity>[-+.\dainf]+)(?: \| (?P<start>\d{1,9}) \| (?P<end>\d{1,9})\| (?P<text>.*))?\s*\Z"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A phrase of an answer as a file of meta text has it.

    similarity: to the expression, None where it is not a number. span: characters in `text`, the whole answer; both
    only in the longer of the two forms.
    """

    group: int
    phrase: str
    head: str
    similarity: float | None
    span: tuple[int, int] | None = None
    text: str | None = None


def read_answers(path: Path, owners: Owners, key: str, offset: int = 0) -> Mapping[str, str]:
    """The answer of each example, from JSON lines, a JSON list or a table (`pixfound.io.predictions.harness_answers`).

    A row says which example it is of by its image's file name, as the original's lines of PixCV-Bench do, or by a
    number, an id, or again a file name. offset: added to such a number to get an example's; 0 where it is counted
    as the images' files are.
    """
    answers: dict[str, str] = {}
    places: dict[str, str] = {}
    table = table_rows(path, key)
    rows = list(json_lines(path, f"{key}={path}") if table is None else table)
    for (where, row), name in zip(rows, names_of(rows, owners.know), strict=True):
        text = reply_of(row, where)
        id = owners.find(_name_of(name, offset, where), f"{where}: question_id + model.offset")
        if id is not None:
            _once(id, where, places)
            answers[id] = text
    if not answers:
        raise UserError(f"{key}={path}: answers no question of this benchmark: check `question_id` and model.offset")
    return answers


def read_meta(path: Path, owners: Owners, key: str) -> Mapping[str, Mapping[int, Line]]:
    """The phrases of each example by their number.

    A line is `{file} - {group} - {phrase}| {head}| {similarity}`, and in the longer form ends in
    ` | {start} | {end}| {answer}`: the phrase's characters in the answer.
    """
    by_id: dict[str, dict[int, Line]] = {}
    for where, text in text_lines(path, f"{key}={path}"):
        file, line = _meta_line(text, where)
        id = owners.find(file, where)
        if id is None:
            continue
        lines = by_id.setdefault(id, {})
        if line.group in lines:
            raise UserError(f"{where}: {file} has a phrase number {line.group} already; remove one of them")
        lines[line.group] = line
    return by_id


def read_selections(path: Path, owners: Owners, key: str, offset: int = 1) -> Mapping[str, str]:
    """The file name that a judge selected for each example, or "NONE".

    A JSON line has `question_id`, which the original counts from 0, and `selected file`, without
    regard to its folder.
    """
    selections: dict[str, str] = {}
    places: dict[str, str] = {}
    for where, row in json_lines(path, f"{key}={path}"):
        file = row.get("selected file")
        if not isinstance(file, str):
            raise UserError(f"{where}: has no text `selected file`; write a file name or {NONE}")
        id = owners.find(_name_of(row.get("question_id"), offset, where), f"{where}: question_id + offset")
        if id is not None:
            name = inside(file.replace("\\", "/").rpartition("/")[2], where)
            _once(id, where, places)
            selections[id] = name
    if not selections:
        raise UserError(f"{key}={path}: selects for no example of this benchmark: check `question_id` and the offset")
    return selections


def _once(id: str, where: str, places: dict[str, str]) -> None:
    """Raise the UserError that names both places of an example. places: of those before it."""
    if id in places:
        raise UserError(f"{where}: example {id} stands already at {places[id]}; remove one of them")
    places[id] = where


def _name_of(id: Any, offset: int, where: str) -> str:
    """The example's name by its `question_id`: a number moved by the offset, or a word as it is.

    A picture's file name loses its extension. Raises UserError for an id that is neither a number nor a word.
    """
    if isinstance(id, bool) or not isinstance(id, int | str):
        raise UserError(f"{where}: has no `question_id`; it must be a number or an example's id")
    if isinstance(id, int) or (id.isdecimal() and len(id) < 19):
        return str(int(id) + offset)
    return PurePosixPath(id).stem if PurePosixPath(id).suffix.lower() in _PICTURES else id


def _meta_line(text: str, where: str) -> tuple[str, Line]:
    """The name of the file, without its suffix, and what is said of it: `1.jpg - 0 - the cat| cat| 0.81`."""
    begin = _META.match(text)
    bar = text.find("| ", begin.end()) if begin else -1
    end = _META_END.search(text, bar + 2) if bar >= 0 else None
    if begin is None or end is None:
        raise UserError(f"{where}: is not of the form `1.jpg - 0 - the cat| cat| 0.81`; write it so")
    try:
        similarity = float(end["similarity"])
    except ValueError as error:
        raise UserError(f"{where}: similarity {end['similarity']!r} is no number") from error
    span = None if end["start"] is None else (int(end["start"]), int(end["end"]))
    if span is not None and span[0] > span[1]:
        raise UserError(f"{where}: its phrase ends at character {span[1]}, before it starts at {span[0]}")
    finite_similarity = similarity if math.isfinite(similarity) else None
    phrase, head = text[begin.end() : bar], text[bar + 2 : end.start()]
    return begin["file"], Line(int(begin["group"]), phrase, head, finite_similarity, span, end["text"])
