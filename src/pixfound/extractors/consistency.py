"""Attention consistency: agreement of a mask with the map that it was made of (DecAF, arXiv 2510.19592)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pixfound.extractors.attention_maps import CellGrid
from pixfound.types import FloatArray

NAME = "attention_consistency"  # among `Candidate.scores`
_TINY = 1e-8  # of the released code


def attention_consistency(grid: CellGrid, mask: npt.NDArray[np.bool_]) -> float:
    """The attention that a mask covers over all attention above the mean; cells at or below it count as -maximum.

    grid: a map between 0 and 1. mask: (H, W). The released code then divides the positive scores of an image's masks by
    the highest of them, which changes no choice among these masks, and is left out: scores of different images can be
    compared.
    """
    cells = grid.cells.astype(np.float64)
    attended = cells > cells.mean()
    worth = np.where(attended, cells, -np.max(cells * attended))
    return float((covered(grid, mask) * worth).sum() / (cells[attended].sum() + _TINY))


def covered(grid: CellGrid, mask: npt.NDArray[np.bool_]) -> FloatArray:
    """(R, C) the share of each cell that a mask (H, W) covers, nothing beyond the image.

    A cell takes every pixel that it touches, as torch's adaptive average pooling does.
    """
    x0, y0, x1, y1 = grid.box
    tops, bottoms = _ends(y0, y1, grid.cells.shape[0])
    lefts, rights = _ends(x0, x1, grid.cells.shape[1])
    sums = np.pad(mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1), ((1, 0), (1, 0)))
    height, width = mask.shape
    top, bottom = (np.clip(ends, 0, height)[:, None] for ends in (tops, bottoms))
    left, right = (np.clip(ends, 0, width)[None] for ends in (lefts, rights))
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    shares: FloatArray = (inside / ((bottoms - tops)[:, None] * (rights - lefts)[None])).astype(np.float32)
    return shares


def _ends(low: float, high: float, cells: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(cells,) the first pixel of each cell, and the one after its last."""
    edges = low + (high - low) * np.arange(cells + 1) / cells
    return np.floor(edges[:-1] + 1e-9).astype(np.int64), np.ceil(edges[1:] - 1e-9).astype(np.int64)
