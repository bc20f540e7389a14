r"""How models write boxes and points. Each function gives (x0, y0, x1, y1) or (x, y) in the text's own units.

Patterns are searched for, and no document is parsed as a whole: what surrounds a box (a fence, a broken or cut off
JSON document, prose) does not matter, and no text raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pixfound.spoken.frames import Box, Point

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"
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


def list_boxes(text: str) -> list[Box]:
    """`[x0, y0, x1, y1]` or `(x0, y0), (x1, y1)` anywhere."""
    found = [(match.start(), _box(match)) for pattern in (_FOUR, _CORNERS) for match in pattern.finditer(text)]
    return [box for _, box in sorted(found)]


def list_points(text: str) -> list[Point]:
    """`[x, y]` or `(x, y)` anywhere."""
    return [(float(match[1]), float(match[2])) for match in _TWO.finditer(text)]


def json_boxes(text: str) -> list[Box]:
    """The values of `bbox_2d` and the like; where no such key is written, lists of four numbers."""
    runs = list(_runs(text, _BOX_KEY))
    return [box for run in runs for box in list_boxes(run)] if runs else list_boxes(text)


def json_points(text: str) -> list[Point]:
    """The values of `point_2d` and the like; where no such key is written, lists of two numbers."""
    runs = list(_runs(text, _POINT_KEY))
    return [point for run in runs for point in list_points(run)] if runs else list_points(text)


def tag_points(text: str) -> list[Point]:
    """`<point x="1" y="2">` and `<points x1="1" y1="2" x2= ...>` (Molmo); an x without its y is left out."""
    found = []
    for tag in _TAG.finditer(text):
        values: dict[str, dict[str, float]] = {}
        for axis, number, value in _ATTRIBUTE.findall(tag[1]):
            values.setdefault(number, {})[axis] = float(value)
        found += [(pair["x"], pair["y"]) for pair in values.values() if len(pair) == 2]
    return found


def patch_boxes(text: str, side: int = 32) -> list[Box]:
    """`<patch_index_0044><patch_index_0863>` (Kosmos-2): cells of the corners in a grid of `side` x `side`, in 0 to 1.

    A corner is the middle of its cell, but the outer edge where both lie in one row or in one column.
    """
    found = []
    for first, last in _PATCHES.findall(text):
        (y0, x0), (y1, x1) = divmod(int(first), side), divmod(int(last), side)
        low, high = (0.0, 1.0) if x0 == x1 or y0 == y1 else (0.5, 0.5)
        found.append(((x0 + low) / side, (y0 + low) / side, (x1 + high) / side, (y1 + high) / side))
    return found


def loc_boxes(text: str) -> list[Box]:
    """`<loc_52><loc_332><loc_932><loc_774>` (Florence-2): the middles of bins in 0 to 1000."""
    found = []
    for run in _BINS.finditer(text):
        bins = [int(number) + 0.5 for number in _BIN.findall(run[0])]
        found += [(bins[i], bins[i + 1], bins[i + 2], bins[i + 3]) for i in range(0, len(bins) - 3, 4)]
    return found


def yxyx_boxes(text: str) -> list[Box]:
    """`<loc0256><loc0128><loc0768><loc0512>` (PaliGemma): y0, x0, y1, x1 in 1/1024 of the image."""
    found = []
    for match in _PALI.finditer(text):
        y0, x0, y1, x1 = (float(value) for value in match.groups())
        found.append((x0, y0, x1, y1))
    return found


def _runs(text: str, key: re.Pattern[str]) -> Iterator[str]:
    for match in key.finditer(text):
        run = _RUN.match(text, match.end())
        yield run[0] if run else ""


def _box(match: re.Match[str]) -> Box:
    x0, y0, x1, y1 = (float(value) for value in match.groups())
    return (x0, y0, x1, y1)
