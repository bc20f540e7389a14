"""Column specs: what an option of `benchmark.columns` may say, checked when it is read.

A text alone names the column: `question: query` is `question: {column: query}`. null: there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_type_hints

from pixfound.errors import UserError, nearest
from pixfound.types import Grading
from pixfound.types.arguments import check_arguments

FIELDS = ("question", "answer")  # of the example, in templates
TEMPLATE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Text:
    """A text. column: its name or path. match: a regular expression whose first group is taken, or all that it matches.

    remove: a regular expression of what is taken out. template: a text with {COLUMN}, {question} or {answer} in it, in
    place of a column.
    """

    column: str | None = None
    match: str | None = None
    remove: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class ImageColumn:
    """The picture. form: `file`, a name in `benchmark.images`; `bytes`, also of a Parquet struct; `base64`;
    `annotations`, the id of an image in the COCO file. index: a column whose value a short cell of base64 may name in
    place of the picture, which is then that row's. suffixes: endings that the file may have instead. template: a name
    with {COLUMN} in it, in place of a column.
    """

    column: str = "image"
    form: Literal["file", "bytes", "base64", "annotations"] = "file"
    index: str | None = None
    suffixes: Sequence[str] = ()
    match: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class SizeColumns:
    """The image's size in pixels, in two columns, or as `WIDTHxHEIGHT` in one; null: from the image itself."""

    height: str | None = None
    width: str | None = None
    column: str | None = None


@dataclass(frozen=True)
class OptionColumns:
    """The answer options. column: a list, or a text `(a) yes (b) no`, `A. yes B. no` or `yes|no`. columns: one each;
    empty cells are left out, and where all are, `column` has them. inside: they follow the question in its own text.
    shuffle: a seed by which they are reordered, where the right one is always the first.
    """

    column: str | None = None
    columns: Sequence[str] = ()
    inside: bool = False
    shuffle: int | None = None


@dataclass(frozen=True)
class AnswerColumn:
    """The right answer. form: `letter`; `index`, counted from `start`; `text`, that of an option, or one or a list of
    accepted free answers; `first`, the first option. grading: rule for free answers.
    """

    column: str | None = None
    form: Literal["letter", "index", "text", "first"] = "letter"
    start: int = 0
    match: str | None = None
    grading: Grading = "exact"


@dataclass(frozen=True)
class ExpressionColumn(Text):
    """The referring expression. several: what a list of them makes: an example `each`, or one of the `first`."""

    several: Literal["each", "first"] = "each"


@dataclass(frozen=True)
class RegionColumn:
    """The region. form: `box`, `polygon`, `rle`, `mask` (a picture) or `annotations` (ids in the COCO file, all of the
    image where no column is named). A cell may hold one or a list; `columns`: a box in four.
    inside: what counts of a mask picture, levels above 127 or above 0.

    order: of a box. scale: of coordinates. frame: what they are measured in, the image or a centred square around it.
    several: whether a list is one `union`, or `instances` as well. folder: of mask pictures, where it is not that of
    the images. match: as in a text. template: as of an image, for names of mask pictures.
    """

    column: str | None = None
    columns: Sequence[str] = ()
    form: Literal["box", "polygon", "rle", "mask", "annotations"] = "box"
    order: Literal["xyxy", "xywh"] = "xyxy"
    scale: Literal["pixels", "0-1", "0-1000"] = "pixels"
    frame: Literal["image", "square"] = "image"
    several: Literal["union", "instances"] = "union"
    folder: str | None = None
    inside: Literal["bright", "nonzero"] = "bright"
    match: str | None = None
    template: str | None = None


@dataclass(frozen=True)
class AbsentColumns:
    """Marks of an object that is not in the image. when: regions that say it: `null`, `empty` (text or list),
    `zeros`. column, values: a column that says it by one of these values. expression: a column with the expression of
    something that is not there: a second example of the row, its pair.
    """

    when: Sequence[Literal["null", "empty", "zeros"] | None] = ()
    column: str | None = None
    values: Sequence[Any] = (True, 1, "yes")
    expression: str | None = None


@dataclass(frozen=True)
class Columns:
    """The map from an example's fields to columns.

    boxes: annotated beside regions that are masks. count: of objects to point at, in questions of counting.
    annotators: columns of the regions of further annotators, as `region` is. expression and region are both None where
    only questions are asked.
    """

    image: ImageColumn = ImageColumn()
    id: Text | None = None
    size: SizeColumns | None = None
    question: Text | None = None
    options: OptionColumns | None = None
    answer: AnswerColumn | None = None
    expression: ExpressionColumn | None = None
    region: RegionColumn | None = None
    boxes: RegionColumn | None = None
    ignore: RegionColumn | None = None
    absent: AbsentColumns = AbsentColumns()
    pair: Text | None = None
    count: Text | None = None
    annotators: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def read_columns(specs: Mapping[str, Any]) -> Columns:
    """The specs of `benchmark.columns`; UserError for an unknown key or value.

    tags: columns in a list, or by name; `*` is all that have no other use.
    """
    values = dict(specs)
    tags = values.pop("tags", None) or {}
    if not isinstance(tags, Mapping):
        tags = [tags] if isinstance(tags, str) else tags
        tags = {str(name).rsplit(".", 1)[-1].removeprefix("@"): str(name) for name in tags}
    columns: Columns = _read(Columns, values, "benchmark.columns")
    for name, other in (("expression", "region"), ("region", "expression")):
        if getattr(columns, name) is None and (getattr(columns, other) or columns.question is None):
            raise UserError(f"benchmark.columns.{name}: every example needs one; name its column")
    if columns.question is None and (columns.options or columns.answer):
        raise UserError("benchmark.columns.question: options and answers need a question; name its column")
    if columns.question and columns.answer is None:
        raise UserError("benchmark.columns.answer: a question needs an answer; name its column")
    return replace(columns, tags=dict(tags))


def _read(cls: Any, spec: Any, where: str) -> Any:
    if isinstance(spec, str | int) and not isinstance(spec, bool):
        spec = {"column": str(spec)}
    if not isinstance(spec, Mapping):
        raise UserError(f"{where}={spec}: must name a column, or say more: {{column: NAME, ...}}")
    hints = get_type_hints(cls)
    names = [f.name for f in fields(cls)]
    for name in spec:
        if name not in names:
            raise UserError(f"{where}.{name}: there is no such option; {nearest(str(name), names)}")
    check_arguments(cls, spec, where)
    return cls(**{name: _nested(hints[name], value, f"{where}.{name}") for name, value in spec.items()})


def _nested(hint: Any, value: Any, where: str) -> Any:
    """A value, or the spec that it stands for where the type is one."""
    specs = [part for part in (hint, *get_args(hint)) if is_dataclass(part)]
    if not specs:
        return value
    optional = type(None) in get_args(hint)
    return (None if optional else specs[0]()) if value is None else _read(specs[0], value, where)  # type: ignore[operator]


def columns_of(node: Any) -> Iterator[str]:
    """The columns and paths that specs name, those in templates too."""
    for f in fields(node):
        value = getattr(node, f.name)
        if is_dataclass(value):
            yield from columns_of(value)
        elif f.name == "template" and value:
            yield from (name for name in TEMPLATE.findall(value) if name not in FIELDS)
        elif f.name == "column" and getattr(node, "template", None):
            continue
        elif f.name in ("column", "height", "width", "index") and value:
            yield value
        elif f.name in ("columns", "annotators"):
            yield from value
        elif f.name == "tags":
            yield from value.values()
        elif isinstance(node, AbsentColumns) and f.name == "expression" and value:
            yield value
