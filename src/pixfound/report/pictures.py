"""The picture sheet: for each example the answers, the attention, the candidates and the chosen mask."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from pixfound.io.fonts import font_for
from pixfound.pipeline.images import load
from pixfound.pipeline.run_examples import RunExample
from pixfound.report.panels import candidate_panel, heat_panel, mask_at, overlay, shrunk
from pixfound.scoring.quadrants import quadrant
from pixfound.scoring.scores import Score
from pixfound.types import Kind

if TYPE_CHECKING:
    from pixfound.pipeline.run_data import RunData

log = logging.getLogger(__name__)
CELL = 150  # pixels, the longer side of a picture on the sheet
TEXT = 330
GAP = 8
LINE = 14
COLOURS = {
    "both": (46, 160, 67),
    "vqa_only": (214, 170, 20),
    "grounding_only": (49, 109, 220),
    "neither": (207, 52, 52),
    "unscored": (150, 150, 150),
}
_TITLES = ("image", "attention, peak", "candidates", "choice", "truth")


def draw_sheet(run: RunData, metrics: Mapping[str, Any], count: int) -> Image.Image | None:
    """A strip for each of about `count` examples, partners under each other; None where there is nothing to show.

    The row shown is the first of the table that proposes candidates from phrases, else the first.
    """
    row = _main_row(run)
    if row is None:
        return None
    strips = [draw_strip(run_example, row, run, metrics) for run_example in _picked(run, count)]
    drawn = [strip for strip in strips if strip is not None]
    if not drawn:
        return None
    head = Image.new("RGB", (drawn[0].width, 2 * LINE + GAP), "white")
    draw = ImageDraw.Draw(head)
    heading = f"row: {row}, prompt: {metrics['rows'][row]['grounding_prompt']}"
    draw.text((GAP, 2), heading, fill="black", font=_font(heading))
    for i, title in enumerate(_TITLES):
        draw.text((TEXT + i * (CELL + GAP), LINE + 2), title, fill="black", font=_font(title))
    sheet = Image.new("RGB", (head.width, head.height + sum(s.height for s in drawn)), "white")
    sheet.paste(head, (0, 0))
    top = head.height
    for strip in drawn:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def draw_strip(run_example: RunExample, row: str, run: RunData, metrics: Mapping[str, Any]) -> Image.Image | None:
    """One example from left to right, framed in its quadrant's colour; None where its image cannot be read, or where it
    is asked to show nothing.
    """
    if not run_example.mask_kinds:
        return None
    kind: Kind = metrics["rows"][row]["grounding_prompt"]
    kind = kind if kind in run_example.mask_kinds else "ground"  # an example may have no question
    try:
        image = load(run_example.example)
    except Exception:  # whatever its source raises, which is listed among the failures
        return None
    scores = {(s.kind, s.row): s for s in run.scores_of(run_example)}
    mask_score = scores[kind, row]
    image = shrunk(image)  # before anything is drawn: what is drawn with takes many bytes a pixel
    candidates = run.candidates(run_example, kind, run.parts.rows[row][0]) or []
    chosen, mask = run.chosen(run_example, kind, row), run.mask(run_example, kind, row)
    heat = run.attention(run_example, kind, row, (image.height, image.width))
    panels = [
        image,
        heat_panel(image, heat, chosen, run_example.example.gt_mask.size),
        candidate_panel(image, candidates, chosen),
    ]
    if mask is None:
        panels.append(Image.new("RGB", image.size, (225, 225, 225)))
    else:
        panels.append(overlay(image, mask_at(mask, image.size), (235, 40, 40)))
    panels.append(overlay(image, mask_at(run_example.example.gt_mask, image.size), (40, 200, 70)))
    return _compose(panels, _words(run_example, kind, scores, mask_score), _frame(scores, mask_score, metrics))


def _words(run_example: RunExample, kind: Kind, scores: Mapping[Any, Score], mask_score: Score) -> list[str]:
    example = run_example.example
    iou = "-" if mask_score.iou is None else f"{mask_score.iou:.2f}"
    marks = {True: "right", False: "wrong", None: "unscored"}
    replies = {k: scores[k, None] for k in example.kinds}
    question_lines = [f"Q: {example.question} {' / '.join(example.options)}", f"truth: {example.right_answer}"]
    return [
        f"{example.id}  {' '.join(example.tags.values())}",
        *(question_lines if example.question else []),
        *(f"{k} ({marks[reply.correct]}): {reply.response}" for k, reply in replies.items() if k != "ground"),
        f"refers to: {example.expression}{' (absent)' if example.absent else ''}",
        f"ground: {replies['ground'].response}",
        f"IoU {iou}  {mask_score.reason}",
    ]


def _frame(scores: Mapping[Any, Score], mask_score: Score, metrics: Mapping[str, Any]) -> tuple[int, int, int]:
    answer_score = scores.get((metrics["answer_prompt"], None))
    answer = answer_score.correct if answer_score else None
    if answer is None or mask_score.iou is None:
        return COLOURS["unscored"]
    return COLOURS[quadrant(answer, mask_score.iou > metrics["iou_threshold"])]


def _compose(panels: Sequence[Image.Image], words: Sequence[str], colour: tuple[int, int, int]) -> Image.Image:
    lines = [part for text in words for part in textwrap.wrap(_printable(text), width=50)[:3]]
    height = max(CELL, len(lines) * LINE) + 2 * GAP
    strip = Image.new("RGB", (TEXT + len(panels) * (CELL + GAP) + GAP, height + GAP), "white")
    draw = ImageDraw.Draw(strip)
    draw.rectangle((1, 1, strip.width - 2, height - 1), outline=colour, width=4)
    for i, line in enumerate(lines):
        draw.text((GAP + 2, GAP + i * LINE), line, fill="black", font=_font(line))
    for i, panel in enumerate(panels):
        scale = CELL / max(panel.size)
        small = panel.resize((max(1, round(panel.width * scale)), max(1, round(panel.height * scale))))
        strip.paste(small, (TEXT + i * (CELL + GAP), GAP))
    return strip


def _main_row(run: RunData) -> str | None:
    rows = run.parts.rows
    mapped = [row for row, (name, _) in rows.items() if run.parts.extractors[name].built.maps_attention]
    preferred = [row for row in mapped if rows[row][1] == "similarity"]
    return next(iter([*preferred, *mapped, *rows]), None)


def _picked(run: RunData, count: int) -> list[RunExample]:
    """About `count` examples from all over the benchmark, pairs kept whole and together."""
    cluster_of, clusters = run.scores.cluster_of, run.scores.clusters
    size = min(clusters, max(1, round(count / (len(cluster_of) / clusters))))
    # Drawn, not strided: categories often follow each other in a cycle, which a stride would walk along.
    chosen = sorted(np.random.default_rng(0).choice(clusters, size=size, replace=False))
    return [run.examples[int(i)] for cluster in chosen for i in np.flatnonzero(cluster_of == cluster)]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:400]


def _font(text: str) -> Any:
    return font_for(text, 11)
