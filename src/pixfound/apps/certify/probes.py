"""Test of tile positions: pixels of one cell are changed, and the token that changes most must be that cell's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from pixfound.models.decoder_model import DecoderModel
from pixfound.types import FloatArray, Prompt, Tile

Box = tuple[float, float, float, float]
_QUESTION = Prompt("certificate", "open", "certificate", "What is this?")


@dataclass(frozen=True)
class Probe:
    """One spot. box: of the changed pixels. found: (x, y) middle of the cell that changed most. hit: it is correct."""

    box: Box
    found: tuple[float, float]
    hit: bool


class _Stop(Exception):
    """Raised to skip the decoder once its inputs are known."""


def image_embeddings(model: DecoderModel, image: Image.Image) -> FloatArray:
    """(N, D) input embeddings of the text decoder at the image's tokens."""
    import torch

    embeddings: list[Any] = []

    def keep(_: Any, __: Any, kwargs: dict[str, Any]) -> None:
        embeddings.append(kwargs["inputs_embeds"])
        raise _Stop

    loaded = model.loaded()
    inputs = model.encode([(image, _QUESTION)])
    hook = loaded.get_decoder().register_forward_pre_hook(keep, with_kwargs=True)
    try:
        with torch.inference_mode():
            loaded(**inputs)
    except _Stop:
        pass
    finally:
        hook.remove()
    where = inputs["input_ids"][0] == loaded.config.image_token_id
    return np.asarray(embeddings[0][0][where].float().cpu().numpy(), dtype=np.float32)


def move_pixels(model: DecoderModel, image: Image.Image, count: int, seed: int = 0) -> list[Probe]:
    """Paint `count` spots, each into one cell of one tile, and locate the change in every tile that contains it."""
    before = image_embeddings(model, image)
    tiles = model.tiles(image)
    rng = np.random.default_rng(seed)
    probes: list[Probe] = []
    for _ in range(100 * count):
        if len(probes) >= count:
            break
        tile = tiles[int(rng.integers(len(tiles)))]
        spot = _inner(cell_box(tile, int(rng.integers(tile.grid[0])), int(rng.integers(tile.grid[1]))), image)
        if spot is None:
            continue
        after = image_embeddings(model, painted(image, spot))
        change = np.linalg.norm(after - before, axis=1) / (np.linalg.norm(before, axis=1) + 1e-6)
        probes += [_look_up(t, change, spot) for t in tiles if _contains(t.box, _middle(spot))]
    return probes


def painted(image: Image.Image, spot: Box) -> Image.Image:
    """The image with a spot in the colour furthest from the original pixels."""
    pixels = np.array(image)
    x0, y0, x1, y1 = (round(v) for v in spot)
    part = pixels[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    part[:] = np.where(part.mean(axis=(0, 1)) < 128, 255, 0)
    return Image.fromarray(pixels)


def cell_box(tile: Tile, row: int, column: int) -> Box:
    """The box of one cell, in pixels of the image."""
    x0, y0, x1, y1 = tile.box
    high, wide = (y1 - y0) / tile.grid[0], (x1 - x0) / tile.grid[1]
    return x0 + column * wide, y0 + row * high, x0 + (column + 1) * wide, y0 + (row + 1) * high


def _look_up(tile: Tile, change: FloatArray, spot: Box) -> Probe:
    rows, columns = tile.grid
    index = tile.first + np.arange(rows)[:, None] * tile.stride + np.arange(columns)[None]
    row, column = (int(v) for v in np.unravel_index(int(change[index].argmax()), index.shape))
    x, y = _middle(spot)
    x0, y0, x1, y1 = tile.box
    right_row = min(int((y - y0) / (y1 - y0) * rows), rows - 1)
    right_column = min(int((x - x0) / (x1 - x0) * columns), columns - 1)
    near = max(abs(row - right_row), abs(column - right_column)) <= _near(tile)
    return Probe(spot, _middle(cell_box(tile, row, column)), near)


def _near(tile: Tile) -> int:
    """Distance in cells that still counts as a hit: neighbours share their input; less in a small grid."""
    return 1 if min(tile.grid) >= 8 else 0


def chance(tiles: Sequence[Tile]) -> float:
    """The probability that a random cell counts as a hit."""
    shares = [(2 * _near(tile) + 1) ** 2 / (tile.grid[0] * tile.grid[1]) for tile in tiles]
    return sum(shares) / len(shares)


def _inner(box: Box, image: Image.Image) -> Box | None:
    """The inner part of a cell inside the image; None where it is nearly empty."""
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    inner = (
        max(0.0, x0 + wide / 12),
        max(0.0, y0 + high / 12),
        min(float(image.width), x1 - wide / 12),
        min(float(image.height), y1 - high / 12),
    )
    large = inner[2] - inner[0] > wide / 4 and inner[3] - inner[1] > high / 4
    return inner if large else None


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _contains(box: Box, point: tuple[float, float]) -> bool:
    return box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3]
