"""Null models of "when does grounding emerge": which phrase of an answer is the best one by chance.

Each gives the probability of every phrase of an answer to be the best one, so expectations are exact, and a draw
is a draw of one phrase for each example. All stay within the example's own answer: its length, the number of its
phrases and where they stand are always matched.

Shape: `K` phrases of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Null = Literal["shuffled", "permuted", "length_matched"]
NULLS: tuple[Null, ...] = ("shuffled", "permuted", "length_matched")
_LONG = 4  # phrases of this many words or more count as of one length


def shuffled(count: int) -> Array:
    """(K,) every phrase alike: the best candidate's phrase is replaced by a random one of its answer."""
    return np.full(count, 1 / count)


def permuted(phrase_of: Sequence[int], ious: Sequence[float], preference: Sequence[int], count: int) -> Array:
    """(K,) the best of as many candidates: the IoUs are permuted over the answer's candidates.

    Each phrase keeps its number of candidates, so one with more masks is best more often by chance, and ties keep
    their rule, so what a tie among poor candidates does to the position is in the null as well.
    phrase_of: each candidate's phrase. preference: the candidates from the one that wins ties to the one that loses.
    """
    n, top = len(ious), sum(iou == max(ious) for iou in ious)
    weights = np.zeros(count)
    for rank, candidate in enumerate(preference):
        # The `top` highest IoUs fall on a random subset; its most preferred member wins.
        weights[phrase_of[candidate]] += comb(n - rank - 1, top - 1) / comb(n, top)
    return weights


def length_matched(phrases: Sequence[str], best: int) -> Array:
    """(K,) every phrase with as many words as the best one alike (four words or more are one length).

    A long phrase averages attention over more tokens; this null asks whether the position is more than that.
    """
    words = [min(len(text.split()), _LONG) for text in phrases]
    same = np.array([count == words[best] for count in words], dtype=np.float64)
    return np.asarray(same / same.sum())
