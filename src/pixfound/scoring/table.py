"""The scores of a run as a table of numbers: all that metrics are made of.

What a score says beside them (what was replied, which candidate was chosen, and why) is in scores.jsonl, and
`RunData.scores_of` makes it anew for one example.

Shapes: `S` scores, `E` examples.
"""

from __future__ import annotations

import struct
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from pixfound.scoring.scores import Score, cluster_of
from pixfound.types import Kind

Rows = npt.NDArray[np.void]  # (S,) records of SCORE
UNKNOWN = -1  # in place of what is neither true nor false; a number that is not known is nan
SCORE = np.dtype(
    [
        *(("example", "i4"), ("cluster", "i4")),
        *((name, "?") for name in ("paired", "absent", "named", "answered")),
        *((name, "i1") for name in ("correct", "shown", "on_target", "on_object")),
        *((name, "f8") for name in ("iou", "area", "chance")),
    ]
)
_NOTHING = np.empty(0, SCORE)
_PACKED = struct.Struct("=ii????bbbbddd")


@dataclass(frozen=True)
class Tag:
    """One tag. values: in alphabetical order. of: (E,) the number of each example's value; UNKNOWN without one."""

    values: tuple[str, ...]
    of: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Table:
    """count: of the scores. examples: their ids, numbered in the order in which they first come.

    cluster_of: (E,) the number of each example's cluster, which is what is drawn together in a bootstrap; `clusters` of
    them. absent, paired: (E,) whether its object is absent, whether it has a partner. parts: the scores by row and kind
    of prompt, in order: of the row's masks, or with None of the answers. measures: of these, (S, K) the numbers of each
    metric of regions; nan where an example is unscored or left out.
    """

    count: int
    examples: Mapping[str, int]
    rows: tuple[str, ...]
    tags: Mapping[str, Tag]
    cluster_of: npt.NDArray[np.int32]
    clusters: int
    absent: npt.NDArray[np.bool_]
    paired: npt.NDArray[np.bool_]
    parts: Mapping[tuple[str | None, Kind], Rows]
    measures: Mapping[tuple[str | None, Kind], Mapping[str, npt.NDArray[np.float64]]] = field(default_factory=dict)

    def answers(self, kind: Kind) -> Rows:
        """The scores of the answers to a kind of prompt."""
        return self.parts.get((None, kind), _NOTHING)

    def masks(self, row: str, kind: Kind) -> Rows:
        """The scores of a row's masks under a kind of prompt; none where the table has no such row."""
        return self.parts.get((row, kind), _NOTHING)

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
        back = np.argsort(order)

        def numbered(scores: Rows) -> Rows:
            scores = scores.copy()
            scores["example"] = order[scores["example"]]
            scores["cluster"] = other.cluster_of[scores["example"]]
            return scores

        return replace(
            self,
            examples=other.examples,
            tags={tag: replace(about, of=about.of[back]) for tag, about in self.tags.items()},
            cluster_of=other.cluster_of,
            clusters=other.clusters,
            absent=self.absent[back],
            paired=self.paired[back],
            parts={part: numbered(scores) for part, scores in self.parts.items()},
        )


def only(scores: Rows, which: npt.NDArray[np.bool_]) -> Rows:
    """The scores that are meant, not copied where that is all of them."""
    return scores if which.all() else scores[which]


def tabulate(scores: Iterable[Score]) -> Table:
    """The table of some scores."""
    filling = ScoreTableBuilder()
    for score in scores:
        filling.add(score)
    return filling.table()


class ScoreTableBuilder:
    """A table to which scores are added one by one. rows: those that it has, also where no score is of them."""

    def __init__(self, rows: Iterable[str] = ()) -> None:
        self._rows = tuple(rows)
        self._parts: dict[tuple[str | None, Kind], bytearray] = defaultdict(bytearray)
        self._measures: dict[tuple[str | None, Kind], dict[str, tuple[array[int], array[float]]]] = defaultdict(dict)
        self._count = 0
        self._examples, self._clusters = dict[str, int](), dict[str, int]()
        self._about = array("i"), bytearray(), bytearray()  # of each example: cluster, whether absent, whether paired
        self._tags: dict[str, tuple[dict[str, int], array[int]]] = {}

    def add(self, score: Score) -> None:
        """Take a score; what all scores of an example have in common is taken from the first one."""
        example = self._examples.setdefault(score.example_id, len(self._examples))
        of, absent, paired = self._about
        if example == len(of):
            of.append(self._clusters.setdefault(cluster_of(score), len(self._clusters)))
            absent.append(score.absent)
            paired.append(score.pair_id is not None)
            self._take_tags(example, score)
        self._take_measures(score)
        self._parts[score.row, score.kind] += _PACKED.pack(
            example,
            of[example],
            score.pair_id is not None,
            score.absent,
            score.named,
            score.response is not None,
            *(UNKNOWN if v is None else v for v in (score.correct, score.shown, score.on_target, score.on_object)),
            *(np.nan if v is None else v for v in (score.iou, score.area, score.chance)),
        )
        self._count += 1

    def _take_tags(self, example: int, score: Score) -> None:
        for tag, value in score.tags.items():
            values, of = self._tags.setdefault(tag, ({}, array("i")))
            of.extend([UNKNOWN] * (example - len(of)))
            of.append(values.setdefault(value, len(values)))

    def _take_measures(self, score: Score) -> None:
        place = len(self._parts[score.row, score.kind]) // _PACKED.size
        for name, numbers in score.measures.items():
            places, values = self._measures[score.row, score.kind].setdefault(name, (array("i"), array("d")))
            if numbers is not None:
                places.append(place)
                values.extend(numbers)

    def table(self) -> Table:
        """The table of what was added; nothing can be added after."""
        of, absent, paired = self._about
        return Table(
            count=self._count,
            examples=self._examples,
            rows=tuple(dict.fromkeys([*self._rows, *(row for row, _ in self._parts if row is not None)])),
            tags={tag: self._tag(*entry) for tag, entry in self._tags.items()},
            cluster_of=np.array(of, dtype=np.int32),
            clusters=len(self._clusters),
            absent=np.frombuffer(absent, dtype=np.bool_),
            paired=np.frombuffer(paired, dtype=np.bool_),
            parts={part: np.frombuffer(packed, dtype=SCORE) for part, packed in self._parts.items()},
            measures={
                part: {
                    name: _spread(*about, len(self._parts[part]) // _PACKED.size) for name, about in measures.items()
                }
                for part, measures in self._measures.items()
            },
        )

    def _tag(self, values: dict[str, int], of: array[int]) -> Tag:
        """With its values in alphabetical order."""
        place = {value: number for number, value in enumerate(sorted(values))}
        order = np.array([*(place[value] for value in values), UNKNOWN])  # the last one is that of UNKNOWN
        codes = np.full(len(self._about[0]), UNKNOWN, dtype=np.int32)
        codes[: len(of)] = order[np.frombuffer(of, dtype=np.int32)]
        return Tag(tuple(sorted(values)), codes)


def _spread(places: array[int], values: array[float], count: int) -> npt.NDArray[np.float64]:
    """(S, K) the values of some of `count` scores, nan for the others."""
    scored = np.frombuffer(values, dtype=np.float64).reshape(len(places), -1) if places else np.empty((0, 1))
    numbers = np.full((count, scored.shape[1]), np.nan)
    numbers[list(places)] = scored
    return numbers
