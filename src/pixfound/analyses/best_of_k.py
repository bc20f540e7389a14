"""Expected IoUs of choices among an extractor's candidates, for every present object.

Shapes: `P` present objects that the extractor has a record of, `K` numbers of candidates drawn.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pixfound.pipeline.run_examples import MASK_KINDS, RunExample
from pixfound.scoring.bootstrap import Codes, numbered
from pixfound.scoring.estimates import Array
from pixfound.types import Candidate, Kind
from pixfound.types.masks import ious

if TYPE_CHECKING:
    from pixfound.pipeline.run_data import RunData


@dataclass(frozen=True)
class Pool:
    """examples: (P,) their numbers in the table of scores, ascending. of: (P,) their clusters, `clusters` in all.

    candidates: how many there are in all. curve: (P, K) the expected IoU of the best of each k drawn. random: (P,) of
    any candidate; best: (P,) of the best of all.
    """

    examples: npt.NDArray[np.int32]
    of: Codes
    clusters: int
    candidates: int
    curve: Array
    random: Array
    best: Array


def pool_of(run: RunData, extractor: str, kind: Kind, ks: Sequence[int]) -> Pool:
    """The pool of an extractor under one kind of prompt; nothing of an example is kept but its line of it."""
    examples, values, candidates = array("i"), array("d"), 0
    for run_example, proposed in _proposals(run, extractor, (kind,)):
        if not run_example.example.absent:
            masks = [candidate.mask for candidate in proposed]
            fits = ious(masks, run_example.example.gt_mask, run_example.example.ignore)
            examples.append(run_example.index)
            values.extend((*(best_of(fits, k) for k in (*ks, 1)), max(fits, default=0.0)))
            candidates += len(fits)
    numbers = np.array(values).reshape(len(examples), len(ks) + 2)
    places = np.array(examples, dtype=np.int32)
    of, clusters = numbered(run.scores.cluster_of[places].tolist())
    return Pool(places, of, clusters, candidates, numbers[:, :-2], numbers[:, -2], numbers[:, -1])


def has_choices(run: RunData, extractor: str) -> bool:
    """Return True if an extractor proposes more than one candidate for any present object."""
    return any(
        len(proposed) > 1 and not run_example.example.absent
        for run_example, proposed in _proposals(run, extractor, MASK_KINDS)
    )


def _proposals(run: RunData, extractor: str, kinds: Sequence[Kind]) -> Iterator[tuple[RunExample, list[Candidate]]]:
    for run_example in run.examples:
        for kind in kinds:
            proposed = run.candidates(run_example, kind, extractor)
            if proposed is not None:
                yield run_example, proposed


def best_of(values: Sequence[float], k: int) -> float:
    """The expected maximum of k of the values drawn without replacement; of all where there are fewer; 0 of none.

    The i-th largest of n (from 0) is the maximum with probability C(n - 1 - i, k - 1) / C(n, k).

    >>> best_of([0.2, 0.8, 0.5], 1), best_of([0.2, 0.8, 0.5], 2), best_of([0.2, 0.8, 0.5], 9)
    (0.5, 0.7000000000000001, 0.8)
    """
    ordered = sorted(values, reverse=True)
    count = len(ordered)
    if not count:
        return 0.0
    k = min(k, count)
    ways = math.comb(count, k)
    return sum(v * math.comb(count - 1 - i, k - 1) / ways for i, v in enumerate(ordered))
