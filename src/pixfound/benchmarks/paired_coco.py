"""Anyone's own benchmark: a COCO annotation file, a table of questions and a folder of images.

The table is a CSV file with a line for each example and the columns

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

import csv
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools import mask as coco

from pixfound.benchmarks.files import images_in
from pixfound.errors import UserError, nearest
from pixfound.masks import RLE, union
from pixfound.types import Example, ImageSource

_REQUIRED = ("id", "image", "question", "options", "answer", "expression")
_KNOWN = (*_REQUIRED, "pair_id", "annotations")


class PairedCoco(list[Example]):
    """annotations: COCO JSON file. questions: CSV file. images: folder. Nothing but text is read here."""

    def __init__(self, annotations: str, questions: str, images: str) -> None:
        data = _read_json(Path(annotations).expanduser())
        sizes, ids = _image_index(data, annotations)
        masks = _masks(data, ids, annotations)
        rows = _read_table(Path(questions).expanduser())
        sources = images_in(Path(images).expanduser(), [row["image"] for row in rows], "benchmark.images")
        super().__init__()
        seen: set[str] = set()
        for line, row in enumerate(rows, start=2):
            where = f"{questions}, line {line}"
            if row["id"] in seen:
                raise UserError(f"{where}: the id {row['id']!r} stands in an earlier line too; ids must be unique")
            seen.add(row["id"])
            if row["image"] not in sizes:
                raise UserError(
                    f"{where}: image {row['image']!r} is not in {annotations}; {nearest(row['image'], sizes)}"
                )
            self.append(_example(row, sizes[row["image"]], masks[row["image"]], sources[row["image"]], where))


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


def _example(
    row: Mapping[str, str], size: tuple[int, int], masks: Mapping[str, RLE], image: ImageSource, where: str
) -> Example:
    options = parse_options(row["options"])
    letter = row["answer"].strip(" ().").lower()
    answer = ord(letter) - ord("a") if len(letter) == 1 else -1
    if len(options) < 2 or not 0 <= answer < len(options):
        raise UserError(f"{where}: answer {row['answer']!r} is no letter of the options {row['options']!r}")
    referred = row.get("annotations", " ".join(masks)).split()
    for name in referred:
        if name not in masks:
            raise UserError(f"{where}: annotation {name} does not belong to {row['image']}; {nearest(name, masks)}")
    return Example(
        id=row["id"],
        image=image,
        question=row["question"],
        options=options,
        answer=answer,
        expression=row["expression"].strip(),
        gt_mask=union((masks[name] for name in referred), size),
        pair_id=row.get("pair_id") or None,
        objects=tuple(masks.values()) if "annotations" in row else (),
        tags={name: value for name, value in row.items() if name not in _KNOWN},
    )


def _image_index(data: Mapping[str, Any], path: str) -> tuple[dict[str, tuple[int, int]], dict[Any, str]]:
    """Size (H, W) by file name, and file name by image id."""
    try:
        sizes = {image["file_name"]: (int(image["height"]), int(image["width"])) for image in data["images"]}
        return sizes, {image["id"]: image["file_name"] for image in data["images"]}
    except (KeyError, TypeError, ValueError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{path}: every entry of `images` needs id, file_name, height and width (COCO format); {why}"
        ) from error


def _masks(data: Mapping[str, Any], ids: Mapping[Any, str], path: str) -> dict[str, dict[str, RLE]]:
    """Masks by file name and annotation id."""
    sizes = {image["id"]: (int(image["height"]), int(image["width"])) for image in data["images"]}
    found: dict[str, dict[str, RLE]] = defaultdict(dict)
    for annotation in data.get("annotations", ()):
        name = annotation.get("id")
        if annotation.get("image_id") not in ids:
            raise UserError(
                f"{path}: annotation {name} is of image {annotation.get('image_id')!r}, which is not listed"
            )
        try:
            mask = parse_segmentation(annotation["segmentation"], sizes[annotation["image_id"]])
        except Exception as error:
            raise UserError(f"{path}: annotation {name} has no readable segmentation ({error})") from error
        found[ids[annotation["image_id"]]][str(name)] = mask
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"benchmark.annotations={path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"benchmark.annotations={path}: is no JSON file ({error})") from error
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        raise UserError(f"benchmark.annotations={path}: has no list `images`, so it is no COCO annotation file")
    return data


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            columns = list(reader.fieldnames or ())
            rows = list(reader)
    except OSError as error:
        raise UserError(f"benchmark.questions={path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"benchmark.questions={path}: is no CSV file in UTF-8 ({error})") from error
    for name in _REQUIRED:
        if name not in columns:
            raise UserError(f"{path}: the table has no column {name!r}; {nearest(name, columns)}")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise UserError(f"{path}, line {line}: has not as many fields as the header; put quotes around commas")
    return rows
