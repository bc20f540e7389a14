"""Attention of single layers and heads, so that an extractor can choose among them.

Shapes: `L` kept layers, `H` kept heads of each, `T` answer tokens, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pixfound.errors import UserError

Indices = int | Sequence[int] | None  # one, several, or all


@dataclass(frozen=True)
class LayerAttention:
    """Attention rows by layer and head.

    rows: (L, H, 1 + T, N) fp32, for each layer and head the penultimate row of the prompt and one row a token.
    layers: L indices of the decoder's layers. heads: H indices of heads; () where a layer is the mean over its heads,
    and H is 1.
    """

    rows: npt.NDArray[np.float32]
    layers: tuple[int, ...]
    heads: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.rows.ndim != 4 or self.rows.shape[:2] != (len(self.layers), len(self.heads) or 1):
            raise ValueError(f"rows of shape {self.rows.shape} for layers {self.layers} and heads {self.heads}")

    def mean(self, layers: Indices = None, heads: Indices = None) -> npt.NDArray[np.float32]:
        """(1 + T, N) the mean over layers and heads; None for all kept ones. Raises UserError for missing ones."""
        if heads is not None and not self.heads:
            raise UserError("heads: each layer was stored as the mean over its heads; use model.keep=heads")
        first = places("layers", layers, self.layers)
        second = places("heads", heads, self.heads) if self.heads else [0]
        return np.asarray(self.rows[np.ix_(first, second)].mean(axis=(0, 1), dtype=np.float32))


def as_indices(indices: Indices) -> tuple[int, ...] | None:
    """Indices as a tuple; a single index becomes a tuple of one."""
    return (indices,) if isinstance(indices, int) else None if indices is None else tuple(indices)


def places(name: str, requested: Indices, stored: Sequence[int]) -> list[int]:
    """Positions of indices among those that are stored; all for None. Raises UserError for missing ones."""
    indices = as_indices(requested)
    if indices is None:
        return list(range(len(stored)))
    missing = [index for index in indices if index not in stored]
    if missing:
        raise UserError(f"{name}: {missing[0]} was not stored; there are {listed(stored)}")
    return [stored.index(index) for index in indices]


def listed(indices: Sequence[int]) -> str:
    """Indices as text: `0 to 31` where they are consecutive."""
    consecutive = len(indices) > 2 and list(indices) == list(range(indices[0], indices[-1] + 1))
    return f"{indices[0]} to {indices[-1]}" if consecutive else ", ".join(map(str, indices))
