"""Regions in a table's cells -> masks: boxes, polygons, RLEs and mask pictures in the conventions of published sets.

Frame of the results: image pixels, origin at the top left corner, x to the right, y down. Sizes are (H, W).
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixfound.benchmarks.table.cell_images import ParquetCell, spelled
from pixfound.benchmarks.table.columns import RegionColumn
from pixfound.benchmarks.table.coordinate_conventions import CONVENTIONS, Convention, changes, fitting_share, read_boxes
from pixfound.benchmarks.table.rows import Fault, Row
from pixfound.benchmarks.table.texts import named_by
from pixfound.io.coco import CocoAnnotation, CocoImage
from pixfound.io.grayscale_masks import mask_of, read_levels
from pixfound.types.masks import RLE, union

Size = tuple[int, int]
Box = tuple[float, float, float, float]
_BOX_NAMES = (  # of boxes that are objects
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
)


@dataclass(frozen=True)
class Region:
    """A region of an image. parts: a mask for each entry of the cell. boxes: xyxy as annotated, if they are boxes."""

    size: Size
    parts: tuple[RLE, ...]
    boxes: tuple[Box, ...] = ()

    @property
    def mask(self) -> RLE:
        """The union of the parts."""
        return union(self.parts, self.size)


def entries(row: Row, spec: RegionColumn, coco: CocoImage | None = None) -> list[Any] | None:
    """The entries of a region's cell: one for each box, polygon, RLE, picture or id. None for null; [] for nothing.

    coco: the image's annotations, which are the entries where no column names some of them.
    """
    if coco and spec.form == "annotations" and (not spec.column or not row.has(spec.column)):
        return list(coco.annotations) or (None if spec.column else [])
    if spec.columns:
        cells = [row.cell(column) for column in spec.columns]
        return None if any(cell is None or cell == "" for cell in cells) else [cells]
    value = parsed(named_by(row, spec), spec.form)
    if value is None:
        return None
    if spec.form == "polygon":
        return _polygons(value)
    if spec.form == "box":
        single = isinstance(value, Mapping) or _is_box(value)
        return [_in_order(box) for box in ([value] if single or not isinstance(value, list | tuple) else value)]
    return list(value) if isinstance(value, list | tuple) else [value]


def parsed(value: Any, form: str) -> Any:
    """A cell in text as the list or object that it writes; other cells as they are."""
    if not isinstance(value, str) or form == "mask":
        return value
    if not value.strip():
        return []
    if form == "annotations":
        return value.split()
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def says_absent(region_entries: Sequence[Any] | None, when: Sequence[str | None]) -> bool:
    """True where the entries of a region say that there is none in one of the ways of `when`."""
    if region_entries is None:
        return "null" in when or None in when  # as YAML reads a bare null
    if not region_entries:
        return "empty" in when
    return "zeros" in when and all(
        not any(np.ravel(entry).tolist()) for entry in region_entries if isinstance(entry, list | tuple)
    )


def region_of(
    region_entries: Sequence[Any], spec: RegionColumn, size: Size, masks: Path | None, coco: CocoImage | None = None
) -> Region:
    """The region of some entries in an image of `size`. masks: folder of mask pictures. coco: the image's annotations.

    Raises Fault for an entry that is no region of this kind, or none inside the image.
    """
    column = spec.column or spec.template or " ".join(spec.columns)
    if not region_entries:
        absent = "where that means that the object is absent: benchmark.columns.absent.when=[null,empty]"
        by_id = "where the object is absent an empty cell of ids says so: benchmark.columns.absent.when=[empty]"
        raise Fault("says no region", by_id if spec.form == "annotations" else absent, column)
    boxes: list[Box] = []
    parts: list[RLE] = []
    try:
        for entry in region_entries:
            if spec.form == "box":
                boxes.append(box_of(entry, spec, size))
                parts.append(box_mask(boxes[-1], size))
            elif spec.form == "polygon":
                parts.append(_polygon_mask(entry, spec, size))
            elif spec.form == "rle":
                parts.append(RLE.from_coco(_plain_rle(entry), size))
            elif spec.form == "mask":
                parts.append(_picture_mask(entry, spec, size, masks))
            else:
                parts.append(_annotation(entry, coco, size))
    except Fault as fault:
        raise Fault(
            fault.what, fault.cure, column, region_entries if len(region_entries) > 1 else region_entries[0]
        ) from fault
    except (ValueError, OSError, TypeError) as error:
        shown = (
            None if spec.form in ("mask", "rle") else region_entries if len(region_entries) > 1 else region_entries[0]
        )
        raise Fault(f"is no {spec.form} of this image ({error})", _cure(spec), column, shown) from error
    return Region(size, tuple(parts), tuple(boxes))


def size_in(region_entries: Sequence[Any] | None, spec: RegionColumn, masks: Path | None) -> Size | None:
    """(H, W) that RLEs or mask pictures have themselves; None for other regions."""
    try:
        if region_entries and spec.form == "rle":
            height, width = region_entries[0]["size"]
            return int(height), int(width)
        if region_entries and spec.form == "mask":
            height, width = read_levels(_mask_file(region_entries[0], masks)).shape
            return height, width
    except (KeyError, TypeError, ValueError, OSError):
        pass
    return None


def around(region_entries: Sequence[Any] | None, spec: RegionColumn) -> Size:
    """The smallest (H, W) that holds boxes or polygons in pixels, for pictures that are not at hand."""
    large = RegionColumn(**{**vars(spec), "scale": "pixels", "frame": "image"})
    corners = [(1.0, 1.0)]
    for entry in region_entries or () if spec.scale == "pixels" else ():
        try:
            corners.append(
                box_of(entry, large, None)[2:] if spec.form == "box" else tuple(np.max(_points(entry), axis=0))
            )
        except (ValueError, TypeError):
            continue
    return max(1, math.ceil(max(y for _, y in corners))), max(1, math.ceil(max(x for x, _ in corners)))


def to_pixels(points: Any, scale: str, frame: str, size: Size) -> Any:
    """(P, 2) points in pixels of the image, from fractions or thousandths of it or of the centred square around it."""
    flat = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    corners = read_boxes(np.hstack([flat, flat]), [size] * len(flat), Convention("xyxy", scale, frame))
    return corners[:, :2]


def box_of(entry: Any, spec: RegionColumn, size: Size | None) -> Box:
    """(x0, y0, x1, y1) in pixels, fractions kept. size: None for a box in pixels whose image is not known."""
    if not isinstance(entry, list | tuple) or len(entry) != 4:
        raise Fault("is no box of four numbers", "give x0, y0, x1, y1, or x, y, width, height with order=xywh")
    values = [_number(value) for value in entry]
    if spec.order == "xywh":
        values = [values[0], values[1], values[0] + values[2], values[1] + values[3]]
    corners = np.array(values).reshape(2, 2)
    if size is not None:
        corners = to_pixels(corners, spec.scale, spec.frame, size)
    (x0, y0), (x1, y1) = corners.tolist()
    if x1 <= x0 or y1 <= y0:
        raise Fault(
            "is a box without extent, or with swapped corners", fitting(entry, spec, size) or "put its corners right"
        )
    if size is not None and (x1 <= 0 or y1 <= 0 or x0 >= size[1] or y0 >= size[0]):
        raise Fault(
            f"lies outside the image of {size[1]} x {size[0]} pixels", fitting(entry, spec, size) or "put it right"
        )
    return x0, y0, x1, y1


def box_mask(box: Box, size: Size) -> RLE:
    """The pixels of a box: those whose centre is inside, at least one in each direction, as COCO rasterises it."""
    height, width = size
    spans = []
    for low, high, side in ((box[0], box[2], width), (box[1], box[3], height)):
        first = min(max(math.floor(low + 0.5), 0), side - 1)
        spans.append((first, max(min(math.floor(high + 0.5), side), first + 1)))
    (left, right), (top, bottom) = spans
    return RLE.from_box((left, top, right, bottom), size)


def fitting(entry: Any, spec: RegionColumn, size: Size | None) -> str:
    """A cure: the nearest other convention under which a box lies inside the image; "" where there is none."""
    declared = Convention(spec.order, spec.scale, spec.frame)
    fits = [c for c in CONVENTIONS if size and c != declared and fitting_share([entry], [size], c)]
    if not fits:
        return ""
    nearest = min((list(changes(convention, declared)) for convention in fits), key=len)
    changed = ", ".join(f"{name}={value}" for name, value in nearest)
    return f"it would fit with {changed} (benchmark.columns.region), if all are such"


def four_numbers(value: Any) -> list[float] | None:
    """The numbers of a box as they are written, in whatever convention; None where they are not four."""
    try:
        numbers = [float(number) for number in value] if isinstance(value, list | tuple) else []
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == 4 and all(map(math.isfinite, numbers)) else None


def _in_order(value: Any) -> Any:
    """A box that is an object as the list of its numbers; other values as they are."""
    names = next((n for n in _BOX_NAMES if isinstance(value, Mapping) and all(name in value for name in n)), None)
    return [value[name] for name in names] if names else value


def _is_box(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 4 and not any(isinstance(v, list | tuple) for v in value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise Fault("is no box of four numbers", "give numbers")
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise Fault("is no box of four numbers", "give numbers") from error
    if not math.isfinite(number):
        raise Fault("has a number that is not finite", "put it right")
    return number


def _polygons(value: Any) -> list[Any]:
    """One entry for each polygon of a cell: flat numbers, pairs, or objects of x and y; or a list of such."""
    if not isinstance(value, list | tuple) or not value:
        return list(value) if isinstance(value, list | tuple) else [value]
    first = value[0]
    point = isinstance(first, Mapping) or (
        isinstance(first, list | tuple) and len(first) == 2 and not isinstance(first[0], list | tuple | Mapping)
    )
    return [value] if point or not isinstance(first, list | tuple) else list(value)


def _points(entry: Any) -> Any:
    """(P, 2) points of a polygon."""
    if entry and isinstance(entry[0], Mapping):
        entry = [[point["x"], point["y"]] for point in entry]
    return np.asarray(entry, dtype=np.float64).reshape(-1, 2)


def _polygon_mask(entry: Any, spec: RegionColumn, size: Size) -> RLE:
    try:
        points = to_pixels(_points(entry), spec.scale, spec.frame, size)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("a polygon is x, y, x, y ..., pairs, or objects of x and y") from error
    mask = RLE.from_polygons([points.ravel().tolist()], size)
    if mask.area == 0:
        raise ValueError("it holds no pixel")
    return mask


def _plain_rle(entry: Any) -> Any:
    """An RLE with its counts as text, which Parquet may hold as bytes, and its size as a list."""
    if not isinstance(entry, Mapping):
        return entry
    counts, size = entry.get("counts"), entry.get("size")
    counts = counts.content if isinstance(counts, ParquetCell) else counts
    return {"counts": counts.decode("ascii") if isinstance(counts, bytes) else counts, "size": size}


def _picture_mask(entry: Any, spec: RegionColumn, size: Size, folder: Path | None) -> RLE:
    levels = read_levels(_mask_file(entry, folder))
    if levels.shape != size:
        raise ValueError(f"it is {levels.shape[1]} x {levels.shape[0]} pixels, the image {size[1]} x {size[0]}")
    mask = mask_of(levels, size) if spec.inside == "bright" else RLE.encode(levels > 0)
    if mask.area == 0 and levels.any():
        raise ValueError(f"its levels go up to {levels.max()}; benchmark.columns.region.inside=nonzero takes them")
    return mask


def _mask_file(entry: Any, folder: Path | None) -> Any:
    from io import BytesIO

    if isinstance(entry, ParquetCell):
        return BytesIO(entry.content)
    if isinstance(entry, bytes):
        return BytesIO(entry)
    if not isinstance(entry, str) or Path(entry).is_absolute() or ".." in Path(entry).parts:
        raise ValueError("a mask is a picture's bytes, or a name in the folder of masks")
    return spelled((folder or Path()) / entry)


def _annotation(entry: Any, coco: CocoImage | None, size: Size) -> RLE:
    name = str(int(entry) if isinstance(entry, float) and entry.is_integer() else entry)
    for annotation in coco.annotations if coco else ():
        if annotation is entry or annotation.id == name:
            mask = annotation.mask(size)
            if mask.area == 0 and not isinstance(annotation.outline, RLE):
                raise ValueError(f"annotation {name} outlines no pixel of it")
            return mask
    raise ValueError(f"annotation {name} does not belong to this image")


def objects_of(annotations: Sequence[CocoAnnotation], size: Size) -> tuple[RLE, ...]:
    """The masks of a picture's annotations, without polygons that outline no pixel."""
    masks = [(annotation.mask(size), annotation) for annotation in annotations]
    return tuple(mask for mask, annotation in masks if mask.area or isinstance(annotation.outline, RLE))


def _cure(spec: RegionColumn) -> str:
    cures: Mapping[str, Callable[[], str]] = {
        "annotations": lambda: "give ids of this image's annotations, or none where the object is absent",
        "rle": lambda: "its `size` is [height, width] of the image, its runs cover it",
        "mask": lambda: "benchmark.columns.region.folder holds the masks",
    }
    return cures.get(spec.form, lambda: "put it right, or name its form by benchmark.columns.region.form")()
