"""The histogram of positions: observed shares of the deciles with their intervals, and beside them what nulls give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from pixfound.analyses.emergence_text import NULL_TITLES

_SCALE = 2  # pixels for each unit below, so that the picture is sharp on a dense screen
_SLOT, _LEFT, _RIGHT = 64, 62, 16
_TOP, _HEIGHT, _BOTTOM = 56, 220, 48
_LEGEND = 28
_INK, _FAINT = (40, 44, 52), (226, 228, 232)
_OBSERVED = (60, 110, 190)
_NULLS = ((232, 150, 60), (120, 170, 90), (170, 110, 180))
_SIGNIFICANT = 0.05


def draw(found: Mapping[str, Any]) -> Image.Image:
    """A panel for each kind of prompt, under each other, and a legend. found: what `When.compute` returned."""
    shown = {kind: one for kind, one in found["prompts"].items() if one["examples"]}
    nulls = list(next(iter(shown.values()))["mean"]["nulls"])
    width = _LEFT + 10 * _SLOT + _RIGHT
    panel = _TOP + _HEIGHT + _BOTTOM
    canvas = _Canvas(Image.new("RGB", (width * _SCALE, (len(shown) * panel + _LEGEND) * _SCALE), "white"))
    for i, (kind, one) in enumerate(shown.items()):
        of = f"{found['place']} of the best phrase in the answer, % of its {found['unit']}"
        _panel(canvas, i * panel + _TOP, kind, one, of)
    _legend(canvas, len(shown) * panel + 4, nulls, found["level"])
    return canvas.image


class _Canvas:
    """Draws in units of `_SCALE` pixels; (x, y) from the left top corner."""

    def __init__(self, image: Image.Image) -> None:
        self.image, self._draw = image, ImageDraw.Draw(image)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: tuple[int, int, int]) -> None:
        """A filled box; at least one pixel high, so that what is zero is seen."""
        left, top, right, bottom = (round(value * _SCALE) for value in (x0, y0, x1, y1))
        self._draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), fill=colour)

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: tuple[int, int, int], width: int = 1) -> None:
        """A straight line. width: in pixels."""
        self._draw.line((x0 * _SCALE, y0 * _SCALE, x1 * _SCALE, y1 * _SCALE), fill=colour, width=width)

    def text(self, x: float, y: float, text: str, anchor: str, size: int = 11) -> None:
        """A line of text. anchor: Pillow's two letters for which of its points lies at (x, y)."""
        self._draw.text((x * _SCALE, y * _SCALE), text, fill=_INK, font=_font(size), anchor=anchor)

    def width(self, text: str) -> float:
        """The width of a line of text in the usual size, in the units of x."""
        return float(_font(11).getlength(text)) / _SCALE


def _font(size: int) -> Any:
    return ImageFont.load_default(size=size * _SCALE)


def _panel(canvas: _Canvas, top: float, kind: str, one: Mapping[str, Any], axis: str) -> None:
    """One histogram whose plot area begins at `top`."""
    tens = one["deciles"]
    ends = [value["high"] for ten in tens for value in (ten, *ten["nulls"].values())]
    step = _step(max(ends))
    highest = step * (int(max(ends) * 1.08 / step) + 1)

    def y(share: float) -> float:
        return top + _HEIGHT * (1 - share / highest)

    mean = one["mean"]
    canvas.text(_LEFT, top - 44, f"Prompt {kind}: where the best phrase stands", "lt", 14)
    summary = f"{one['examples']} examples, mean position {100 * mean['value']:.0f} %"
    against = (f"{NULL_TITLES[null]} {100 * value['value']:.0f} %" for null, value in mean["nulls"].items())
    canvas.text(_LEFT, top - 24, "; ".join([summary, *against]), "lt")
    for number in range(round(highest / step) + 1):
        canvas.line(_LEFT, y(number * step), _LEFT + 10 * _SLOT, y(number * step), _FAINT, 2)
        canvas.text(_LEFT - 6, y(number * step), f"{100 * number * step:.0f} %", "rm")
    for i, ten in enumerate(tens):
        _slot(canvas, _LEFT + i * _SLOT, ten, y)
        canvas.text(_LEFT + i * _SLOT, top + _HEIGHT + 6, str(10 * i), "mt")
    canvas.text(_LEFT + 10 * _SLOT, top + _HEIGHT + 6, "100", "mt")
    canvas.line(_LEFT, y(0), _LEFT + 10 * _SLOT, y(0), _INK, 2)
    canvas.text(_LEFT + 5 * _SLOT, top + _HEIGHT + 22, axis, "mt")


def _slot(canvas: _Canvas, left: float, ten: Mapping[str, Any], y: Any) -> None:
    """A decile: the observed bar with its whisker, then a band for each null with its expectation as a line."""
    nulls = list(ten["nulls"].values())
    if not any(value["high"] for value in (ten, *nulls)):
        return  # no phrase stands here in any answer
    bar, band, gap = 0.40 * _SLOT, 0.11 * _SLOT, 0.03 * _SLOT
    x = left + 0.08 * _SLOT
    canvas.box(x, y(ten["value"]), x + bar, y(0), _OBSERVED)
    middle = x + bar / 2
    canvas.line(middle, y(ten["low"]), middle, y(ten["high"]), _INK, 3)
    for end in (ten["low"], ten["high"]):
        canvas.line(middle - 4, y(end), middle + 4, y(end), _INK, 3)
    if nulls and nulls[0]["p"] < _SIGNIFICANT:
        canvas.text(middle, y(ten["high"]) - 1, "*", "mb", 14)
    x += bar + gap
    for null, colour in zip(nulls, _NULLS, strict=False):
        pale = tuple(round(0.45 * c + 0.55 * 255) for c in colour)
        canvas.box(x, y(null["high"]), x + band, y(null["low"]), (pale[0], pale[1], pale[2]))
        canvas.line(x, y(null["value"]), x + band, y(null["value"]), colour, 4)
        x += band + gap


def _legend(canvas: _Canvas, top: float, nulls: list[str], level: float) -> None:
    entries = [(f"best phrase, {100 * level:g} % interval", _OBSERVED)]
    entries += [(NULL_TITLES[null], colour) for null, colour in zip(nulls, _NULLS, strict=False)]
    x: float = _LEFT
    for title, colour in entries:
        canvas.box(x, top + 2, x + 12, top + 14, colour)
        canvas.text(x + 17, top + 8, title, "lm")
        x += 32 + canvas.width(title)
    if nulls:
        canvas.text(x, top + 8, f"* p < {_SIGNIFICANT} ({NULL_TITLES[nulls[0]]})", "lm")


def _step(highest: float) -> float:
    """A round distance between ticks that makes about five of them."""
    return next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if highest / step <= 6 or step == 0.2)
