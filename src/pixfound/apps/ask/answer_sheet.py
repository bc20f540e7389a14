"""The picture of what was asked: a line for each phrase of an answer, with its attention, its masks and an overlay."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from PIL import Image, ImageDraw

from pixfound.apps.ask.reply import Reply
from pixfound.interfaces import Extractor
from pixfound.io.fonts import font_for
from pixfound.io.text import printable
from pixfound.pipeline.run_data import resized
from pixfound.report.panels import candidate_panel, heat_panel, mask_at, overlay, shrunk
from pixfound.types import Candidate, Kind

_CELL = 240  # pixels, the longer side of a picture
_GAP, _LINE, _FRAME = 12, 18, 5
_WIDTH = 3 * (_CELL + _GAP) + _GAP
_RED, _BLUE = (235, 40, 40), (30, 90, 235)
_TITLES = ("where it looked", "masks", "the phrase's mask")
_ASKED = {"open": "question", "ground": "expression"}


def draw_answers(
    picture: Image.Image, texts: Mapping[Kind, str], replies: Mapping[Kind, Reply], extractor: Extractor
) -> Image.Image:
    """One block for each reply, under each other. texts: what was asked, by kind of prompt."""
    image = shrunk(picture)
    blocks = [
        _block(image, [*_wrapped(_ASKED[kind], texts[kind]), *_wrapped("answer", reply.text)], reply, extractor)
        for kind, reply in replies.items()
    ]
    sheet = Image.new("RGB", (blocks[0].width, sum(block.height for block in blocks)), "white")
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    return sheet


def _block(image: Image.Image, text: list[str], reply: Reply, extractor: Extractor) -> Image.Image:
    """What was asked and said, and a line for each phrase; for each mask where these are of no phrase."""
    lines = _lines(reply)
    generation = resized(reply.generation, (image.height, image.width))
    scale = _CELL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    head = _GAP + _LINE * len(text) + _GAP // 2
    height = head + _LINE + max(1, len(lines)) * (size[1] + _LINE + _GAP) + _GAP
    block = Image.new("RGB", (_WIDTH, height), "white")
    draw = ImageDraw.Draw(block)
    for i, line in enumerate(text):
        draw.text((_GAP, _GAP + i * _LINE), line, fill="black", font=_font(line))
    for i, title in enumerate(_TITLES):
        draw.text((_GAP + i * (_CELL + _GAP), head), title, fill=(110, 110, 110), font=_font(title))
    if not lines:
        draw.text((_GAP, head + _LINE + _GAP), _nothing(reply), fill="black", font=_font(_nothing(reply)))
    for number, candidates in enumerate(lines):
        top = head + _LINE + number * (size[1] + _LINE + _GAP)
        shown = reply.chosen if reply.chosen in candidates else max(candidates, key=lambda c: c.score or 0.0)
        is_chosen = shown is reply.chosen
        named = shown.phrase.text if shown.phrase else shown.name or f"mask {number + 1}"
        label = f"{named}  ({reply.choice.reason})" if is_chosen and reply.choice.reason else named
        label = printable(label)[:90]
        draw.text((_GAP, top), label, fill=_BLUE if is_chosen else "black", font=_font(label))
        phrase = shown.phrase
        heat = None if phrase is None else extractor.attention_map(generation, phrase)
        panels = (
            heat_panel(image, heat, shown, shown.mask.size),
            candidate_panel(image, candidates, shown),
            overlay(image, mask_at(shown.mask, image.size), _RED),
        )
        for i, panel in enumerate(panels):
            left = _GAP + i * (_CELL + _GAP)
            block.paste(panel.resize(size), (left, top + _LINE))
            if is_chosen and i == len(panels) - 1:
                edges = (left - 2, top + _LINE - 2, left + size[0] + 1, top + _LINE + size[1] + 1)
                draw.rectangle(edges, outline=_BLUE, width=_FRAME)
    return block


def _lines(reply: Reply) -> list[list[Candidate]]:
    """Candidates by phrase, in order; alone where they are of none."""
    lines: dict[Any, list[Candidate]] = {}
    for index, candidate in enumerate(reply.candidates):
        lines.setdefault(candidate.phrase or index, []).append(candidate)
    return list(lines.values())


def _nothing(reply: Reply) -> str:
    return f"no mask: {reply.choice.reason}" if reply.choice.reason else "no mask"


def _wrapped(title: str, text: str) -> list[str]:
    """At most four lines of a text."""
    return textwrap.wrap(printable(f"{title}: {text}"), width=96)[:4]


def _font(text: str) -> Any:
    return font_for(text, 14)
