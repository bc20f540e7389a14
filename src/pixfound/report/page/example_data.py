"""All that the page shows of one example, as JSON values.

What has names that models or data choose (tags, rows, extractors) is a list in the run's order, never an object's keys.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from pixfound.pipeline.run_data import RunData
from pixfound.pipeline.run_examples import RunExample
from pixfound.report.page.attention_rows import deflated, pack_rows
from pixfound.report.panels import mask_at
from pixfound.scoring.scores import Score
from pixfound.store.store import DamagedArrays
from pixfound.types import KINDS, Candidate, FloatArray, Generation, Kind
from pixfound.types.masks import RLE, ious

log = logging.getLogger(__name__)
_SILENT = "it was not asked"
_NOT_ASKED = {"asked": "", "answer": None, "correct": None, "reason": _SILENT, "why_no_attention": _SILENT}
Scores = Mapping[tuple[Kind, str | None], Score]


def example_data(item: RunExample, run: RunData, scores: Scores, size: tuple[int, int]) -> dict[str, Any]:
    """The example, and by kind of prompt what was asked, said, proposed and chosen. size: (H, W) of its picture.

    A mask is its place among the lines of `masks`, COCO's compressed runs at that size. Points and boxes are in pixels
    of the original image.
    """
    example, masks = item.example, _Masks(size)
    kinds = [_kind(item, kind, run, scores, masks) if kind in example.kinds else _NOT_ASKED for kind in KINDS]
    return {
        "id": example.id,
        "pair": example.pair_id,
        "question": example.question,
        "options": list(example.options),
        "answer": example.answer,
        "accepted": list(example.answers),
        "expression": example.expression,
        "absent": example.absent,
        "tags": [[name, value] for name, value in example.tags.items()],
        "size": list(size),
        "full": list(example.gt_mask.size),
        "truth": masks.place(example.gt_mask),
        "instances": [masks.place(mask) for mask in example.instances],
        "boxes": [list(box) for box in example.boxes],
        "ignore": None if example.ignore is None else masks.place(example.ignore),
        "kinds": kinds,
        "masks": deflated("\n".join(masks.runs).encode("ascii")),
    }


class _Masks:
    """The different masks of an example, in pictures of size (H, W): several rows and prompts show the same."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size, self._places = size, dict[str, int]()

    @property
    def runs(self) -> list[str]:
        """COCO's compressed runs of each."""
        return list(self._places)

    def place(self, mask: RLE) -> int:
        """The place of a mask in `runs`."""
        if mask.size != self._size:
            mask = RLE.encode(mask_at(mask, (self._size[1], self._size[0])))
        return self._places.setdefault(mask.counts, len(self._places))


def _kind(item: RunExample, kind: Kind, run: RunData, scores: Scores, masks: _Masks) -> dict[str, Any]:
    answer = scores[kind, None]
    generation, why = _generation(item, kind, run)
    data: dict[str, Any] = {
        "asked": (generation.prompt if generation else "") or item.prompt(kind).text,
        "rendered": bool(generation and generation.prompt),
        "answer": generation.text if generation else None,
        "cut": bool(generation and generation.cut),
        "correct": answer.correct,
        "reason": answer.reason,
        "why_no_attention": why,
    }
    if generation is not None:
        data["native"] = [masks.place(mask) for mask in generation.masks]
        if generation.attention is not None:
            data["spans"] = _in_utf16(generation.spans, generation.text)
            data["tiles"] = [[t.first, *t.grid, t.stride, *t.box] for t in generation.tiles]
            data["attention"], data["attention_of"] = _attention(run, generation)
            data["kept"] = kept_names(generation)
    if kind in item.mask_kinds:
        data["candidates"] = [_candidates(item, kind, run, name, generation, masks) for name in run.parts.extractors]
        data["rows"] = [_row(scores[kind, row]) for row in run.parts.rows]
    return data


def _attention(run: RunData, generation: Generation) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """(packed rows, and for each extractor [their place, shift, 1 if the mean is taken away]) as extractors read them.

    Most read the same, which is then packed once. Extractors that take no attention are shown as the first that does.
    """
    arrays, packed, of_extractors = list[FloatArray](), list[dict[str, Any]](), list[list[int]]()
    extractors = [part.built for part in run.parts.extractors.values()]
    first = next((one for one in extractors if one.maps_attention), extractors[0])
    for extractor in extractors:
        read = (extractor if extractor.maps_attention else first).attention_rows(generation)
        assert read is not None  # the generation has attention
        place = next((i for i, rows in enumerate(arrays) if np.array_equal(rows, read.rows)), len(arrays))
        if place == len(arrays):
            arrays.append(read.rows)
            packed.append(pack_rows(read.rows))
        of_extractors.append([place, read.shift, int(read.subtracts_mean)])
    return packed, of_extractors


def kept_names(generation: Generation) -> list[str]:
    """Names of the layers and heads whose attention is apart, in the order of `kept_rows`."""
    if generation.kept is None:
        return []
    heads = [f", head {head}" for head in generation.kept.heads] or [""]
    return [f"layer {layer}{head}" for layer in generation.kept.layers for head in heads]


def kept_rows(item: RunExample, kind: Kind, run: RunData) -> list[dict[str, Any]]:
    """The packed rows of each layer and head; [] where there are none."""
    generation, _ = _generation(item, kind, run)
    if generation is None or generation.kept is None:
        return []
    rows = generation.kept.rows[:, :, 1:]  # without the prompt's last row but one
    return [pack_rows(of_one) for of_one in rows.reshape(-1, *rows.shape[2:])]


def _generation(item: RunExample, kind: Kind, run: RunData) -> tuple[Generation | None, str]:
    """The answer, with its attention where that can be had; and in words why there is none."""
    try:
        generation = run.generation(item, kind)
    except (DamagedArrays, OSError) as error:
        log.warning("%s", error)
        return run.answer(item, kind), "the stored attention cannot be read: run the same command again"
    if generation is None:
        return None, "there is no answer"
    return generation, "" if generation.attention is not None else "no attention was stored for this answer"


def _candidates(
    item: RunExample, kind: Kind, run: RunData, extractor: str, generation: Generation | None, masks: _Masks
) -> list[dict[str, Any]]:
    """The candidates of an extractor, each with its IoU with the ground truth where there is one."""
    candidates = run.candidates(item, kind, extractor) or []
    if not item.example.annotated:
        return [_candidate(one, None, generation, masks) for one in candidates]
    overlaps = ious([candidate.mask for candidate in candidates], item.example.gt_mask, item.example.ignore)
    return [_candidate(one, iou, generation, masks) for one, iou in zip(candidates, overlaps, strict=True)]


def _candidate(candidate: Candidate, iou: float | None, generation: Generation | None, masks: _Masks) -> dict[str, Any]:
    phrase, text = candidate.phrase, generation.text if generation else ""
    return {
        "mask": masks.place(candidate.mask),
        "iou": None if iou is None else round(iou, 4),
        "phrase": phrase and phrase.text,
        "span": phrase and _in_utf16([phrase.span], text)[0],
        "point": candidate.point,
        "box": candidate.box,
        "score": candidate.score,
        "name": candidate.name,
    }


def _row(score: Score) -> dict[str, Any]:
    return {
        "choice": score.choice,
        "index": score.index,
        "iou": None if score.iou is None else round(score.iou, 4),
        "reason": score.reason,
    }


def _in_utf16(spans: Sequence[tuple[int, int]], text: str) -> list[list[int]]:
    """Spans of characters as JavaScript counts them: one beyond U+FFFF is two."""
    if text.isascii():
        return [list(span) for span in spans]
    place = [0, *accumulate(1 + (ord(c) > 0xFFFF) for c in text)]
    return [[place[min(end, len(text))] for end in span] for span in spans]
