"""Predictions written to files as the paper's repository writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixfound.types import Example
from pixfound.types.masks import RLE


def write_mask(path: Path, mask: RLE) -> None:
    """A grey picture of 0 and 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.decode().astype(np.uint8) * 255).save(path)


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_answers(path: Path, examples: Sequence[Example], replies: Mapping[str, str], choice: bool) -> Path:
    """Answers of protocol 1 (`response`) or 2 (`answer`)."""
    rows = []
    for example in examples:
        gold = f"({'abcdef'[example.answer]})"
        reply = replies[example.id]
        said = {"answer": reply, "gt_answer": gold} if choice else {"answer": gold, "response": reply}
        rows.append({"question_id": int(example.id) if example.id.isdecimal() else example.id, "prompt": "?", **said})
    return write_lines(path, rows)


def shifted(mask: RLE, pixels: int) -> RLE:
    """The mask moved to the right; what leaves the image is gone."""
    grid = mask.decode()
    moved = np.zeros_like(grid)
    moved[:, pixels:] = grid[:, : grid.shape[1] - pixels]
    return RLE.encode(moved)
