"""Folders of finished runs, written by hand: only what a comparison reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Verdict = bool | None
TARGET = "pixfound.benchmarks.pixshapes.PixShapes"


def item(
    example: str,
    pair: str | None,
    answers: tuple[Verdict, Verdict],
    masks: Mapping[str, tuple[float | None, float | None]],
    variant: str = "uniform",
) -> list[dict[str, Any]]:
    """The lines of one example: answers to (open, choice), IoU of each row under (open, ground)."""

    def line(kind: str, row: str | None, correct: Verdict, iou: float | None) -> dict[str, Any]:
        return {
            "key": f"{example}/{kind}/{variant}",
            "example_id": example,
            "pair_id": pair,
            "kind": kind,
            "row": row,
            "tags": {},
            "absent": False,
            "correct": correct,
            "iou": iou,
            "added": "later",
        }

    said = [line(kind, None, right, None) for kind, right in zip(("open", "choice"), answers, strict=True)]
    shown = [
        line(kind, row, None, iou)
        for row, ious in masks.items()
        for kind, iou in zip(("open", "ground"), ious, strict=True)
    ]
    return [*said, line("ground", None, None, None), *shown]


def write_run(
    folder: Path,
    lines: Sequence[Mapping[str, Any]],
    unit: str = "pair",
    model: str = "m",
    threshold: float = 0.5,
    benchmark: Mapping[str, Any] | None = None,
) -> Path:
    """A run's folder."""
    folder.mkdir(parents=True)
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    names = {"benchmark": "pixshapes", "model": model, "extraction": "nulls"}
    rows: dict[str, Any] = {str(line["row"]): {} for line in lines if line.get("row")}
    metrics = {"accuracy_unit": unit, "iou_threshold": threshold, "rows": rows}
    (folder / "metrics.json").write_text(json.dumps({"names": names, "metrics": metrics}))
    (folder / "config.yaml").write_text(json.dumps({"benchmark": benchmark or {"_target_": TARGET, "seed": 1}}))
    return folder
