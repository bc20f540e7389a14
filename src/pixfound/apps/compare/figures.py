"""Reported figures from the means of the base figures, for one row or for many of its resamples at once.

Shapes: `F` base figures (`pairing.BASES`), `G` reported figures (`FIGURES`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pixfound.scoring.estimates import Array, harmonic_mean
from pixfound.scoring.figures import better

FIGURES = ("A", "A_dagger", "M", "M_dagger", "S", "joint")


def figures(means: Array) -> Array:
    """(..., G) figures from (..., F) means of base figures; nan where nothing was scored; S ignores a nan prompt."""
    a, a_dagger, m, m_dagger = np.moveaxis(means[..., :4], -1, 0)
    best_a, best_m = np.fmax(a, a_dagger), np.fmax(m, m_dagger)
    s = harmonic_mean(best_a, best_m)
    joint = np.take_along_axis(means, 4 + better_prompts(means)[..., None], axis=-1)[..., 0]
    return np.stack([a, a_dagger, m, m_dagger, s, joint], axis=-1)


def better_prompts(means: Array) -> npt.NDArray[np.intp]:
    """(...) indices into JOINTS of the better prompt of the answers and of the masks; a tie is not the open prompt."""
    a, a_dagger, m, m_dagger = np.moveaxis(means[..., :4], -1, 0)
    return np.where(better(a, a_dagger), 0, 2) + np.where(better(m, m_dagger), 0, 1)
