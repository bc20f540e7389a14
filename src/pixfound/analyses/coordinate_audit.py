"""Audit of written boxes: do their numbers look like the declared reading, and would another one fit far better.

A model whose coordinates are read in another format than that of its training draws boxes in wrong places, and
looks as if it could not ground. Harnesses that take the best of several readings of each box hide this and are too
optimistic; here one reading is declared, all others are measured beside it over the whole run, and none is taken.

Shapes: `N` first boxes of answers about present objects.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from pixfound.extractors.parsers.coordinates import Box, Frame, of_image, of_padded_square, of_resized
from pixfound.extractors.parsers.formats import CoordinateFormat
from pixfound.extractors.text import TextBox
from pixfound.interfaces import Analysis
from pixfound.io.text import grid
from pixfound.scoring.bootstrap import Resampler, numbered
from pixfound.scoring.estimates import figure, minus
from pixfound.scoring.formatting import enough as shown
from pixfound.scoring.regions import Array, around, box_ious

if TYPE_CHECKING:
    from pixfound.pipeline.run_data import RunData

log = logging.getLogger(__name__)
Size = tuple[int, int]  # (H, W) in pixels
READINGS: Mapping[str, Callable[[Size, Size | None], Frame | None]] = {
    "pixels": lambda size, _: Frame((1.0, 1.0), (0.0, 0.0), size),
    "pixels of the model's input": lambda size, resized: of_resized(size, resized) if resized else None,
    "0-1": lambda size, _: of_image(size, 1.0),
    "0-100": lambda size, _: of_image(size, 100.0),
    "0-1000": lambda size, _: of_image(size, 1000.0),
    "0-1024": lambda size, _: of_image(size, 1024.0),
    "0-1 of the padded square": lambda size, _: of_padded_square(size),
    "0-1000 of the padded square": lambda size, _: _padded(size, 1000.0),
}
_DECLARED = {1.0: "0-1", 100.0: "0-100", 1000.0: "0-1000", 1024.0: "0-1024"} | {
    "resized": "pixels of the model's input",
    "padded": "0-1 of the padded square",
}
_SWAPPED = ", y before x"
_FEW = 5  # answers with a box: what fewer of them show is chance
_OTHERS = 9  # answers whose truths a box is compared with, for its IoU by chance
_SHARES = {
    "over_1": "over 1",
    "over_side": "over the image's side",
    "over_1000": "over 1000",
    "negative": "negative",
    "swapped": "boxes with swapped corners",
}


class CoordinateAudit(Analysis):
    """For each extractor of written boxes, its coordinates under the grounding prompt, and the IoU of each reading.

    margin: mean IoU by which another reading must fit better than the declared one for a warning, and better than the
    same boxes fit the objects of other answers, both with an interval above 0; of at least five answers with a box.
    Large boxes overlap with much by chance. resamples, level, seed: of the bootstrap, clustered by pair.
    """

    def __init__(self, margin: float = 0.1, resamples: int = 2000, level: float = 0.95, seed: int = 0) -> None:
        self.margin, self.resamples, self.level, self.seed = margin, resamples, level, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """Extractor -> numbers of answers and boxes, shares of odd coordinates, readings, and the one that fits better.

        An extractor that reads as one before it, or that found no box, is left out.
        """
        results: dict[str, Any] = {}
        formats: list[CoordinateFormat] = []
        for name, part in run.parts.extractors.items():
            extractor = part.built
            if isinstance(extractor, TextBox) and extractor.format not in formats:
                formats.append(extractor.format)
                answers = list(_answers(run, extractor.format))
                if any(answer.boxes for answer in answers):
                    results[name] = self._about(extractor.format, answers)
                    if better := results[name]["better"]:
                        log.warning("%s", _warning(name, results[name]["declared"], better, results[name]["readings"]))
        return results

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """The shares, and the readings with their difference to the declared one."""
        blocks = [
            "## Coordinates",
            "Boxes as written under the grounding prompt. IoU: of an answer's first box with the annotated one, over "
            "present objects. Scores take the declared reading; the others are for comparison.",
        ]
        for name, about in results.items():
            shares = ", ".join(f"{100 * about['shares'][key]:.1f} % {text}" for key, text in _SHARES.items())
            blocks.append(
                f"{name}: {about['boxes']} boxes in {about['with_box']} of {about['answers']} answers; {shares}."
            )
            lines = [
                [reading, shown(of["iou"]), "declared" if of["difference"] is None else shown(of["difference"])]
                for reading, of in about["readings"].items()
            ]
            blocks.append(grid((name, "IoU", "difference"), lines))
            if about["better"]:
                blocks.append(f"**{_warning(name, about['declared'], about['better'], about['readings'])}**")
        return blocks

    def _about(self, format: CoordinateFormat, answers: Sequence[_Answer]) -> dict[str, Any]:
        declared = _DECLARED[format.units]
        sized = format.units != "resized"
        judged = [answer for answer in answers if answer.boxes and answer.gt and (sized or answer.resized)]
        of_cluster, clusters = numbered(answer.cluster for answer in judged)
        draws = Resampler(clusters, self.resamples, self.seed)
        ious = {reading: [_iou(answer, reading) for answer in judged] for reading in _readings()}
        estimates = {
            reading: draws.mean(of_cluster, np.array(values))
            for reading, values in ious.items()
            if None not in values  # a reading that the model has no size for
        }
        readings = {
            reading: {
                "iou": figure(estimate, self.level),
                "difference": None if reading == declared else figure(minus(estimate, estimates[declared]), self.level),
            }
            for reading, estimate in estimates.items()
        }
        better = [
            (of["difference"]["value"], reading)
            for reading, of in readings.items()
            if len(judged) >= _FEW
            and of["difference"]
            and self._is_clear(of["difference"])
            and self._is_clear(
                figure(minus(estimates[reading], draws.mean(of_cluster, _by_chance(judged, reading))), self.level)
            )
        ]
        return {
            "declared": declared,
            "answers": len(answers),
            "with_box": sum(bool(answer.boxes) for answer in answers),
            "boxes": sum(len(answer.boxes) for answer in answers),
            "shares": _shares(answers),
            "readings": readings,
            "better": max(better, key=itemgetter(0))[1] if better else None,  # the first of equals
        }

    def _is_clear(self, difference: Mapping[str, Any]) -> bool:
        return (difference["value"] or 0) >= self.margin and difference["low"] > 0


@dataclass(frozen=True)
class _Answer:
    """boxes: as written, in the text's own units. gt: the box around the annotated ones; None for an absent object."""

    cluster: int
    boxes: Sequence[Box]
    size: Size
    resized: Size | None
    gt: Box | None


def _answers(run: RunData, format: CoordinateFormat) -> Iterator[_Answer]:
    assert format.boxes is not None
    for run_example in run.examples:
        generation = run.answer(run_example, "ground")
        if generation is not None:
            example = run_example.example
            gt = around(example.boxes) or example.gt_mask.box
            cluster = int(run.scores.cluster_of[run_example.index])
            boxes = [written.box for written in format.boxes(generation.text)]
            yield _Answer(cluster, boxes, generation.image_size, generation.input_size, None if example.absent else gt)


def _readings() -> list[str]:
    return [reading + order for order in ("", _SWAPPED) for reading in READINGS]


def _iou(answer: _Answer, reading: str) -> float | None:
    """IoU of the first box under a reading; 0 where it has no area, None where the reading needs an unknown size."""
    frame = READINGS[reading.removesuffix(_SWAPPED)](answer.size, answer.resized)
    if frame is None or answer.gt is None:
        return None
    x0, y0, x1, y1 = answer.boxes[0]
    boxes = frame.boxes([(y0, x0, y1, x1) if reading.endswith(_SWAPPED) else (x0, y0, x1, y1)])
    return float(box_ious(boxes, [answer.gt])[0, 0]) if boxes else 0.0


def _by_chance(answers: Sequence[_Answer], reading: str) -> Array:
    """(N,) mean IoU of each answer's first box with the annotated boxes of the answers after it."""
    shifts = range(1, min(len(answers), _OTHERS + 1))
    means = [
        np.mean([_iou(replace(answer, gt=answers[(i + shift) % len(answers)].gt), reading) for shift in shifts])
        for i, answer in enumerate(answers)
    ]
    return np.array(means, dtype=np.float64)


def _padded(size: Size, extent: float) -> Frame:
    frame = of_padded_square(size)
    return Frame((frame.scale[0] / extent, frame.scale[1] / extent), frame.offset, size)


def _shares(answers: Sequence[_Answer]) -> dict[str, float]:
    """Shares of the coordinates, and of the boxes whose second corner is left of the first or above it."""
    boxes = np.array([box for answer in answers for box in answer.boxes])
    sides = np.array([(*answer.size[::-1], *answer.size[::-1]) for answer in answers for _ in answer.boxes])
    odd = {"over_1": boxes > 1, "over_side": boxes > sides, "over_1000": boxes > 1000, "negative": boxes < 0}
    swapped = (boxes[:, :2] > boxes[:, 2:]).any(axis=1)
    return {name: float(np.mean(flags)) for name, flags in {**odd, "swapped": swapped}.items()}


def _warning(name: str, declared: str, better: str, readings: Mapping[str, Any]) -> str:
    before, after = (100 * readings[reading]["iou"]["value"] for reading in (declared, better))
    return (
        f"coordinates of {name}: read as {declared} its boxes have a mean IoU of {before:.1f}, as {better} {after:.1f}"
        f"; if the model was trained so, declare it: extraction.extractors.{name}.format=NAME"
    )
