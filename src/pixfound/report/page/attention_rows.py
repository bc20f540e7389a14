"""Attention rows in few bytes: differences from their mean in 6 bits, the mean in 16.

Shapes: `T` answer tokens, `N` image tokens.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

LONGEST = 512  # answer tokens whose rows the page has
LEVELS = 31  # of a difference, up and down; half as many show in the overlay, as errors of a tenth


def pack_rows(rows: npt.NDArray[np.float32]) -> dict[str, Any]:
    """JSON values of (T, N) rows; the first LONGEST of them are kept, the mean is that of all.

    A row is mean + scales[i] * differences[i], wrong by at most half of scales[i] and half of mean_scale. The mean is
    apart, as it has the attention common to all tokens, beside which their differences are small.
    mean: N little-endian uint16; differences: N * T int8, those of an image token together, from the largest mean to
    the smallest, since like sizes beside each other pack best; both `deflated`. shares: the sum of each row, which
    rounding would not keep.
    """
    rows = np.nan_to_num(rows.astype(np.float64))
    mean = rows.mean(axis=0)
    mean_scale = float(mean.max()) / 65535
    stored = np.rint(mean / (mean_scale or 1.0)).clip(0, 65535).astype("<u2")
    differences = rows[:LONGEST] - stored * mean_scale
    scales = np.array([float(f"{scale:.4g}") for scale in np.abs(differences).max(axis=1) / LEVELS])
    steps = np.rint(differences / np.where(scales == 0, 1.0, scales)[:, None]).astype(np.int8)
    return {
        "tokens": len(steps),
        "cells": rows.shape[1],
        "mean_scale": mean_scale,
        "mean": deflated(stored.tobytes()),
        "scales": scales.tolist(),
        "shares": rows[:LONGEST].sum(axis=1).round(4).tolist(),
        "differences": deflated(steps.T[np.argsort(-stored.astype(int), kind="stable")].tobytes(), zlib.Z_RLE),
    }


def deflated(data: bytes, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> str:
    """Compressed bytes in base64, which the page inflates."""
    packer = zlib.compressobj(9, memLevel=5, strategy=strategy)  # short blocks, each with a code of its own
    return base64.b64encode(packer.compress(data) + packer.flush()).decode("ascii")
