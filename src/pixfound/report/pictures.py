"""The picture sheet: what a model said about each example, where it looked, and what came of it."""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pixfound.pipeline.images import load
from pixfound.pipeline.run_examples import RunExample
from pixfound.pipeline.score import chosen_mask
from pixfound.report.panels import candidate_panel, heat_panel, mask_at, overlay, shrunk
from pixfound.scoring.quadrants import quadrant
from pixfound.scoring.scores import Score
from pixfound.store.records import candidates_of, unpack_generation
from pixfound.store.store import DamagedArrays
from pixfound.types import Candidate, Generation, Kind

if TYPE_CHECKING:
    from pixfound.pipeline.results import RunData

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


def draw_sheet(evidence: RunData, metrics: Mapping[str, Any], count: int) -> Image.Image | None:
    """A strip for each of about `count` examples, partners under each other; None where there is nothing to show.

    The row shown is the first of the table that proposes candidates from phrases, else the first.
    """
    row = _main_row(evidence)
    if row is None:
        return None
    strips = [draw_strip(item, row, evidence, metrics) for item in _picked(evidence, count)]
    shown = [strip for strip in strips if strip is not None]
    if not shown:
        return None
    head = Image.new("RGB", (shown[0].width, 2 * LINE + GAP), "white")
    draw = ImageDraw.Draw(head)
    draw.text((GAP, 2), f"row: {row}, prompt: {metrics['rows'][row]['grounding_prompt']}", fill="black", font=_font())
    for i, title in enumerate(_TITLES):
        draw.text((TEXT + i * (CELL + GAP), LINE + 2), title, fill="black", font=_font())
    sheet = Image.new("RGB", (head.width, head.height + sum(s.height for s in shown)), "white")
    sheet.paste(head, (0, 0))
    top = head.height
    for strip in shown:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def draw_strip(item: RunExample, row: str, evidence: RunData, metrics: Mapping[str, Any]) -> Image.Image | None:
    """One example from left to right, framed in its quadrant's colour; None where its image cannot be read."""
    kind: Kind = metrics["rows"][row]["grounding_prompt"]
    try:
        image = load(item.example)
    except Exception:  # whatever its source raises, which is told among the failures
        return None
    scores = {(s.kind, s.row): s for s in evidence.scores(item)}
    mask_score = scores[kind, row]
    image = shrunk(image)  # before anything is drawn: what is drawn with takes many bytes a pixel
    candidates, taken, heat = _found(item, row, kind, evidence, mask_score, image.size)
    panels = [
        image,
        heat_panel(image, heat, taken, item.example.gt_mask.size),
        candidate_panel(image, candidates, taken),
    ]
    if mask_score.choice in (None, "unscored"):
        panels.append(Image.new("RGB", image.size, (225, 225, 225)))
    else:
        chosen = chosen_mask(str(mask_score.choice), taken, item.example)
        panels.append(overlay(image, mask_at(chosen, image.size), (235, 40, 40)))
    panels.append(overlay(image, mask_at(item.example.gt_mask, image.size), (40, 200, 70)))
    return _compose(panels, _words(item, kind, scores, mask_score), _frame(scores, mask_score, metrics))


def _found(
    item: RunExample, row: str, kind: Kind, evidence: RunData, score: Score, size: tuple[int, int]
) -> tuple[list[Candidate], Candidate | None, npt.NDArray[np.float32] | None]:
    """The candidates, the chosen one, and the attention map of its phrase at `size` (width, height), if they exist."""
    extractor = evidence.parts.rows[row][0]
    record = evidence.stores.extract[extractor].get(item.key(kind), item.extract_digest(kind))
    if record is None or record.value is None:
        return [], None, None
    candidates = candidates_of(record)
    taken = candidates[score.index] if score.index is not None else None
    said = evidence.stores.generate.get(item.key(kind), item.generate_digest(kind))
    draw_heat = getattr(evidence.parts.extractors[extractor].built, "heat", None)
    if taken is None or taken.phrase is None or said is None or said.value is None or draw_heat is None:
        return candidates, taken, None
    try:
        generation = unpack_generation(said.value, evidence.stores.generate.arrays(said))
    except (DamagedArrays, OSError) as error:  # the scores do not need them any more
        log.warning("%s", error)
        return candidates, taken, None
    return candidates, taken, draw_heat(_seen_at(generation, size), taken.phrase)


def _seen_at(generation: Generation, size: tuple[int, int]) -> Generation:
    """A generation about its image at another size (width, height)."""
    height, width = generation.image_size
    across, down = size[0] / width, size[1] / height
    tiles = tuple(
        replace(t, box=(t.box[0] * across, t.box[1] * down, t.box[2] * across, t.box[3] * down))
        for t in generation.tiles
    )
    return replace(generation, tiles=tiles, image_size=(size[1], size[0]))


def _words(item: RunExample, kind: Kind, scores: Mapping[Any, Score], mask_score: Score) -> list[str]:
    example = item.example
    iou = "-" if mask_score.iou is None else f"{mask_score.iou:.2f}"
    marks = {True: "right", False: "wrong", None: "unscored"}
    replies = {k: scores[k, None] for k in ("open", "choice", "ground")}
    return [
        f"{example.id}  {' '.join(example.tags.values())}",
        f"Q: {example.question} {' / '.join(example.options)}",
        f"truth: {example.options[example.answer]}",
        f"open ({marks[replies['open'].correct]}): {replies['open'].response}",
        f"choice ({marks[replies['choice'].correct]}): {replies['choice'].response}",
        f"refers to: {example.expression}{' (absent)' if example.absent else ''}",
        f"ground: {replies['ground'].response}",
        f"IoU {iou}  {mask_score.reason}",
    ]


def _frame(scores: Mapping[Any, Score], mask_score: Score, metrics: Mapping[str, Any]) -> tuple[int, int, int]:
    answer = scores[metrics["answer_prompt"], None].correct
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
        draw.text((GAP + 2, GAP + i * LINE), line, fill="black", font=_font())
    for i, panel in enumerate(panels):
        scale = CELL / max(panel.size)
        small = panel.resize((max(1, round(panel.width * scale)), max(1, round(panel.height * scale))))
        strip.paste(small, (TEXT + i * (CELL + GAP), GAP))
    return strip


def _main_row(evidence: RunData) -> str | None:
    rows = evidence.parts.rows
    with_heat = [row for row, (name, _) in rows.items() if hasattr(evidence.parts.extractors[name].built, "heat")]
    preferred = [row for row in with_heat if rows[row][1] == "similarity"]
    return next(iter([*preferred, *with_heat, *rows]), None)


def _picked(evidence: RunData, count: int) -> list[RunExample]:
    """About `count` examples from all over the benchmark, pairs kept whole and together."""
    bundle, bundles = evidence.table.cluster_of, evidence.table.clusters
    wanted = min(bundles, max(1, round(count / (len(bundle) / bundles))))
    # Drawn, not strided: categories often follow each other in a cycle, which a stride would walk along.
    chosen = sorted(np.random.default_rng(0).choice(bundles, size=wanted, replace=False))
    return [evidence.items[int(i)] for one in chosen for i in np.flatnonzero(bundle == one)]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:400]


def _font() -> Any:
    return ImageFont.load_default(size=11)
