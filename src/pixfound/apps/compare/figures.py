"""The reported figures from the means of the base figures, for one row or for many resamples of it at once.

Shapes: `F` base figures (`pairing.BASES`), `G` reported figures (`FIGURES`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pixfound.scoring.estimates import Array

FIGURES = ("A", "A_dagger", "M", "M_dagger", "S", "joint")


def figures(means: Array) -> Array:
    """(..., F) means of the base figures to (..., G) figures; nan where nothing was scored, S takes the other then."""
    a, a_dagger, m, m_dagger = np.moveaxis(means[..., :4], -1, 0)
    best_a, best_m = np.fmax(a, a_dagger), np.fmax(m, m_dagger)
    s = harmonic(np.stack([best_a, best_m], axis=-1))
    joint = np.take_along_axis(means, 4 + better_prompts(means)[..., None], axis=-1)[..., 0]
    return np.stack([a, a_dagger, m, m_dagger, s, joint], axis=-1)


def better_prompts(means: Array) -> npt.NDArray[np.intp]:
    """(...) which of JOINTS has the better prompt of the answers and of the masks; the open one must be better."""
    a, a_dagger, m, m_dagger = np.moveaxis(means[..., :4], -1, 0)
    open_answer = (a > a_dagger) | (np.isnan(a_dagger) & ~np.isnan(a))
    open_mask = (m > m_dagger) | (np.isnan(m_dagger) & ~np.isnan(m))
    return np.where(open_answer, 0, 2) + np.where(open_mask, 0, 1)


def means_of(sums: Array, counts: Array) -> Array:
    """Sums over counts; nan where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Array = np.where(counts > 0, sums / counts, np.nan)
    return means


def harmonic(values: Array) -> Array:
    """(...) the harmonic mean of (..., 2); 0 where both are 0."""
    total = values.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Array = np.where(total == 0, 0.0, 2 * values.prod(axis=-1) / total)
    return mean
