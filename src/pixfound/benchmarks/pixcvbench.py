"""PixCV-Bench: the 2D part of CV-Bench with outlines of the objects asked about (arXiv 2502.04192).

    root/CV-Bench/test.parquet                       CV-Bench's questions; without it, its small test.jsonl
    root/CV-Bench/Objects.csv                        Id, file, Objects; or root/Objects.csv
    root/ADE20K/validation/FinalSegmentations.json   COCO RLE and polygons; or root/ADE20K/FinalSegmentations.json
    root/ADE20K/validation/images                    images from ADE20K
    root/COCO/FinalSegmentations.json                COCO RLE and polygons
    root/COCO/coco/images                            images from COCO

There are no pairs. The files are joined by the source and the file name of the image, never by position.
"""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args, overload

from PIL import Image

from pixfound.benchmarks.annotations import (
    Outlines,
    Size,
    answer_index,
    expect,
    read_outlines,
    read_table,
    read_text,
)
from pixfound.benchmarks.files import NO_IMAGES, ImageFile, NoImage, images_in
from pixfound.errors import UserError
from pixfound.greys import RESIZES, Resize
from pixfound.types import Example

Source = Literal["all", "ADE20K", "COCO"]
COUNTS = {"ADE20K": 633, "COCO": 805}
IMAGES = {"ADE20K": "ADE20K/validation/images", "COCO": "COCO/coco/images"}
OUTLINES = {
    "ADE20K": ("ADE20K/validation/FinalSegmentations.json", "ADE20K/FinalSegmentations.json"),
    "COCO": ("COCO/FinalSegmentations.json",),
}
OBJECTS = ("CV-Bench/Objects.csv", "Objects.csv")
QUESTIONS = ("CV-Bench/test.parquet", "CV-Bench/test.jsonl")
RED_BOX = "(annotated by the red box)"
_COLUMNS = ("task", "question", "choices", "answer", "source", "source_filename")
_AGAIN = "download it again"


@dataclass(frozen=True)
class _Draft:
    """An example without its mask, which needs the image's size."""

    id: str
    image: ImageFile | NoImage
    question: str
    options: tuple[str, ...]
    answer: int
    expression: str
    tags: Mapping[str, str]
    outlines: Outlines

    def example(self, resize: Resize) -> Example:
        size = _size_of(self.image) or self.outlines.size
        mask = self.outlines.union(size, resize)
        return Example(
            self.id, self.image, self.question, self.options, self.answer, self.expression, mask, tags=self.tags
        )


class PixCVBench(Sequence[Example]):
    """1,438 examples, 633 from ADE20K (ids "0" to "632") and 805 from COCO (ids "633" to "1437").

    root: the folder of the files above. source: `all`, or one of the two. images: `none` does without the images
    (model=precomputed). resize: how outlines stored at another size than the image's are resized: to the `nearest`
    pixel, or `linear`ly as the paper's code does it.

    The annotations do not say how large the images are, so an example reads its image's size (the file's header,
    no pixels) when it is first taken; outlines stored at another size are resized. An image that
    cannot be opened fails when it is loaded, alone; until then its mask is of the outlines' own size.
    """

    def __init__(
        self, root: str, source: Source = "all", images: str | None = None, resize: Resize = "nearest"
    ) -> None:
        if resize not in RESIZES:
            raise UserError(f"benchmark.resize={resize}: must be {' or '.join(RESIZES)}")
        if images not in (None, NO_IMAGES):
            raise UserError(f"benchmark.images={images}: must be {NO_IMAGES}, or null for those below benchmark.root")
        if source not in get_args(Source):
            raise UserError(f"benchmark.source={source}: must be {' or '.join(get_args(Source))}")
        folder = Path(root).expanduser()
        sources = tuple(COUNTS) if source == "all" else (source,)
        table = first_of(folder, OBJECTS)
        rows = read_table(table, ("Id",), ("file", "Objects"))
        expect(list(rows), range(sum(COUNTS.values())), f"{table}, column Id")
        questions_path = first_of(folder, QUESTIONS)
        questions = read_questions(questions_path, sources)
        outlines = {s: _by_name(first_of(folder, OUTLINES[s])) for s in sources}
        names = {id: _place(row["file"], f"{table}, Id {id}") for id, row in rows.items()}
        chosen = {id: place for id, place in names.items() if place[0] in sources}
        self.left_out = {str(id): Path(name).stem for id, (_, name) in names.items() if id not in chosen}
        files: dict[str, dict[str, ImageFile | NoImage]] = {}
        for s in sources:
            wanted = [name for origin, name in chosen.values() if origin == s]
            if len(set(wanted)) != COUNTS[s]:
                raise UserError(f"{table}: has {len(set(wanted))} images of {s}, not {COUNTS[s]}; {_AGAIN}")
            expect(list(outlines[s]), wanted, f"{first_of(folder, OUTLINES[s])}, file names of the images")
            without = images == NO_IMAGES
            files[s] = images_in(folder / IMAGES[s], wanted, "benchmark.root, images", without)
        self._resize = resize
        self._drafts: list[_Draft] = []
        for id, (origin, name) in sorted(chosen.items()):
            where = f"{table}, Id {id}"
            if (origin, name) not in questions:
                raise UserError(f"{where}: {questions_path} has no 2D question about {name} of {origin}; {_AGAIN}")
            row = questions[origin, name]
            options = tuple(str(choice) for choice in row["choices"])
            answer = answer_index(str(row["answer"]), options, f"{questions_path}, the row of {name}")
            text = str(row["question"]).strip()
            expression = refer(rows[id]["Objects"], text, where)
            tags = {"task": str(row["task"]), "source": origin}
            outline = outlines[origin][name]
            self._drafts.append(_Draft(str(id), files[origin][name], text, options, answer, expression, tags, outline))
        self._examples: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self._drafts)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self[place] for place in places]
        if places not in self._examples:
            self._examples[places] = self._drafts[places].example(self._resize)
        return self._examples[places]


def image_names(folder: Path) -> list[tuple[str, str]]:
    """Source and file name of every image that the table of objects in a folder names."""
    table = first_of(folder, OBJECTS)
    return [_place(row["file"], f"{table}, Id {id}") for id, row in read_table(table, ("Id",), ("file",)).items()]


def refer(objects: str, question: str, where: str) -> str:
    """The referring expression of an entry of Objects: "a", "a and b", or "a (annotated by the red box) and b".

    objects: a name, or the printed form of a tuple of two. A name may hold commas between its synonyms.
    """
    text = objects.strip()
    if not text.startswith("("):
        if text:
            return text
        raise UserError(f"{where}: Objects is empty; {_AGAIN}")
    try:
        pair = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise UserError(f"{where}: Objects {objects!r} is no tuple of two names ({error}); {_AGAIN}") from error
    if not (isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(name, str) for name in pair)):
        raise UserError(f"{where}: Objects {objects!r} is no tuple of two names; {_AGAIN}")
    if RED_BOX not in question:
        return f"{pair[0]} and {pair[1]}"
    boxed = highlighted(question, pair)
    return f"{pair[boxed]} {RED_BOX} and {pair[1 - boxed]}"


def highlighted(question: str, names: tuple[str, str]) -> int:
    """Which of two names, 0 or 1, the question marks with the red box.

    The words between "the" and the mark are the name or one of its synonyms; a name that ends them settles it,
    the longest one if both do. Where the question uses words of its own ("trees" for "tree"), the name more like
    what is marked, and less like what it is compared with, is taken.
    """
    before = question.partition(RED_BOX)[0].lower().strip()
    ends = [max((len(w) for w in _synonyms(name) if f" {before}".endswith(f" {w}")), default=0) for name in names]
    if ends[0] != ends[1]:
        return int(ends[1] > ends[0])
    marked = before.rpartition("the ")[2]
    other = question.lower().rpartition("with respect to the ")[2].strip(" ?.")
    first = _alike(marked, names[0]) + _alike(other, names[1])
    second = _alike(marked, names[1]) + _alike(other, names[0])
    return int(second > first)


def read_questions(path: Path, sources: Sequence[str]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """CV-Bench's rows by source and file name of the image; those of other sources (Omni3D) are left out."""
    rows = _read_parquet(path) if path.suffix == ".parquet" else _read_lines(path)
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for number, row in enumerate(rows):
        if row["source"] not in sources:
            continue
        where = f"{path}, row {number}"
        if not isinstance(row["source_filename"], str) or not isinstance(row["choices"], list):
            raise UserError(f"{where}: source_filename is no text or choices no list; {_AGAIN}")
        key = (str(row["source"]), PurePosixPath(row["source_filename"]).name)
        if key in found:
            raise UserError(f"{where}: {key[1]} of {key[0]} stands in an earlier row too; {_AGAIN}")
        found[key] = row
    return found


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
        if lacking := [name for name in _COLUMNS if name not in has]:
            raise UserError(f"{path}: has no column {lacking[0]!r}, so it is not CV-Bench's; {_AGAIN}")
        rows: list[dict[str, Any]] = parquet.read_table(path, columns=list(_COLUMNS)).to_pylist()
    except UserError:
        raise
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise UserError(f"{path}: is no readable parquet file ({error}); {_AGAIN}") from error
    return rows


def _read_lines(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append({name: row[name] for name in _COLUMNS})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}, line {number}: is no JSON object with {', '.join(_COLUMNS)} ({error})") from error
    return rows


def _by_name(path: Path) -> dict[str, Outlines]:
    outlines = read_outlines(path)
    found = {outline.file_name: outline for outline in outlines.values()}
    if len(found) != len(outlines):
        raise UserError(f"{path}: {len(outlines) - len(found)} file names stand for several images; {_AGAIN}")
    return found


def _place(file: str, where: str) -> tuple[str, str]:
    """Source and file name of "CV-Bench/COCO/coco/images/1.jpg"."""
    parts = PurePosixPath(file.strip()).parts
    source = next((s for s in COUNTS if s in parts), None)
    if source is None:
        raise UserError(f"{where}: file {file!r} is of none of {', '.join(COUNTS)}; {_AGAIN}")
    return source, parts[-1]


def _synonyms(name: str) -> set[str]:
    whole = name.lower().strip()
    return {whole, *(part.strip() for part in whole.split(",") if part.strip())}


def _alike(words: str, name: str) -> float:
    """How alike some words and a name are, from 0 to 1, by the most similar of its synonyms."""
    return max(SequenceMatcher(None, words, synonym).ratio() for synonym in _synonyms(name))


def _size_of(image: ImageFile | NoImage) -> Size | None:
    """(H, W) from the header of an image's file; None where it cannot be opened."""
    try:
        with Image.open(image.path) as picture:
            return picture.height, picture.width
    except OSError:
        return None
