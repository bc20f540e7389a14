"""The scores of a run as a table of numbers: all that metrics are made of, in some 40 bytes a score.

What a score says beside them (what was replied, which candidate was chosen, and why) is in scores.jsonl, and
`Evidence.scores` makes it anew for one example.

Shapes: `S` scores, `E` examples.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pixfound.scoring.scores import Score, cluster_of
from pixfound.types import KINDS, Kind

Rows = npt.NDArray[np.void]  # (S,) records of SCORE
UNKNOWN = -1  # in place of what is neither true nor false; a number that is not known is nan
ANSWER = -1  # the row of a score of an answer, which all rows of the table share
SCORE = np.dtype(
    [
        *(("example", "i4"), ("cluster", "i4"), ("row", "i2"), ("kind", "i1")),
        *((name, "?") for name in ("paired", "absent", "named", "answered")),
        *((name, "i1") for name in ("correct", "shown", "on_target", "on_object")),
        *((name, "f8") for name in ("iou", "area", "chance")),
    ]
)
_PACKED = struct.Struct("=iihb????bbbbddd")
_CODES: dict[str, int] = {kind: code for code, kind in enumerate(KINDS)}


@dataclass(frozen=True)
class Tag:
    """One tag. values: in alphabetical order. of: (E,) the number of each example's value; UNKNOWN without one."""

    values: tuple[str, ...]
    of: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Table:
    """scores: (S,) in order. examples: id -> number, in the order in which they first come. rows: by number.

    clusters: how many there are of what is drawn together in a bootstrap.
    """

    scores: Rows
    examples: dict[str, int]
    rows: tuple[str, ...]
    tags: dict[str, Tag]
    clusters: int

    @property
    def cluster_of(self) -> npt.NDArray[np.int32]:
        """(E,) the number of each example's cluster."""
        found = np.zeros(len(self.examples), dtype=np.int32)
        found[self.scores["example"]] = self.scores["cluster"]
        return found

    def answers(self) -> Rows:
        """The scores of the answers."""
        return self._of(ANSWER)

    def masks(self, row: str) -> Rows:
        """The scores of a row's masks; none where the table has no such row."""
        return self._of(self.rows.index(row) if row in self.rows else len(self.rows))

    def _of(self, row: int) -> Rows:
        found: Rows = self.scores[self.scores["row"] == row]
        return found

    def groups(self, scores: Rows) -> Iterator[tuple[tuple[str, str], Rows]]:
        """Of some of the scores: (tag, value) -> those that have it, in alphabetical order."""
        for tag, about in sorted(self.tags.items()):
            of = about.of[scores["example"]]
            for code in np.unique(of[of != UNKNOWN]):
                yield (tag, about.values[code]), scores[of == code]

    def numbered_like(self, other: Table) -> Table:
        """The same scores, with the examples and clusters numbered as in another table of the same examples."""
        if list(self.examples) == list(other.examples):
            return self
        order = np.array([other.examples[id] for id in self.examples], dtype=np.int32)
        scores = self.scores.copy()
        scores["example"] = order[scores["example"]]
        scores["cluster"] = other.cluster_of[scores["example"]]
        tags = {tag: replace(about, of=about.of[np.argsort(order)]) for tag, about in self.tags.items()}
        return Table(scores, other.examples, self.rows, tags, other.clusters)


def of_kind(scores: Rows, kind: Kind) -> Rows:
    """The scores of one kind of prompt."""
    found: Rows = scores[scores["kind"] == _CODES[kind]]
    return found


def tabulate(scores: Iterable[Score]) -> Table:
    """The table of some scores."""
    filling = Filling()
    for score in scores:
        filling.add(score)
    return filling.table()


class Filling:
    """A table to which scores are added one by one, and that keeps none of them."""

    def __init__(self) -> None:
        self._scores = bytearray()
        self._examples: dict[str, int] = {}
        self._clusters: dict[str, int] = {}
        self._rows: dict[str, int] = {}
        self._tags: dict[str, tuple[dict[str, int], array[int]]] = {}

    def add(self, score: Score) -> None:
        """Take a score; the tags of an example are those of the first one about it."""
        example = self._examples.get(score.example_id)
        if example is None:
            example = self._examples[score.example_id] = len(self._examples)
            self._take_tags(example, score)
        cluster = cluster_of(score)
        self._scores += _PACKED.pack(
            example,
            self._clusters.setdefault(cluster, len(self._clusters)),
            ANSWER if score.row is None else self._rows.setdefault(score.row, len(self._rows)),
            _CODES[score.kind],
            score.pair_id is not None,
            score.absent,
            score.named,
            score.response is not None,
            *(UNKNOWN if v is None else v for v in (score.correct, score.shown, score.on_target, score.on_object)),
            *(np.nan if v is None else v for v in (score.iou, score.area, score.chance)),
        )

    def _take_tags(self, example: int, score: Score) -> None:
        for tag, value in score.tags.items():
            values, of = self._tags.setdefault(tag, ({}, array("i")))
            of.extend([UNKNOWN] * (example - len(of)))
            of.append(values.setdefault(value, len(values)))

    def table(self) -> Table:
        """The table of what was added; nothing can be added after."""
        tags = {tag: self._tag(*found) for tag, found in self._tags.items()}
        scores = np.frombuffer(self._scores, dtype=SCORE)
        return Table(scores, self._examples, tuple(self._rows), tags, len(self._clusters))

    def _tag(self, values: dict[str, int], of: array[int]) -> Tag:
        """With its values in alphabetical order."""
        place = {value: number for number, value in enumerate(sorted(values))}
        order = np.array([*(place[value] for value in values), UNKNOWN])  # the last one is that of UNKNOWN
        every = np.full(len(self._examples), UNKNOWN, dtype=np.int32)
        every[: len(of)] = order[np.frombuffer(of, dtype=np.int32)]
        return Tag(tuple(sorted(values)), every)
