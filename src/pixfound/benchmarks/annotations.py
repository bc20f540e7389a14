"""Reading annotation files: COCO JSON whose outlines may be of another size than the image.

Frame: image pixels, origin at the left top corner, x to the right, y down. Sizes are (height, width).
Every problem is a UserError that names the file, the row and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.io.grayscale_masks import Resize, linear_mask, nearest
from pixfound.io.streams import parse_json
from pixfound.types.masks import RLE, union
from pixfound.types.option_letters import index_of
from pixfound.types.polygons import read_polygon

Size = tuple[int, int]
_AGAIN = "download it again"


@dataclass(frozen=True)
class Outlines:
    """Outlines of the objects in one image.

    declared: the image's size, where the file has it. masks: each of its own size. polygons: each
    [x0, y0, x1, y1, ...] in the image's pixels.
    """

    file_name: str
    declared: Size | None
    masks: tuple[RLE, ...] = ()
    polygons: tuple[tuple[float, ...], ...] = ()

    @property
    def size(self) -> Size:
        """The best guess at the image's size without the image: as declared, as the masks, around the polygons."""
        if self.declared:
            return self.declared
        if self.masks:
            return max(mask.size for mask in self.masks)
        width = max((x for polygon in self.polygons for x in polygon[0::2]), default=1.0)
        height = max((y for polygon in self.polygons for y in polygon[1::2]), default=1.0)
        return max(1, math.ceil(height)), max(1, math.ceil(width))

    def union(self, size: Size, resize: Resize = "nearest") -> RLE:
        """All of it as one mask of `size`; masks of another size are resized: nearest, or linearly as by OpenCV."""
        change = nearest if resize == "nearest" else linear_mask
        parts = [m if m.size == size else RLE.encode(change(m.decode(), size)) for m in self.masks]
        try:
            return union([*parts, RLE.from_polygons(self.polygons, size)], size)
        except ValueError as error:
            raise UserError(f"the outlines of {self.file_name}: {error}; {_AGAIN}") from error


def read_text(path: Path) -> str:
    """The text of a file in UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give the folder that holds it") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is no text in UTF-8 ({error}); {_AGAIN}") from error


def read_outlines(path: Path) -> dict[int, Outlines]:
    """Every image of a COCO JSON file by its id, in the file's order."""
    text = read_text(path)
    try:
        data = parse_json(text)
    except ValueError as error:
        raise UserError(f"{path}: is no JSON file ({error}); {_AGAIN}") from error
    if not isinstance(data, dict) or not all(isinstance(data.get(k), list) for k in ("images", "annotations")):
        raise UserError(f"{path}: has no lists `images` and `annotations`, so it is no COCO annotation file; {_AGAIN}")
    entries: dict[int, tuple[str, Size | None, list[RLE], list[tuple[float, ...]]]] = {}
    for number, image in enumerate(data["images"]):
        try:
            id, name = image["id"], str(image["file_name"])
            size = (int(image["height"]), int(image["width"])) if "height" in image and "width" in image else None
            if not isinstance(id, int) or (size and min(size) < 1):
                raise ValueError(f"id {id!r}, size {size}")
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: image number {number} has no readable id, name or size ({error})") from error
        if id in entries:
            raise UserError(f"{path}: two images have the id {id!r}; ids must be unique")
        entries[id] = (name, size, [], [])
    for number, annotation in enumerate(data["annotations"]):
        where = f"{path}: annotation number {number}"
        try:
            if annotation["image_id"] not in entries:
                raise UserError(f"{where} is of image {annotation['image_id']!r}, which is not listed; {_AGAIN}")
            _, _, masks, polygons = entries[annotation["image_id"]]
            _add(annotation["segmentation"], masks, polygons)
        except UserError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{where} (image {_of(annotation)}) has no readable segmentation ({error}); {_AGAIN}"
            ) from error
    return {id: Outlines(name, size, tuple(m), tuple(p)) for id, (name, size, m, p) in entries.items()}


def expect(found: Sequence[object], wanted: Sequence[object], where: str) -> None:
    """Raise the UserError that names what is missing or too much, unless both hold the same."""
    here, there = set(found), set(wanted)
    missing, extra = [w for w in wanted if w not in here], [f for f in found if f not in there]
    if missing or extra:
        lists = [f"lacks {missing[0]!r}" if missing else "", f"has an unknown {extra[0]!r}" if extra else ""]
        raise UserError(
            f"{where}: has {len(found)} entries, not {len(wanted)}: {' and '.join(filter(None, lists))}; {_AGAIN}"
        )


def answer_index(answer: str, options: Sequence[str], where: str) -> int:
    """Index of the option whose letter is `answer`: (b), b or B. is 1."""
    index = index_of(answer, len(options))
    if len(options) < 2 or index is None:
        raise UserError(f"{where}: answer {answer!r} is no letter of the options {list(options)}; {_AGAIN}")
    return index


def _of(annotation: Any) -> object:
    return annotation.get("image_id") if isinstance(annotation, dict) else None


def _add(segmentation: Any, masks: list[RLE], polygons: list[tuple[float, ...]]) -> None:
    if isinstance(segmentation, dict):
        masks.append(RLE.from_coco(segmentation))
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("it is empty" if not segmentation else f"it is {segmentation!r:.40}")
    polygons += (tuple(read_polygon(polygon).ravel().tolist()) for polygon in segmentation)
