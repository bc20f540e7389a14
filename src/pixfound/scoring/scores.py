"""One score for each example, kind of prompt and row of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pixfound.types import Kind

ABOUT = ("image", "expression", "question", "options", "truth")  # fields that repeat what the benchmark says
FAILED = tuple(f"{stage} failed: " for stage in ("generate", "extract", "grade", "select"))  # how such reasons begin


@dataclass(frozen=True, slots=True)  # there are many: one for each example, prompt and row
class Score:
    """A line of scores.jsonl (schema: pixfound/schemas/scores.schema.json).

    row: the table's row that the mask belongs to; None for the answers, which all rows share.
    correct: whether the answer is right; iou: of the row's mask. None where unscored, `reason` says why.
    named: whether the benchmark names an object to show. shown: whether the row shows any pixel; area: the share of the
        image that it shows. point: (x, y) that the chosen mask came from.
    on_target, on_object: whether it lies on the referred object, on any object; chance: the share of the
        image's objects that are referred to. None where the benchmark knows no other objects.
    measures: numbers of each of `scoring.region_metrics` by its name, None where it leaves the example out; on the line
        of a free answer its `credit` by the example's rule (`pixfound.judges.free_answers`).
    response, prompt: what the model said, and to which text as its chat template rendered it; on lines of answers.
    image: name of the image's file, None where it has none. expression: what the mask should show. question, options,
        truth: on lines of answers to the question; truth is the text of the right answer.
    """

    key: str
    example_id: str
    pair_id: str | None
    kind: Kind
    row: str | None
    tags: Mapping[str, str]
    absent: bool
    correct: bool | None = None
    iou: float | None = None
    shown: bool | None = None
    area: float | None = None
    choice: str | None = None
    index: int | None = None
    point: tuple[float, float] | None = None
    on_target: bool | None = None
    on_object: bool | None = None
    chance: float | None = None
    response: str | None = None
    prompt: str | None = None
    reason: str = ""
    named: bool = True
    measures: Mapping[str, Sequence[float] | None] = field(default_factory=dict)
    image: str | None = None
    expression: str | None = None
    question: str | None = None
    options: Sequence[str] | None = None
    truth: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; no measures where there are none."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "measures" or self.measures}
        return {**values, "tags": dict(self.tags)}


def cluster_of(score: Score) -> str:
    """Return the id of the score's bootstrap cluster: the pair's, or the example's if it has no pair."""
    return score.pair_id if score.pair_id is not None else score.example_id
