"""Answer files of other harnesses: lmms-eval's samples and VLMEvalKit's tables.

lmms-eval writes JSON lines with `doc_id`, counted from 0, `doc` and `filtered_resps` (`--log_samples`,
lmms_eval/loggers/evaluation_tracker.py). VLMEvalKit writes a table with `index` and `prediction` beside the columns of
the benchmark, `answer` among them, which is the truth (PRED_FORMAT=tsv or json, vlmeval/inference.py).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.io.tables import longest_field
from pixfound.io.text_files import open_text, read_json

Row = tuple[str, dict[str, Any]]  # where it stands, and what it has
_FIELD = 2**31 - 1  # characters of a cell: a table may have its pictures as base64


def table_rows(path: Path, key: str) -> Iterator[Row] | None:
    """The rows of a table (.tsv, .csv) or of a JSON list; None for a file of another kind."""
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        raise UserError(
            f"{key}={path}: workbooks are not read; run VLMEvalKit with PRED_FORMAT=tsv, or save it as .tsv"
        )
    if suffix in (".tsv", ".csv"):
        return _table(path, key, "\t" if suffix == ".tsv" else ",")
    try:
        with open_text(path) as stream:
            is_list = suffix == ".json" and stream.read(1) == "["
    except (OSError, UnicodeError):
        return None  # the reader of lines says why
    return _list(path, key) if is_list else None


def _table(path: Path, key: str, delimiter: str) -> Iterator[Row]:
    try:
        with longest_field(_FIELD), open_text(path) as stream:
            for number, row in enumerate(csv.DictReader(stream, delimiter=delimiter), start=1):
                yield f"{path}, row {number}", dict(row)
    except OSError as error:
        raise UserError(f"{key}={path}: cannot be read ({error.strerror}); give the file") from error
    except (csv.Error, UnicodeError) as error:
        raise UserError(f"{key}={path}: is no table in UTF-8 ({error}); write it again") from error


def _list(path: Path, key: str) -> Iterator[Row]:
    try:
        rows = read_json(path)
    except OSError as error:
        raise UserError(f"{key}={path}: cannot be read ({error.strerror}); give the file") from error
    except ValueError as error:
        raise UserError(f"{key}={path}: is no JSON file ({error}); write it again") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{key}={path}: is no list of objects; write one object for each answer")
    return ((f"{path}, row {number}", row) for number, row in enumerate(rows, start=1))


def reply_of(row: Mapping[str, Any], where: str) -> str:
    """The model's text in a row of a harness, or of arXiv 2502.04192: `response` (protocols 1 and 3), `answer` (2)."""
    name = next((n for n in ("filtered_resps", "prediction", "response", "answer") if n in row), "answer")
    text = row.get(name)
    while isinstance(text, list) and len(text) == 1:
        text = text[0]
    if not isinstance(text, str):
        raise UserError(
            f"{where}: has neither text `response` nor text `answer`, nor `filtered_resps` (lmms-eval) or `prediction` "
            "(VLMEvalKit); write one line for each answer"
        )
    return text


def names_of(rows: Sequence[Row], is_known: Callable[[str], bool]) -> list[Any]:
    """The name of the example in each row.

    An image's file name, `image`, or `question_id`; VLMEvalKit's `index`; of lmms-eval the document's `question_id` or
    `id` where all of these are examples', else `doc_id`. is_known: True for a name of an example.
    """
    documents: list[dict[str, Any]] = [row["doc"] if isinstance(row.get("doc"), dict) else {} for _, row in rows]
    for name in ("question_id", "id"):
        if documents and all(name in document and is_known(str(document[name])) for document in documents):
            return [document[name] for document in documents]
    return [_name(row) for _, row in rows]


def _name(row: Mapping[str, Any]) -> Any:
    if isinstance(row.get("image"), str) and "prediction" not in row:
        return row["image"]
    return next((row[name] for name in ("question_id", "index", "doc_id") if name in row), None)
