"""Scoring 300 masks from records, and its baseline: what a straightforward script does from files, written cleanly.

The script opens each image and makes a normalised tensor of it, rasterises the truth's polygon, reads the predicted
picture and combines both as arrays.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from experiments.speed.measuring import compare
from PIL import Image
from pycocotools import mask as coco

from pixfound.types.masks import RLE, iou

SIDE = 224
Polygon = list[float]


def measure_scoring(folder: Path, repeats: int) -> dict[str, Any]:
    """Scoring of 300 masks; both ways must give the same numbers."""
    outlines = write_files(folder, 300)
    assert from_records(folder, outlines) == from_files(folder, outlines)
    return compare(
        "scoring 300 masks from records vs from files",
        lambda: from_records(folder, outlines),
        lambda: from_files(folder, outlines),
        len(outlines),
        repeats,
        "masks/s",
    )


def write_files(folder: Path, count: int) -> list[Polygon]:
    """Black images and predicted masks, as pictures and as lines of records.jsonl; returns the truths' outlines."""
    rng = np.random.default_rng(0)
    outlines, lines = [], []
    for number in range(count):
        x, y = rng.integers(10, 90, 2).tolist()
        outlines.append([x, y, x + 100, y, x + 110, y + 90, x, y + 60])
        mask = np.roll(RLE.from_polygons([outlines[-1]], (SIDE, SIDE)).decode(), rng.integers(-9, 9, 2), (0, 1))
        Image.new("RGB", (SIDE, SIDE)).save(folder / f"{number}.jpg")
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{number}.png")
        lines.append(json.dumps(RLE.encode(mask).to_json()))
    (folder / "records.jsonl").write_text("\n".join(lines))
    return outlines


def from_records(folder: Path, outlines: list[Polygon]) -> list[float]:
    """The IoU of each mask, by pixfound's own functions from compressed runs."""
    truths = [RLE.from_polygons([outline], (SIDE, SIDE)) for outline in outlines]
    lines = (folder / "records.jsonl").read_text().splitlines()
    return [iou(RLE.from_json(json.loads(line)), truth) for line, truth in zip(lines, truths, strict=True)]


def from_files(folder: Path, outlines: list[Polygon]) -> list[float]:
    """The IoU of each mask, from pictures and arrays."""
    found = []
    for number, outline in enumerate(outlines):
        with Image.open(folder / f"{number}.jpg") as opened:
            pixels = torch.from_numpy(np.array(opened.convert("RGB"))).permute(2, 0, 1).float() / 255
        _ = (pixels - 0.45) / 0.23
        truth = coco.decode(coco.merge(coco.frPyObjects([outline], SIDE, SIDE))).astype(np.bool_)
        with Image.open(folder / f"{number}.png") as opened:
            predicted = np.asarray(opened.convert("L")) == 255
        found.append(float((predicted & truth).sum() / (predicted | truth).sum()))
    return found
