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
                  object is absent. Without the column all annotations of the image are referred to.

and any others, which become tags. Annotations may be polygons, compressed or uncompressed RLE.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pycocotools import mask as coco

from pixfound.benchmarks.files import images_in
from pixfound.benchmarks.shelved import ShelvedExamples
from pixfound.benchmarks.tables import table_rows
from pixfound.errors import UserError, nearest
from pixfound.masks import RLE, union
from pixfound.shelf import Shelf
from pixfound.streams import NoList, json_lists
from pixfound.types import Example, ImageSource

_REQUIRED = ("id", "image", "question", "options", "answer", "expression")
_KNOWN = (*_REQUIRED, "pair_id", "annotations")


class PairedCoco(ShelvedExamples):
    """annotations: COCO JSON file. questions: CSV file. images: folder. Nothing but text is read here."""

    def __init__(self, annotations: str, questions: str, images: str) -> None:
        outlined = _read_annotations(annotations)
        table = Path(questions).expanduser()
        names = (row["image"] for _, row in _read_table(table))
        source = images_in(Path(images).expanduser(), names, "benchmark.images")
        super().__init__(source, lambda name: tuple(outlined[name].masks.values()))
        seen: set[str] = set()
        for line, row in _read_table(table):
            where, name = f"{questions}, line {line}", row["image"]
            if row["id"] in seen:
                raise UserError(f"{where}: the id {row['id']!r} stands in an earlier line too; ids must be unique")
            seen.add(row["id"])
            image = outlined.get(name)
            if image is None:
                raise UserError(f"{where}: image {name!r} is not in {annotations}; {nearest(name, outlined)}")
            self.append(_example(row, image, source(name), where), name)


@dataclass(frozen=True, slots=True)
class _Image:
    """What the annotation file has of an image. size: (H, W). masks: by the annotation's id."""

    size: tuple[int, int]
    masks: Mapping[str, RLE]


def parse_options(text: str) -> tuple[str, ...]:
    """The options of "(a) yes (b) no" or of "yes|no"."""
    if "|" in text:
        return tuple(part.strip() for part in text.split("|"))
    return tuple(part.strip() for part in re.split(r"\s*\([a-z]\)\s*", text) if part.strip())


def parse_segmentation(segmentation: Any, size: tuple[int, int]) -> RLE:
    """A mask of `size` (H, W) from COCO polygons, compressed RLE or uncompressed RLE."""
    if isinstance(segmentation, Sequence) and not isinstance(segmentation, str):
        return RLE.from_polygons(segmentation, size)
    packed = segmentation
    if isinstance(packed["counts"], list):
        packed = coco.frPyObjects(packed, *packed["size"])
    counts = packed["counts"]
    found = RLE((packed["size"][0], packed["size"][1]), counts.decode() if isinstance(counts, bytes) else counts)
    if found.size != size:
        raise ValueError(f"the mask is of size {found.size}, the image of {size} (height, width)")
    return found


def _example(row: Mapping[str, str], image: _Image, source: ImageSource, where: str) -> Example:
    options = parse_options(row["options"])
    letter = row["answer"].strip(" ().").lower()
    answer = ord(letter) - ord("a") if len(letter) == 1 else -1
    if len(options) < 2 or not 0 <= answer < len(options):
        raise UserError(f"{where}: answer {row['answer']!r} is no letter of the options {row['options']!r}")
    masks = image.masks
    referred = row["annotations"].split() if "annotations" in row else list(masks)
    for name in referred:
        if name not in masks:
            raise UserError(f"{where}: annotation {name} does not belong to {row['image']}; {nearest(name, masks)}")
    return Example(
        id=row["id"],
        image=source,
        question=row["question"],
        options=options,
        answer=answer,
        expression=row["expression"].strip(),
        gt_mask=union((masks[name] for name in referred), image.size),
        pair_id=row.get("pair_id") or None,
        objects=tuple(masks.values()) if "annotations" in row else (),
        tags={name: value for name, value in row.items() if name not in _KNOWN},
    )


def _read_annotations(path: str) -> Mapping[str, _Image]:
    """What a COCO file, named as it was typed, has of each image, by file name."""
    ids: Shelf[tuple[str, tuple[int, int]]] = Shelf(lambda values: (values[-1][0], tuple(values[-1][1])))
    images: Shelf[_Image] = Shelf(_image)
    too_early = False
    for member, entry in _entries(path, "images", "annotations"):
        if member == "images":
            name, size = _add_image(entry, ids, path)
            images.add(name, {"size": size})
        elif images:
            images.add(*_outlined(entry, ids, path))
        else:
            too_early = True  # its image's size is not known yet
    if too_early:
        for _, entry in _entries(path, "annotations"):
            images.add(*_outlined(entry, ids, path))
    return images


def _add_image(entry: Any, ids: Shelf[tuple[str, tuple[int, int]]], path: str) -> tuple[str, tuple[int, int]]:
    """The file name and size of an image, which are put under its id."""
    try:
        name, size = str(entry["file_name"]), (int(entry["height"]), int(entry["width"]))
        ids.add(_key(entry["id"]), (name, size))
    except (KeyError, TypeError, ValueError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path}: every entry of `images` needs id, file_name, height and width (COCO format); {why}"
        ) from error
    return name, size


def _outlined(entry: Any, ids: Mapping[str, tuple[str, tuple[int, int]]], path: str) -> tuple[str, dict[str, Any]]:
    """The file name of an annotation's image, and what is kept of the annotation."""
    if not isinstance(entry, dict):
        raise UserError(f"{path}: an entry of `annotations` is {entry!r}, and no object (COCO format)")
    id, image_id = entry.get("id"), entry.get("image_id")
    found = ids.get(_key(image_id))
    if found is None:
        raise UserError(f"{path}: annotation {id} is of image {image_id!r}, which is not listed")
    name, size = found
    try:
        mask = parse_segmentation(entry["segmentation"], size)
    except Exception as error:
        raise UserError(f"{path}: annotation {id} has no readable segmentation ({error})") from error
    return name, {"id": str(id), "mask": mask.to_json()}


def _image(values: Sequence[Mapping[str, Any]]) -> _Image:
    """An image from the entries about it; of several sizes or masks of one id the last counts."""
    height, width = [value["size"] for value in values if "size" in value][-1]
    return _Image((height, width), {v["id"]: RLE.from_json(v["mask"]) for v in values if "id" in v})


def _key(id: Any) -> str:
    """The same for ids that are equal, as 1 and 1.0 are, and another one for "1"."""
    return json.dumps(int(id) if isinstance(id, float) and id.is_integer() else id)


def _entries(path: str, *lists: str) -> Iterator[tuple[str, Any]]:
    """The entries of some lists in a COCO file, one by one; the first of the lists must be there."""
    where = Path(path).expanduser()
    try:
        yield from json_lists(where, *lists)
    except OSError as error:
        raise UserError(f"benchmark.annotations={where}: cannot be read ({error.strerror})") from error
    except NoList as error:
        raise UserError(
            f"benchmark.annotations={where}: has no list `{error}`, so it is no COCO annotation file"
        ) from error
    except ValueError as error:
        raise UserError(f"benchmark.annotations={where}: is no JSON file ({error})") from error


def _read_table(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line, row) of the table of questions, one by one."""
    try:
        yield from table_rows(path, _REQUIRED, skipinitialspace=True)
    except OSError as error:
        raise UserError(f"benchmark.questions={path}: cannot be read ({error.strerror})") from error
