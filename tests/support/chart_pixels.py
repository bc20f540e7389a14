"""Reading a chart back from its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np


def bar_heights(pixels: Any, colour: tuple[int, int, int]) -> list[int]:
    """Heights in pixels of the bars of one colour, from left to right; the swatch of a legend stands above and apart.

    pixels: (H, W, 3). A bar ends on the axis at zero, so it is counted from the lowest pixel of its colour.
    """
    inked = (pixels == colour).all(axis=2)
    bottom = np.flatnonzero(inked.any(axis=1)).max()
    standing = inked[bottom - 1]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], standing.astype(int), [0]])))
    heights = []
    for left, right in zip(edges[::2], edges[1::2], strict=True):
        top = np.flatnonzero(inked[:, left + 1]).min()  # beside the whisker, which is drawn over its middle
        heights.append(int(bottom - top + 1))
        assert right - left > 3
    return heights
