r"""Grammars of boxes, points and masks in text. Each function returns coordinates in the text's own units.

Boxes are (x0, y0, x1, y1), with the characters that write them; points (x, y), polygons lists of corners.

Patterns are searched anywhere, and no document is parsed as a whole: the text around a box (a fence, a broken or
truncated JSON document, prose) does not matter, and no text raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pixfound.extractors.parsers.coordinates import Box, Point, Polygon
from pixfound.types.token_spans import Span

Codes = tuple[int, ...]
NUM_CODES, CODES_PER_MASK = 128, 16  # PaliGemma's

# Each part takes what it can and gives nothing back, so that a text of digits alone is read once and not n * n times.
_NUMBER = r"[-+]?(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?\d{1,3})?"
_OPEN, _CLOSE, _COMMA = r"[\[(]\s*", r"\s*[\])]", r"\s*,\s*"
_FOUR = re.compile(_OPEN + _COMMA.join([f"({_NUMBER})"] * 4) + _CLOSE)
_TWO = re.compile(_OPEN + _COMMA.join([f"({_NUMBER})"] * 2) + _CLOSE)
_CORNERS = re.compile(f"{_TWO.pattern}{_COMMA}{_TWO.pattern}")
_BOX_KEY = re.compile(r"""["']?\b(?:bbox_2d|box_2d|bbox|box)["']?\s*[:=]\s*["']?""")
_POINT_KEY = re.compile(r"""["']?\b(?:point_2d|point)["']?\s*[:=]\s*["']?""")
_RUN = re.compile(r"[\[\](),\s\d.eE+-]*")  # numbers and brackets, until a word, a quote or a brace
_TAG = re.compile(r"<points?\b([^<>]*)(?:>|$)")
_ATTRIBUTE = re.compile(rf"""\b([xy])(\d*)\s*=\s*["']\s*({_NUMBER})\s*["']""")
_PATCHES = re.compile(r"<patch_index_(\d{1,6})>\s*<patch_index_(\d{1,6})>")
_BINS = re.compile(r"(?<!>)(?:<loc_\d{1,6}>)+")
_BIN = re.compile(r"<loc_(\d{1,6})>")
_PALI = re.compile(r"<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>")
_CODED = re.compile(rf"{_PALI.pattern}\s*((?:<seg\d{{3}}>){{{CODES_PER_MASK}}})")
_CODE = re.compile(r"<seg(\d{3})>")
_OUTLINES = re.compile(r"(?:<loc_\d{1,6}>|<sep>|</?poly>)+")
_OUTLINE = re.compile(r"(?<!\d>)(?:<loc_\d{1,6}>)++(?=<sep>|$)")
_COORDS = re.compile(r"""<points\b[^<>]*?\bcoords\s*=\s*["']([^"'<>]*)""")
_NUMBERED = re.compile(r"(?<![\d.])\d+ (\d{3,4}) (\d{3,4})(?![\d.])")
_DIGITS = re.compile(r"\d[\d.]*")
_LABEL = re.compile(r"""["']label["']\s*:\s*(["'])((?:(?!\1)[^\\]|\\.)++)\1""")
_NAMED = re.compile(r"<(?:ref|phrase)>([^<>]+)</(?:ref|phrase)>")
_AFTER = re.compile(r"(?<=<loc\d{4}>)\s*+(?:<seg\d{3}>\s*+)*+([^<>;\n]*[^<>;\s])")
_NO_WORDS = re.compile(r"""[][(){}<>.,:;"'\n]""")
_SAME_LIST = re.compile(r"(?:[][(),\s]|</delimiter_of_multi_objects/>)*+")


class WrittenBox(NamedTuple):
    """A box in the text's own units. span: (start, end) of the characters that write its coordinates."""

    box: Box
    span: Span


def list_boxes(text: str) -> list[WrittenBox]:
    """`[x0, y0, x1, y1]` or `(x0, y0), (x1, y1)` anywhere."""
    found = [WrittenBox(_box(m), m.span()) for pattern in (_FOUR, _CORNERS) for m in pattern.finditer(text)]
    return sorted(found, key=lambda written: written.span)


def list_points(text: str) -> list[Point]:
    """`[x, y]` or `(x, y)` anywhere."""
    return [(float(match[1]), float(match[2])) for match in _TWO.finditer(text)]


def json_boxes(text: str) -> list[WrittenBox]:
    """The values of `bbox_2d` and the like; where no such key is written, lists of four numbers."""
    runs = list(_runs(text, _BOX_KEY))
    found = ((start, written) for start, run in runs for written in list_boxes(run))
    moved = [WrittenBox(box, (start + first, start + end)) for start, (box, (first, end)) in found]
    return moved if runs else list_boxes(text)


def json_points(text: str) -> list[Point]:
    """The values of `point_2d` and the like; where no such key is written, lists of two numbers."""
    runs = list(_runs(text, _POINT_KEY))
    return [point for _, run in runs for point in list_points(run)] if runs else list_points(text)


def tag_points(text: str) -> list[Point]:
    """`<point x="1" y="2">` and `<points x1="1" y1="2" x2= ...>` (Molmo); an x without its y is left out."""
    points = []
    for tag in _TAG.finditer(text):
        values: dict[str, dict[str, float]] = {}
        for axis, number, value in _ATTRIBUTE.findall(tag[1]):
            values.setdefault(number, {})[axis] = float(value)
        points += [(pair["x"], pair["y"]) for pair in values.values() if len(pair) == 2]
    return points


def coords_points(text: str) -> list[Point]:
    """`<points coords="1 1 105 205 2 300 400">` (Molmo2): the image's number, then each point's number, x and y.

    Coordinates are in 0 to 1000 and have three digits or more, which distinguishes them from the numbers.
    """
    return [(float(x), float(y)) for coords in _COORDS.findall(text) for x, y in _NUMBERED.findall(coords)]


def patch_boxes(text: str, side: int = 32) -> list[WrittenBox]:
    """`<patch_index_0044><patch_index_0863>` (Kosmos-2): cells of the corners in a grid of `side` x `side`, in 0 to 1.

    A corner is the middle of its cell, or the cell's outer edge where both corners are in one row or one column.
    """
    boxes = []
    for match in _PATCHES.finditer(text):
        (y0, x0), (y1, x1) = (divmod(int(corner), side) for corner in match.groups())
        low, high = (0.0, 1.0) if x0 == x1 or y0 == y1 else (0.5, 0.5)
        box = ((x0 + low) / side, (y0 + low) / side, (x1 + high) / side, (y1 + high) / side)
        boxes.append(WrittenBox(box, match.span()))
    return boxes


def loc_boxes(text: str) -> list[WrittenBox]:
    """`<loc_52><loc_332><loc_932><loc_774>` (Florence-2): the middles of bins in 0 to 1000."""
    boxes = []
    for run in _BINS.finditer(text):
        bins = list(_BIN.finditer(text, run.start(), run.end()))
        for four in (bins[i : i + 4] for i in range(0, len(bins) - 3, 4)):
            x0, y0, x1, y1 = (int(match[1]) + 0.5 for match in four)
            boxes.append(WrittenBox((x0, y0, x1, y1), (four[0].start(), four[3].end())))
    return boxes


def yxyx_boxes(text: str) -> list[WrittenBox]:
    """`<loc0256><loc0128><loc0768><loc0512>` (PaliGemma): y0, x0, y1, x1 in 1/1024 of the image."""
    boxes = []
    for match in _PALI.finditer(text):
        y0, x0, y1, x1 = (float(value) for value in match.groups())
        boxes.append(WrittenBox((x0, y0, x1, y1), match.span()))
    return boxes


def spans_of(text: str, boxes: Sequence[WrittenBox]) -> list[list[Span]]:
    """For each of all boxes of a text, in order, the characters of its numbers and of its label, if it has one.

    A label is the value of `"label"` between the same braces (Qwen2.5-VL), or what `<ref>` or `<phrase>` encloses
    between the box before and this one (InternVL, Kosmos-2), or the words directly before a box (Qwen2-VL), with white
    space between only before a list of boxes (InternVL), or those after it (PaliGemma). Boxes of one list share it.
    """
    lists: list[list[Span]] = []
    for _, span in boxes:
        if lists and _SAME_LIST.fullmatch(text, lists[-1][-1][1], span[0]):
            lists[-1].append(span)
        else:
            lists.append([span])
    before = [0, *(spans[-1][1] for spans in lists)]
    after = [*(spans[0][0] for spans in lists[1:]), len(text)]
    found = []
    for spans, low, high in zip(lists, before, after, strict=False):
        label = _label(text, low, (spans[0][0], spans[-1][1]), high)
        found += [[*(match.span() for match in _DIGITS.finditer(text, *span)), *label] for span in spans]
    return found


def _label(text: str, low: int, span: Span, high: int) -> list[Span]:
    """The characters of the label of the boxes in a span, one or none, within `low` to `high`."""
    start, end = span
    opened, closed = text.rfind("{", low, start), text.find("}", end, high)
    named = [
        *_LABEL.finditer(text, end, high if closed < 0 else closed),
        *reversed([*_LABEL.finditer(text, start if opened < 0 else opened, start)]),
        *reversed([*_NAMED.finditer(text, low, start)]),
    ]
    if match := next(iter(named), None) or _AFTER.match(text, end, high):
        return [match.span(match.lastindex or 0)]
    head = text[low:start]
    head = head[:-1].rstrip() if head.endswith("[") else head
    words = head[max((match.end() for match in _NO_WORDS.finditer(head)), default=0) :]
    blank = len(words) - len(words.lstrip())
    return [(low + len(head) - len(words) + blank, low + len(head))] if words == words.rstrip() != "" else []


def coded_masks(text: str) -> list[tuple[Box, Codes]]:
    """`<loc0256><loc0128><loc0768><loc0512><seg017> ...` (PaliGemma): a box, and 16 codes of the mask inside it.

    An object with fewer codes, or with a code outside the codebook of 128, is left out. Only the first 16 codes are
    read.
    """
    masks = []
    for match in _CODED.finditer(text):
        y0, x0, y1, x1 = (float(value) for value in match.groups()[:4])
        codes = tuple(int(code) for code in _CODE.findall(match[5]))
        if max(codes) < NUM_CODES:
            masks.append(((x0, y0, x1, y1), codes))
    return masks


def loc_polygons(text: str) -> list[tuple[Polygon, ...]]:
    """`<loc_1><loc_2> ... <sep><loc_7> ...` (Florence-2): the polygons of each object, middles of bins in 0 to 1000.

    `<sep>` stands between the polygons of an object, `<poly>` and `</poly>` around an object where there are several.
    An odd number at the end of a polygon is dropped, and so are polygons of fewer than three corners.
    """
    objects = []
    for run in _OUTLINES.finditer(text):
        several = "<poly>" in run[0] and "</poly>" in run[0]
        parts = [part.partition("<poly>")[2] for part in run[0].split("</poly>")[:-1]]
        for object_text in parts if several else [run[0]]:
            bins = [[int(n) + 0.5 for n in _BIN.findall(outline)] for outline in _OUTLINE.findall(object_text)]
            polygons = [tuple(zip(values[0::2], values[1::2], strict=False)) for values in bins if len(values) >= 6]
            if polygons:
                objects.append(tuple(polygons))
    return objects


def _runs(text: str, key: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """(first character, text) of the numbers and brackets after each key."""
    for match in key.finditer(text):
        run = _RUN.match(text, match.end())
        yield match.end(), run[0] if run else ""


def _box(match: re.Match[str]) -> Box:
    x0, y0, x1, y1 = (float(value) for value in match.groups())
    return (x0, y0, x1, y1)
