"""Pairing of two rows: for every figure the items scored in both, summed by cluster.

Shapes: `C` clusters, `F` base figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pixfound.apps.compare.runs import Contestant, ScoreEntry, Unit
from pixfound.scoring.estimates import Array
from pixfound.types import Kind

JOINTS: tuple[tuple[Kind, Kind], ...] = (("open", "open"), ("open", "ground"), ("choice", "open"), ("choice", "ground"))
BASES = ("A", "A_dagger", "M", "M_dagger", *(f"joint_{a}_{m}" for a, m in JOINTS))
_ACCURACY: Mapping[str, Kind] = {"A": "open", "A_dagger": "choice"}
_MIOU: Mapping[str, Kind] = {"M": "open", "M_dagger": "ground"}
Lines = Mapping[tuple[str, Kind, bool], ScoreEntry]
Values = dict[str, float]  # example or pair -> value


@dataclass(frozen=True)
class Paired:
    """Two paired rows. sums: (2, C, F) of the first and of the second. counts: (C, F) of items, equal for both.

    missing: keys that only one row has, by the letter of the row that lacks them. unscored: number of items of each
    base figure that are left out because one row has no score.
    """

    clusters: tuple[str, ...]
    sums: Array
    counts: Array
    missing: Mapping[str, tuple[str, ...]]
    unscored: Mapping[str, int]
    examples: int


def pair(first: Contestant, second: Contestant, unit: Unit, threshold: float) -> Paired:
    """Pair two rows. unit: the items of A, A_dagger and the joint score. threshold: an IoU above it is grounded."""
    a, b = first.lines, second.lines
    common = {key: line for key, line in a.items() if key in b}
    where = {line.example_id: line.cluster for line in common.values()}
    owners = {line.pair_id: line.cluster for line in common.values() if line.pair_id is not None}
    clusters = {name: index for index, name in enumerate(dict.fromkeys(where.values()))}
    sums, counts = np.zeros((2, len(clusters), len(BASES))), np.zeros((len(clusters), len(BASES)))
    unscored = {}
    for index, base in enumerate(BASES):
        measure = _measure(base, unit, threshold)
        shared = [{key: lines[key] for key in common} for lines in (a, b)]
        first_values, second_values = measure(shared[0]), measure(shared[1])
        in_both = [name for name in first_values if name in second_values]
        unscored[base] = len(first_values.keys() ^ second_values.keys())
        for name in in_both:
            cluster = clusters[owners[name] if unit == "pair" and base not in _MIOU else where[name]]
            sums[:, cluster, index] += (first_values[name], second_values[name])
            counts[cluster, index] += 1
    missing = {
        second.letter: tuple(_named(a[key]) for key in a if key not in b),
        first.letter: tuple(_named(b[key]) for key in b if key not in a),
    }
    return Paired(tuple(clusters), sums, counts, missing, unscored, len(where))


def _measure(base: str, unit: Unit, threshold: float) -> Callable[[Lines], Values]:
    """The function that returns the values of a base figure by example, or by complete pair."""
    if base in _MIOU:
        return lambda lines: {
            line.example_id: line.iou for line in _of(lines, _MIOU[base], True) if line.iou is not None
        }
    if base in _ACCURACY:
        return lambda lines: _in_unit(lines, _right(lines, _ACCURACY[base]), unit)
    answers, masks = JOINTS[BASES.index(base) - 4]

    def joint(lines: Lines) -> Values:
        right = _right(lines, answers)
        grounded = {m.example_id: m.iou > threshold for m in _of(lines, masks, True) if m.iou is not None}
        return _in_unit(lines, {name: right[name] and grounded[name] for name in right if name in grounded}, unit)

    return joint


def _of(lines: Lines, kind: Kind, mask: bool) -> list[ScoreEntry]:
    return [line for (_, k, m), line in lines.items() if k == kind and m is mask]


def _right(lines: Lines, kind: Kind) -> dict[str, bool]:
    return {line.example_id: line.correct for line in _of(lines, kind, False) if line.correct is not None}


def _in_unit(lines: Lines, verdicts: Mapping[str, bool], unit: Unit) -> Values:
    """The verdicts by example, or by pair with both verdicts known: a pair is correct if both examples are."""
    if unit == "item":
        return {name: float(verdict) for name, verdict in verdicts.items()}
    pairs: dict[str, dict[str, bool]] = defaultdict(dict)
    for line in lines.values():
        if line.pair_id is not None and line.example_id in verdicts:
            pairs[line.pair_id][line.example_id] = verdicts[line.example_id]
    return {
        name: float(all(pair_verdicts.values())) for name, pair_verdicts in pairs.items() if len(pair_verdicts) == 2
    }


def _named(entry: ScoreEntry) -> str:
    return f"{entry.key} ({'mask' if entry.row is not None else 'answer'})"
