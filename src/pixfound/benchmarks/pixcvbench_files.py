"""The files of PixCV-Bench: where they lie below its root, and CV-Bench's questions in them.

Questions, names of objects and outlines are joined by the source and the file name of the image.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pixfound.errors import UserError
from pixfound.io.coco import CocoImage, by_file_name, read_coco
from pixfound.io.tables import read_table
from pixfound.io.text_files import json_lines

COUNTS = {"ADE20K": 633, "COCO": 805}
IMAGES = {"ADE20K": "ADE20K/validation/images", "COCO": "COCO/coco/images"}
OUTLINES = {
    "ADE20K": ("ADE20K/validation/FinalSegmentations.json", "ADE20K/FinalSegmentations.json"),
    "COCO": ("COCO/FinalSegmentations.json",),
}
OBJECTS = ("CV-Bench/Objects.csv", "Objects.csv")
QUESTIONS = ("CV-Bench/test.parquet", "CV-Bench/test.jsonl")
_COLUMNS = ("task", "question", "choices", "answer", "source", "source_filename")
AGAIN = "download it again"


def image_names(folder: Path) -> list[tuple[str, str]]:
    """Source and file name of every image that the table of objects in a folder names."""
    table = first_of(folder, OBJECTS)
    return [place_of(row["file"], f"{table}, Id {id}") for id, row in read_table(table, ("Id",), ("file",)).items()]


def read_questions(path: Path, sources: Sequence[str]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """CV-Bench's rows by source and file name of the image; those of other sources (Omni3D) are left out."""
    rows = _read_parquet(path) if path.suffix == ".parquet" else _read_lines(path)
    questions: dict[tuple[str, str], Mapping[str, Any]] = {}
    for number, row in enumerate(rows):
        if row["source"] not in sources:
            continue
        where = f"{path}, row {number}"
        if not isinstance(row["source_filename"], str) or not isinstance(row["choices"], list):
            raise UserError(f"{where}: source_filename is no text or choices no list; {AGAIN}")
        key = (str(row["source"]), PurePosixPath(row["source_filename"]).name)
        if key in questions:
            raise UserError(f"{where}: {key[1]} of {key[0]} stands in an earlier row too; {AGAIN}")
        questions[key] = row
    return questions


def first_of(folder: Path, names: Sequence[str]) -> Path:
    """The first of some files that is there; UserError with all the places that were tried."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"benchmark.root={folder}: has no {' and no '.join(names)}; give the folder that holds it")


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            f'{path} needs pyarrow: pip install "pixfound[cvbench]", or put CV-Bench\'s test.jsonl in its place'
        ) from error
    try:
        has = parquet.read_schema(path).names
        if missing := [name for name in _COLUMNS if name not in has]:
            raise UserError(f"{path}: has no column {missing[0]!r}, so it is not CV-Bench's; {AGAIN}")
        rows: list[dict[str, Any]] = parquet.read_table(path, columns=list(_COLUMNS)).to_pylist()
    except UserError:
        raise
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise UserError(f"{path}: is no readable parquet file ({error}); {AGAIN}") from error
    return rows


def _read_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    for where, row in json_lines(path, str(path)):
        try:
            rows.append({name: row[name] for name in _COLUMNS})
        except KeyError as error:
            raise UserError(f"{where}: is no JSON object with {', '.join(_COLUMNS)} (it lacks {error})") from error
    return rows


def outlines_by_name(path: Path) -> dict[str, CocoImage]:
    """The images of a COCO file by file name."""
    return by_file_name(read_coco(path), path)


def place_of(file: str, where: str) -> tuple[str, str]:
    """Source and file name of "CV-Bench/COCO/coco/images/1.jpg"."""
    parts = PurePosixPath(file.strip()).parts
    source = next((s for s in COUNTS if s in parts), None)
    if source is None:
        raise UserError(f"{where}: file {file!r} is of none of {', '.join(COUNTS)}; {AGAIN}")
    return source, parts[-1]
