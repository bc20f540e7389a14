"""COCO files: annotation files (`images`, `annotations`) and results files (a list of `image_id`, `segmentation`).

Frame: image pixels, origin at the top left corner, x to the right, y down. Sizes are (height, width).
Errors are UserErrors that name the file, the entry and a remedy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.io.grayscale_masks import Resize, linear_mask, nearest
from pixfound.io.text_files import read_json
from pixfound.types.masks import RLE, union
from pixfound.types.polygons import read_polygon

Size = tuple[int, int]
Polygons = tuple[tuple[float, ...], ...]  # each [x0, y0, x1, y1, ...] in pixels of the image


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """An outlined object.

    id: as text, "" where the file has none. outline: an RLE of its own size, or polygons in pixels of the image, of
    which there may be none. where: the place in the file, for error messages.
    """

    id: str
    outline: RLE | Polygons
    where: str

    def mask(self, size: Size) -> RLE:
        """The object in an image of `size`; raises UserError for an RLE of another size, or polygons outside it."""
        try:
            if not isinstance(self.outline, RLE):
                return RLE.from_polygons(self.outline, size)
            if self.outline.size != size:
                raise ValueError(f"the mask is of size {self.outline.size}, the image of {size} (height, width)")
            return self.outline
        except ValueError as error:
            raise _unreadable(self.where, error) from error


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image and its annotations. size: (H, W); None where the file does not state it."""

    file_name: str
    size: Size | None = None
    annotations: list[CocoAnnotation] = field(default_factory=list)

    @property
    def likely_size(self) -> Size:
        """(H, W) as stated, else of the largest RLE, else around the polygons."""
        if self.size:
            return self.size
        if sizes := [a.outline.size for a in self.annotations if isinstance(a.outline, RLE)]:
            return max(sizes)
        polygons = self._polygons()
        width = max((x for polygon in polygons for x in polygon[0::2]), default=1.0)
        height = max((y for polygon in polygons for y in polygon[1::2]), default=1.0)
        return max(1, math.ceil(height)), max(1, math.ceil(width))

    def union(self, size: Size, resize: Resize = "nearest") -> RLE:
        """All objects as one mask of `size`; RLEs of another size are resized: nearest, or linearly as by OpenCV."""
        change = nearest if resize == "nearest" else linear_mask
        masks = [a.outline for a in self.annotations if isinstance(a.outline, RLE)]
        parts = [mask if mask.size == size else RLE.encode(change(mask.decode(), size)) for mask in masks]
        try:
            return union([*parts, RLE.from_polygons(self._polygons(), size)], size)
        except ValueError as error:
            raise UserError(f"the outlines of {self.file_name}: {error}; download the file again") from error

    def _polygons(self) -> list[tuple[float, ...]]:
        return [polygon for a in self.annotations if not isinstance(a.outline, RLE) for polygon in a.outline]


@dataclass(frozen=True, slots=True)
class CocoResult:
    """An entry of a results file. segmentation: as the file has it. where: its place, for error messages."""

    image_id: str
    segmentation: Any
    score: float | None
    where: str

    def mask(self, size: Size) -> RLE:
        """The mask, which must be of `size`; raises UserError."""
        try:
            return RLE.from_coco(self.segmentation, size)
        except ValueError as error:
            raise _unreadable(self.where, error) from error


def read_coco(path: Path, key: str | None = None, allow_empty: bool = False) -> dict[Any, CocoImage]:
    """The images of an annotation file by their ids (numbers or strings), in the file's order.

    key: config key of the path. allow_empty: accept annotations with `segmentation: []`. Masks are checked when they
    are read, so that a run does not fail in the middle.
    """
    label = f"{key}={path}" if key else str(path)
    data = _load(path, label)
    for name in ("images", "annotations"):
        if not isinstance(data, dict) or not isinstance(data.get(name), list):
            raise UserError(f"{label}: has no list `{name}`, so it is no COCO annotation file; give another")
    images: dict[Any, CocoImage] = {}
    for number, entry in enumerate(data["images"]):
        id, image = _image(entry, f"{label}: image number {number}")
        if id in images:
            raise UserError(f"{label}: two images have the id {id!r}; ids must be unique")
        images[id] = image
    for number, entry in enumerate(data["annotations"]):
        annotation = _add_annotation(entry, images, label, number)
        if not annotation.outline and not allow_empty:
            raise _unreadable(annotation.where, "it is empty")
    return images


def by_file_name(images: Mapping[Any, CocoImage], label: object) -> dict[str, CocoImage]:
    """The images by file name; raises UserError where several share one. label: the file."""
    by_name: dict[str, CocoImage] = {}
    for image in images.values():
        if image.file_name in by_name:
            raise UserError(f"{label}: two images have the file_name {image.file_name!r}; remove one of them")
        by_name[image.file_name] = image
    return by_name


def check_unique(images: Mapping[Any, CocoImage], label: object) -> None:
    """Raise UserError where annotations have no id, or two have the same. label: the file."""
    ids: set[str] = set()
    for annotation in (annotation for image in images.values() for annotation in image.annotations):
        if not annotation.id:
            raise UserError(f"{annotation.where} has no id; give it a number of its own")
        if annotation.id in ids:
            raise UserError(
                f"{label}: two annotations have the id {annotation.id}; ids must be unique: give one another id"
            )
        ids.add(annotation.id)


def read_coco_results(path: Path, key: str) -> Iterator[CocoResult]:
    """The entries of a results file, one by one. key: config key of the path."""
    entries = _load(path, f"{key}={path}")
    if not isinstance(entries, list):
        raise UserError(f"{key}={path}: is no list, so it is no COCO results file; give another")
    for number, entry in enumerate(entries):
        where = f"{path}: entry number {number}"
        if not isinstance(entry, dict) or "image_id" not in entry or "segmentation" not in entry:
            raise UserError(f"{where}: has no `image_id` and `segmentation`, so it is no COCO result; write both")
        name = str(entry["image_id"])
        try:
            score = None if entry.get("score") is None else float(entry["score"])
        except (TypeError, ValueError):
            score = math.nan
        if score is not None and not math.isfinite(score):
            raise UserError(f"{where} (image {name}): score {entry['score']!r} is no number; write one, or none")
        yield CocoResult(name, entry["segmentation"], score, f"{where} (image {name})")


def _load(path: Path, label: str) -> Any:
    try:
        return read_json(path)
    except OSError as error:
        raise UserError(f"{label}: cannot be read ({error.strerror}); give the file") from error
    except ValueError as error:
        raise UserError(f"{label}: is no JSON file ({error}); download or write it again") from error


def _image(entry: Any, where: str) -> tuple[Any, CocoImage]:
    """(id, image) of an entry of `images`."""
    try:
        id, name = entry["id"], str(entry["file_name"])
        if not _is_id(id):
            raise ValueError(f"id {id!r}")
        size = (int(entry["height"]), int(entry["width"])) if "height" in entry and "width" in entry else None
        if size:
            RLE.empty(size)  # raises ValueError for a size that no image has
    except (KeyError, TypeError, ValueError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{where} has no readable id, file_name or size ({why}); correct the entry") from error
    return id, CocoImage(name, size)


def _add_annotation(entry: Any, images: Mapping[Any, CocoImage], label: str, number: int) -> CocoAnnotation:
    if not isinstance(entry, dict):
        raise UserError(f"{label}: annotation number {number} is {entry!r:.40}, not an object; correct the entry")
    id, image_id = entry.get("id"), entry.get("image_id")
    name = str(int(id) if isinstance(id, float) and id.is_integer() else id) if _is_id(id) else ""
    where = f"{label}: annotation {name or f'number {number}'}"
    if not _is_id(image_id) or image_id not in images:
        raise UserError(f"{where} is of image {image_id!r}, which is not listed; list it, or remove the annotation")
    where += "" if name else f" (image {image_id})"
    try:
        outline = _outline(entry["segmentation"])
    except (KeyError, ValueError) as error:
        raise _unreadable(where, "it has none" if isinstance(error, KeyError) else error) from error
    annotation = CocoAnnotation(name, outline, where)
    images[image_id].annotations.append(annotation)
    return annotation


def _outline(segmentation: Any) -> RLE | Polygons:
    if isinstance(segmentation, list):
        return tuple(tuple(read_polygon(polygon).ravel().tolist()) for polygon in segmentation)
    return RLE.from_coco(segmentation)


def _is_id(id: Any) -> bool:
    return isinstance(id, int | str | float) and not isinstance(id, bool)


def _unreadable(where: str, reason: object) -> UserError:
    return UserError(f"{where} has no readable segmentation ({reason}); outline the object again, or remove the entry")
