"""Files with the weights of PaliGemma's mask decoder: random ones, and ones by which a code paints a square."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pixfound.extractors.parsers.vqvae import shapes

PAINT, LEAVE = 1, 0  # the codes that `painting` knows


def random_weights(seed: int = 0) -> dict[str, Any]:
    """Random arrays that keep the signal's size from layer to layer."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, size in shapes().items():
        inputs = np.prod(size[1:]) if len(size) == 4 else 1
        arrays[name] = rng.normal(0, 0.1 if name.endswith("bias") else (2 / inputs) ** 0.5, size).astype(np.float32)
    return arrays


def painting_weights() -> dict[str, Any]:
    """The code PAINT makes its 16 x 16 pixels of 64 x 64 one, LEAVE makes them minus one.

    Its first two channels say how much is inside and outside; each transposed convolution repeats a pixel four times.
    """
    arrays = {name: np.zeros(size, np.float32) for name, size in shapes().items()}
    arrays["_vq_vae._embedding"][PAINT, 0] = arrays["_vq_vae._embedding"][LEAVE, 1] = 1
    for channel in (0, 1):
        arrays["decoder.0.weight"][channel, channel] = 1
        for name in ("decoder.4", "decoder.6", "decoder.8", "decoder.10"):
            arrays[f"{name}.weight"][channel, channel, 1:3, 1:3] = 1
    arrays["decoder.12.weight"][0, :2, 0, 0] = (1, -1)
    return arrays


def save(arrays: dict[str, Any], file: Path) -> Path:
    """Write a file as it is published."""
    np.savez(file, **arrays)
    return file


def spell(mask: Any) -> str:
    """How a model with `painting_weights` says a 2-D bool mask: its box, and 4 x 4 cells of the box, row by row."""
    ys, xs = np.nonzero(mask)
    (height, width), box = mask.shape, (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
    y0, x0, y1, x1 = box
    ends = [round(1024 * v / side) for v, side in zip(box, (height, width, height, width), strict=True)]
    cells = [
        mask[int(y0 + (y1 - y0) * (r + 0.5) / 4), int(x0 + (x1 - x0) * (c + 0.5) / 4)]
        for r in range(4)
        for c in range(4)
    ]
    codes = [PAINT if inside else LEAVE for inside in cells]
    return "".join(f"<loc{min(v, 1023):04d}>" for v in ends) + "".join(f"<seg{code:03d}>" for code in codes)
