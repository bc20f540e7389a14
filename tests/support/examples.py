"""Small hand-made values: examples from arrays, masks from drawings."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pixfound.interfaces import Segmenter, SegmenterMasks
from pixfound.types import Candidate, Example, ImageSource, Phrase
from pixfound.types.masks import RLE


@dataclass(frozen=True)
class ArrayImage(ImageSource):
    """An image source around an (H, W, 3) uint8 array."""

    pixels: Any

    def load(self) -> Image.Image:
        return Image.fromarray(self.pixels)

    def digest(self) -> str:
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()


def drawn(*rows: str) -> RLE:
    """A mask from a drawing, one string a row: `#` is inside."""
    return RLE.encode(np.array([[c == "#" for c in row] for row in rows], dtype=np.bool_))


def make_example(gt_mask: RLE, **values: Any) -> Example:
    """An example whose image is black and of the mask's size."""
    defaults: dict[str, Any] = {
        "id": "e",
        "image": ArrayImage(np.zeros((*gt_mask.size, 3), np.uint8)),
        "question": "Is it open?",
        "options": ("yes", "no"),
        "answer": 0,
        "expression": "the door",
    }
    return Example(gt_mask=gt_mask, **{**defaults, **values})


def make_candidate(mask: RLE, phrase: str | None = None, **values: Any) -> Candidate:
    """A candidate, with a phrase of that text."""
    named = phrase and Phrase(phrase, phrase.split()[-1], (0, len(phrase)))
    return Candidate(mask, named or None, **values)


class PointSegmenter(Segmenter):
    """Draws two masks for each point: its pixel (score 0.9), and its row (score 0.4). Keeps all calls."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[float, float]]] = []

    def point_masks(self, requests: Any) -> Iterator[SegmenterMasks]:
        return (self._points(image, points) for image, points in requests)

    def _points(self, image: Image.Image, points: Any) -> SegmenterMasks:
        self.calls.append(list(points))
        masks = np.zeros((len(points), 2, image.height, image.width), dtype=np.bool_)
        for i, (x, y) in enumerate(points):
            masks[i, 0, int(y), int(x)] = True
            masks[i, 1, int(y)] = True
        return SegmenterMasks(masks, np.tile(np.array([0.9, 0.4], np.float32), (len(points), 1)))


def claim_size(path: Path, size: tuple[int, int]) -> None:
    """Write another (width, height) into the head of a PNG file, with the checksum that it takes."""
    data = path.read_bytes()
    head = b"IHDR" + struct.pack(">II", *size) + data[24:29]
    path.write_bytes(data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:])
