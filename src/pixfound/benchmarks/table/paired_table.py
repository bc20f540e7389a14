"""Any benchmark that is a table: rows of a file, and a map from its columns to what an example needs.

`conf/benchmark/paired_table.yaml` has every option with its meaning, `rows` says which files are read, `columns` what a
column may hold. Pictures stay where they are until they are shown to a model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pixfound.benchmarks.image_sources import NO_IMAGES, NoImage
from pixfound.benchmarks.table.cell_images import (
    Exif,
    ImageFolder,
    ParquetCell,
    bytes_source,
    from_base64,
    size_of,
)
from pixfound.benchmarks.table.columns import RegionColumn, columns_of, read_columns
from pixfound.benchmarks.table.coordinate_conventions import Convention, other_convention
from pixfound.benchmarks.table.region_columns import (
    Region,
    around,
    entries,
    four_numbers,
    objects_of,
    region_of,
    says_absent,
    size_in,
)
from pixfound.benchmarks.table.rows import HUB, Fault, Row, find_files, read_rows
from pixfound.benchmarks.table.texts import answer_of, named_by, options_of, plain, text_of, texts_of
from pixfound.errors import UserError, nearest
from pixfound.interfaces import Benchmark
from pixfound.io.coco import CocoAnnotation, CocoImage, by_file_name, check_unique, read_coco
from pixfound.types import Example, ImageSource
from pixfound.types.masks import RLE

log = logging.getLogger(__name__)
Size = tuple[int, int]
_LONGEST = 1000  # characters of a file's name; what is longer is a picture
_SHORT = 64  # characters of a cell that names another row's picture; pictures have more


class PairedTable(Benchmark):
    """rows, columns, inside: see `table.rows` and `table.columns`. where: column -> value, or list of values, of the
    rows that are taken. images: folder of picture files, by default that of the rows; `none` does without pictures.
    annotations: COCO file, for cells that hold its ids. exif: pictures as `stored`, or `turned` as viewers show them.
    unusable: rows that make no example are an `error`, or are left out (`leave_out`) with a warning.
    root: folder that the other paths are in, where they are not absolute.

    faults: (file and line, what is wrong) of each row that is left out. left_out: their ids, where they have one.
    Raises UserError with file, line, column, value and cure.
    """

    def __init__(
        self,
        rows: str | Sequence[str],
        columns: Mapping[str, Any],
        inside: str | None = None,
        where: Mapping[str, Any] | None = None,
        images: str | None = None,
        annotations: str | None = None,
        exif: Exif = "stored",
        unusable: Literal["error", "leave_out"] = "error",
        root: str | None = None,
    ) -> None:
        super().__init__()
        self.columns = read_columns(columns)
        self.root = Path(root or ".").expanduser()
        if not self.root.is_dir():
            raise UserError(f"benchmark.root={root}: there is no such folder; give the one that holds the benchmark")
        self.rows = [self._path(path) for path in ([rows] if isinstance(rows, str) else rows)]
        self.inside, self.wanted = inside, dict(where or {})
        without = images == NO_IMAGES
        folder = find_files(self.rows[0])[0][0] if images is None or without else Path(self._path(images))
        self.folder = ImageFolder(folder, self.columns.image.suffixes, exif == "turned", without)
        self._turn = exif == "turned"
        self._coco = {}
        if annotations is not None:
            self._coco = read_coco(Path(self._path(annotations)), "benchmark.annotations", allow_empty=True)
        by_id = self.columns.image.form == "annotations"  # then several entries may share a picture
        self._by_name = {} if by_id else by_file_name(self._coco, annotations)
        self._outlined: dict[str, list[CocoAnnotation]] = {}  # by picture
        for image in self._coco.values():
            self._outlined.setdefault(image.file_name, []).extend(image.annotations)
        region = self.columns.region
        if region and region.form == "annotations" and region.column:
            check_unique(self._coco, annotations)
        self._pictures: dict[str, Any] = {}
        self.faults: list[tuple[str, Fault]] = []
        self.left_out: dict[str, str] = {}
        self._raw_boxes: list[tuple[list[float], Size]] = []  # as they stand in the table; (H, W) of their images
        self._read(unusable == "leave_out")

    def _path(self, path: str) -> str:
        """A path in the root; those on the Hub and absolute ones as they are."""
        return path if path.startswith(HUB) else str(self.root / Path(path).expanduser())

    def _read(self, leave_out: bool) -> None:
        places: dict[str, str] = {}
        pairs: dict[str, list[str]] = {}
        for row in self._rows():
            try:
                examples = list(self._examples(row))
                for example in examples:
                    _check_unique(example, places, pairs)
            except Fault as error:
                if not leave_out:
                    raise UserError(f"{row.where}: {error}") from error
                self.faults.append((row.where, error))
                self._leave_out(row)
                continue
            for example in examples:
                places[example.id] = row.where
                if example.pair_id is not None:
                    pairs.setdefault(example.pair_id, []).append(row.where)
            self.extend(examples)
        self._audit()
        if self.faults:
            where, fault = self.faults[0]
            log.warning("%d rows make no example and are left out; %s: %s", len(self.faults), where, fault)
        if alone := [where for (where, *others) in pairs.values() if not others]:
            log.warning("%d pairs have one example alone; the first: %s", len(alone), alone[0])
        if self.folder.missing and not self.folder.found:
            raise UserError(
                f"benchmark.images={self.folder.folder}: has none of the {self.folder.missing} images (the first is "
                f"{self.folder.first_missing}); give the folder that holds them, or none to do without"
            )

    def _leave_out(self, row: Row) -> None:
        """Note the id of a row that makes no example, where it has one: files of predictions about it are no error."""
        with suppress(Fault):
            id = text_of(row, self.columns.id, {}) if self.columns.id else plain(row.cell("@number"))
            picture = named_by(row, self.columns.image)
            self.left_out[id] = Path(picture).stem if isinstance(picture, str) and len(picture) < _LONGEST else ""

    def _audit(self) -> None:
        """Raise UserError where the boxes are of another convention than the declared one."""
        spec = self.columns.region
        if spec and spec.form == "box":
            boxes, sizes = [box for box, _ in self._raw_boxes], [size for _, size in self._raw_boxes]
            advice = other_convention(boxes, sizes, Convention(spec.order, spec.scale, spec.frame))
            self._raw_boxes.clear()
            if advice:
                raise UserError(f"{self.rows[0]}: {advice}")

    def _rows(self) -> Iterator[Row]:
        needed = {*columns_of(self.columns), *self.wanted}
        rows: Iterator[Row] | list[Row] = read_rows(self.rows, needed, self.inside)
        if self.columns.image.index:
            rows = list(rows)
            image, index = self.columns.image.column, self.columns.image.index
            self._pictures = {plain(row.cell(index)): row.cell(image) for row in rows}
        for row in rows:
            if all(_is_one_of(row.cell(column), value) for column, value in self.wanted.items()):
                yield row

    def _examples(self, row: Row) -> Iterator[Example]:
        """The examples of a row: one for each expression, and one for that of something absent."""
        columns = self.columns
        id = text_of(row, columns.id, {}) if columns.id else plain(row.cell("@number"))
        question, options, answer, answers = self._question(row, id)
        right = options[answer] if answer is not None else answers[0] if answers else ""
        fields = {"question": question, "answer": right}
        spec = columns.region or RegionColumn()
        coco = self._annotated(row)
        region_entries = entries(row, spec, coco) if columns.region else None
        image, size = self._image(row, spec, region_entries, coco)
        region, ignore = (
            self._region(row, spec, region_entries, size, coco) if columns.region else (Region(size, ()), None)
        )
        others = [entries(row, replace(spec, column=column)) for column in columns.annotators]
        folder = self._folder_of(spec)
        other_regions = [region_of(found, spec, size, folder, coco) if found else Region(size, ()) for found in others]
        expressions = texts_of(row, columns.expression, fields) if columns.expression else [""]
        if columns.expression and columns.expression.several == "first":
            expressions = expressions[:1]
        if not expressions:
            raise Fault(
                "holds no expression",
                "leave the row out, or write one",
                columns.expression.column or "" if columns.expression else "",
            )
        tags = {name: plain(row.cell(column)) for name, column in self._tags(row).items()}
        pair = text_of(row, columns.pair, fields) or None if columns.pair else None
        count = text_of(row, columns.count, fields) if columns.count else ""
        absent = plain(row.cell(columns.absent.expression)) if columns.absent.expression else ""
        try:
            named = coco if spec.form == "annotations" and row.has(spec.column or "") else None
            objects = objects_of(self._outlined[named.file_name], size) if named else ()
            for number, expression in enumerate(expressions):
                yield Example(
                    id=id if len(expressions) == 1 else f"{id}-{number}",
                    image=image,
                    question=question,
                    options=options,
                    answer=answer,
                    expression=expression.strip(),
                    gt_mask=region.mask,
                    pair_id=pair or (id if absent else None),
                    objects=objects,
                    tags={name: value for name, value in tags.items() if value},
                    instances=region.parts if spec.several == "instances" else (),
                    boxes=region.boxes or self._boxes(row, size),
                    ignore=ignore,
                    count=int(count) if count.isdecimal() else None,
                    answers=answers,
                    grading=columns.answer.grading if columns.answer else "exact",
                    named=columns.expression is not None,
                    other_instances=tuple(other.parts for other in other_regions),
                )
            if absent:
                there = objects or region.parts
                yield Example(f"{id}-absent", image, "", (), None, absent, RLE.empty(size), pair or id, there, tags)
        except UserError as error:
            raise Fault(str(error), "put it right in the table") from error

    def _tags(self, row: Row) -> Mapping[str, str]:
        """Tag -> column; `*` is each that has no other use."""
        if "*" not in self.columns.tags:
            return self.columns.tags
        used = {column.split(".")[0].removesuffix("?") for column in columns_of(self.columns)}
        return {name: name for name in row.values if name not in used and not name.startswith("@")}

    def _question(self, row: Row, id: str) -> tuple[str, tuple[str, ...], int | None, tuple[str, ...]]:
        """(question, options, index of the right one, accepted free answers)."""
        columns = self.columns
        if columns.question is None or columns.answer is None:
            return "", (), None, ()
        if columns.question.column and row.cell(columns.question.column) is None:
            return "", (), None, ()
        question, options = text_of(row, columns.question, {}).strip(), tuple[str, ...]()
        if columns.options:
            question, options = options_of(row, columns.options, question)
            if not options and columns.answer.form != "text":
                place = columns.options.column or " ".join(columns.options.columns)
                raise Fault("holds no options", "answers in words: benchmark.columns.answer.form=text", place)
        shuffle = columns.options.shuffle if columns.options else None
        return question, *answer_of(row, columns.answer, options, shuffle, id)

    def _annotated(self, row: Row) -> CocoImage | None:
        """The image's entry in the COCO file; None without such a file."""
        if not self._coco:
            return None
        spec = self.columns.image
        name = named_by(row, spec)
        if spec.form == "annotations":
            image = next((self._coco[id] for id in (name, plain(name)) if id in self._coco), None)
            image = image or (self._coco.get(int(name)) if plain(name).isdecimal() else None)
            close = ""
        else:
            image, close = self._by_name.get(str(name)), nearest(str(name), self._by_name)
        if image is None:
            raise Fault("is not in the COCO file", close or "give the file that lists it", spec.column, name)
        return image

    def _image(
        self, row: Row, spec: RegionColumn, region_entries: list[Any] | None, coco: CocoImage | None
    ) -> tuple[ImageSource, Size]:
        """(image source, (H, W)): the size as the table states it, else the region's own, else of the picture."""
        column, form = self.columns.image.column, self.columns.image.form
        stated = self._stated_size(row) or (coco.size if coco else None)
        value = named_by(row, self.columns.image)
        if form == "annotations" and coco:
            value = coco.file_name
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if self.columns.image.index and len(plain(value)) <= _SHORT:
            value = self._pictures.get(plain(value), value)
        try:
            if form == "base64":
                value = from_base64(plain(value))
            if isinstance(value, bytes | ParquetCell):
                content = value.content if isinstance(value, ParquetCell) else value
                source: ImageSource = bytes_source(value, self._turn)
                head: bytes | str = content
            elif isinstance(value, str) and value.strip() and form in ("file", "annotations"):
                file = self.folder.source(value)
                source, head = file, "" if isinstance(file, NoImage) else file.path
            else:
                raise ValueError(f"is no picture as {form}")
        except ValueError as error:
            shown = value if isinstance(value, str) and form != "base64" else None
            raise Fault(str(error), "say what it is by benchmark.columns.image.form", column, shown) from error
        folder = self._folder_of(spec)
        size = stated or size_in(region_entries, spec, folder)
        actual = size_of(head, self._turn) if head else None
        if size and actual and size != actual:
            other = size_of(head, not self._turn) == size
            exif = f"its EXIF orientation turns it: benchmark.exif={'stored' if self._turn else 'turned'}"
            cure = exif if other else "it is turned" if actual == size[::-1] else "get the right one"
            shown = value if isinstance(value, str) and form != "base64" else None
            what = f"is of {actual[1]} x {actual[0]} pixels, {'the table' if stated else 'its region'} says "
            raise Fault(f"{what}{size[1]} x {size[0]}", cure, column, shown)
        return source, size or actual or around(region_entries, spec)

    def _stated_size(self, row: Row) -> Size | None:
        spec = self.columns.size
        if spec is None:
            return None
        texts = (
            plain(row.cell(spec.column)).lower().split("x")[::-1]
            if spec.column
            else [plain(row.cell(spec.height or "")), plain(row.cell(spec.width or ""))]
        )
        try:
            height, width = map(int, texts)
            RLE.empty((height, width))
        except ValueError as error:
            raise Fault(
                "is no size in pixels", "give height and width", spec.column or spec.height or "", texts
            ) from error
        return height, width

    def _region(
        self, row: Row, spec: RegionColumn, region_entries: list[Any] | None, size: Size, coco: CocoImage | None
    ) -> tuple[Region, RLE | None]:
        """(region, pixels to ignore)."""
        absent, ignore = self.columns.absent, self.columns.ignore
        marks = {plain(value).casefold() for value in absent.values}
        is_marked = absent.column is not None and plain(row.cell(absent.column)).casefold() in marks
        is_absent = is_marked or says_absent(region_entries, absent.when)
        if spec.form == "box" and not is_absent:
            self._raw_boxes += [(box, size) for box in map(four_numbers, region_entries or ()) if box]
        region = (
            Region(size, ()) if is_absent else region_of(region_entries or [], spec, size, self._folder_of(spec), coco)
        )
        if not is_absent and "empty" not in absent.when and region.mask.area == 0:
            cure = "where that means that the object is absent: benchmark.columns.absent.when=[empty]"
            raise Fault("holds no pixel", cure, spec.column or "")
        ignored = entries(row, ignore) if ignore else None
        if not ignore or not ignored:
            return region, None
        ignored_region = region_of(ignored, ignore, size, self._folder_of(ignore), coco)
        return _resolve_overlap(region, ignored_region) if ignore.form == "polygon" else (region, ignored_region.mask)

    def _boxes(self, row: Row, size: Size) -> tuple[tuple[float, float, float, float], ...]:
        box_entries = entries(row, self.columns.boxes) if self.columns.boxes else None
        return (
            region_of(box_entries, self.columns.boxes, size, None).boxes if box_entries and self.columns.boxes else ()
        )

    def _folder_of(self, spec: RegionColumn) -> Path:
        return Path(self._path(spec.folder)) if spec.folder else self.folder.folder


def _resolve_overlap(region: Region, ignored: Region) -> tuple[Region, RLE]:
    """Region and pixels to ignore; where polygons of both overlap the smaller is drawn over the larger (ReasonSeg)."""
    target = np.zeros(region.size, np.bool_)
    ignored_pixels = np.zeros(region.size, np.bool_)
    drawn = [(part, True) for part in region.parts] + [(part, False) for part in ignored.parts]
    for part, is_target in sorted(drawn, key=lambda entry: -entry[0].area):
        pixels = part.decode()
        target[pixels], ignored_pixels[pixels] = is_target, not is_target
    mask = RLE.encode(target)
    return replace(
        region, parts=(mask,) if len(region.parts) == 1 else tuple(_within(part, mask) for part in region.parts)
    ), RLE.encode(ignored_pixels)


def _within(part: RLE, mask: RLE) -> RLE:
    return RLE.encode(part.decode() & mask.decode())


def _check_unique(example: Example, places: Mapping[str, str], pairs: Mapping[str, Sequence[str]]) -> None:
    if example.id in places:
        raise Fault(f"the id {example.id!r} stands in an earlier row too ({places[example.id]})", "ids must be unique")
    members = pairs.get(example.pair_id or "", ())
    if len(members) > 1:
        raise Fault(
            f"the pair {example.pair_id!r} has two examples already, {members[0]} and {members[1]}",
            "give this one another pair",
        )


def _is_one_of(value: Any, allowed: Any) -> bool:
    return any(
        plain(value) == plain(choice) for choice in (allowed if isinstance(allowed, list | tuple) else [allowed])
    )
