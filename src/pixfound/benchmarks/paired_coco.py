"""Anyone's own benchmark: a COCO annotation file, a table of questions and a folder of images.

The table is a CSV file, with commas, semicolons or tabs, with a line for each example and the columns

    id            unique name of the example
    image         the image's `file_name` in the annotation file
    question      the question
    options       "(a) yes (b) no", or "yes|no"
    answer        the right option's letter: a, (a), A
    expression    the referring expression
    pair_id       shared by the two examples of a pair; may be left out
    annotations   ids of the annotations that the expression refers to, separated by spaces; empty where the
                  object is absent. Without the column all annotations of the image are referred to, and it has some.

and any others, which become tags. Annotations may be polygons, compressed or uncompressed RLE, in the pixels of the
picture. An object is absent only where that is said: by an empty cell in `annotations`, or by an RLE of no pixel.
Polygons without a pixel in the picture, and `segmentation: []`, are an error where they are referred to.

A photo may carry an EXIF orientation, by which viewers turn it. It is taken as stored, for COCO's annotations and the
loaders of most models leave EXIF alone; `benchmark.exif=turned` turns it, where photos
were outlined in a tool that shows them turned. The model sees what the masks are drawn on either way.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pixfound.benchmarks.image_sources import images_in
from pixfound.errors import UserError, nearest
from pixfound.interfaces import Benchmark
from pixfound.io.coco import by_file_name, read_coco
from pixfound.io.tables import table_rows
from pixfound.types import Example, ImageSource
from pixfound.types.masks import RLE, union
from pixfound.types.option_letters import index_of

Exif = Literal["stored", "turned"]
_REQUIRED = ("id", "image", "question", "options", "answer", "expression")
_KNOWN = (*_REQUIRED, "pair_id", "annotations")


class PairedCoco(Benchmark):
    """annotations: COCO JSON file. questions: CSV file. images: folder. Nothing but text is read here.

    exif: pictures are taken as `stored`, or `turned` as their EXIF orientation says.
    Raises UserError, with file and line, for what cannot be read or scored.
    """

    def __init__(self, annotations: str, questions: str, images: str, exif: Exif = "stored") -> None:
        outlined = _read_annotations(annotations)
        rows = _read_table(Path(questions).expanduser())
        names = [row["image"] for _, row in rows]
        source = images_in(Path(images).expanduser(), names, "benchmark.images", turn=exif == "turned")
        ids: set[str] = set()
        pairs: dict[str, list[int]] = {}  # the lines of each
        for line, row in rows:
            where, name = f"{questions}, line {line}", row["image"]
            if row["id"] in ids:
                raise UserError(f"{where}: the id {row['id']!r} stands in an earlier line too; ids must be unique")
            ids.add(row["id"])
            image = outlined.get(name)
            if image is None:
                raise UserError(f"{where}: image {name!r} is not in {annotations}; {nearest(name, outlined)}")
            if row.get("pair_id"):
                members = pairs.setdefault(row["pair_id"], [])
                members.append(line)
                if len(members) > 2:
                    raise UserError(
                        f"{where}: the pair {row['pair_id']!r} has two examples already, in lines {members[0]} and "
                        f"{members[1]}; give this one another pair_id"
                    )
            self.append(_example(row, image, source(name), where))


@dataclass(frozen=True, slots=True)
class _Image:
    """Annotations of one image. size: (H, W). masks: by the annotation's id.

    blank: ids of annotations that outline no pixel, without an RLE that says so.
    """

    size: tuple[int, int]
    masks: dict[str, RLE] = field(default_factory=dict)
    blank: set[str] = field(default_factory=set)

    @property
    def objects(self) -> tuple[RLE, ...]:
        """The masks of what can be seen."""
        return tuple(mask for id, mask in self.masks.items() if id not in self.blank)


def parse_options(text: str) -> tuple[str, ...]:
    """The options of "(a) yes (b) no" or of "yes|no"; ValueError where the letters are not in their order.

    >>> parse_options("(a) Open (b) Closed")
    ('Open', 'Closed')
    """
    if "|" in text:
        return tuple(part.strip() for part in text.split("|"))
    before, *parts = re.split(r"\(([a-zA-Z])\)", text)
    letters, options = parts[::2], parts[1::2]
    if not parts:
        return (text.strip(),)
    if before.strip() or "".join(letters).lower() != string.ascii_lowercase[: len(letters)]:
        raise ValueError(f"the options {text!r} are not of the form '(a) yes (b) no', in this order, or 'yes|no'")
    return tuple(option.strip() for option in options)


def _example(row: Mapping[str, str], image: _Image, source: ImageSource, where: str) -> Example:
    try:
        options = parse_options(row["options"])
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    answer = index_of(row["answer"], len(options))
    if len(options) < 2 or answer is None:
        raise UserError(f"{where}: answer {row['answer']!r} is no letter of the options {row['options']!r}")
    referred = _referred(row, image, where)
    try:
        return Example(
            id=row["id"],
            image=source,
            question=row["question"],
            options=options,
            answer=answer,
            expression=row["expression"].strip(),
            gt_mask=referred,
            pair_id=row.get("pair_id") or None,
            objects=image.objects if "annotations" in row else (),
            tags={name: value for name, value in row.items() if name not in _KNOWN},
        )
    except UserError as error:
        raise UserError(f"{where}: {error}; put it right in the table") from error


def _referred(row: Mapping[str, str], image: _Image, where: str) -> RLE:
    """The mask of what a row refers to, which is empty only where the row or an RLE says so."""
    masks = image.masks
    if "annotations" not in row and not masks:
        raise UserError(
            f"{where}: {row['image']} has no annotation; where the object is absent say so by a column `annotations`, "
            "which is empty there and has the annotations' ids elsewhere"
        )
    referred = row["annotations"].split() if "annotations" in row else list(masks)
    for name in referred:
        if name not in masks:
            raise UserError(f"{where}: annotation {name} does not belong to {row['image']}; {nearest(name, masks)}")
        if name in image.blank:
            raise UserError(
                f"{where}: annotation {name} outlines no pixel of {row['image']}; outline the object, or leave the "
                "column `annotations` empty where it is absent"
            )
    return union((masks[name] for name in referred), image.size)


def _read_annotations(path: str) -> Mapping[str, _Image]:
    """The images of a COCO file by file name."""
    images: dict[str, _Image] = {}
    ids: set[str] = set()  # of annotations
    label = f"benchmark.annotations={path}"
    coco = read_coco(Path(path).expanduser(), "benchmark.annotations", allow_empty=True)
    for name, entry in by_file_name(coco, label).items():
        if entry.size is None:
            raise UserError(f"{label}: image {name!r} has no height and width; add them")
        images[name] = image = _Image(entry.size)
        for annotation in entry.annotations:
            id = annotation.id
            if not id:
                raise UserError(f"{annotation.where} has no id; give it a number of its own")
            if id in ids:
                raise UserError(f"{label}: two annotations have the id {id}; ids must be unique: give one another id")
            ids.add(id)
            image.masks[id] = mask = annotation.mask(entry.size)
            if not isinstance(annotation.outline, RLE) and mask.area == 0:
                image.blank.add(id)
    return images


def _read_table(path: Path) -> list[tuple[int, Mapping[str, str]]]:
    """(line, row) of the table of questions."""
    try:
        return list(table_rows(path, _REQUIRED, skipinitialspace=True))
    except OSError as error:
        raise UserError(f"benchmark.questions={path}: cannot be read ({error.strerror})") from error
