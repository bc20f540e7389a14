"""One score for each example, kind of prompt and row of the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pixfound.letters import grade_letter
from pixfound.masks import RLE, iou
from pixfound.pipeline.items import MASK_KINDS, Item
from pixfound.pipeline.parts import Parts
from pixfound.pipeline.stages import Stores
from pixfound.pipeline.store import Record
from pixfound.scoring.conventions import Conventions
from pixfound.types import KINDS, Candidate, Example, Kind

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
    response, prompt: what the model said, and to which text as its chat template rendered it; on lines of answers.
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

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "tags": dict(self.tags)}


def cluster_of(score: Score) -> str:
    """What is drawn together in a bootstrap: the pair, or the example where there are no pairs."""
    return score.pair_id if score.pair_id is not None else score.example_id


def scores_of(item: Item, parts: Parts, stores: Stores, conventions: Conventions) -> Iterator[Score]:
    """All scores of one example: of the answers first, then of the rows of the table in order."""
    yield from answers_of(item, stores, conventions)
    for kind in MASK_KINDS:
        yield from _masks(item, kind, parts, stores, conventions)


def answers_of(item: Item, stores: Stores, conventions: Conventions) -> Iterator[Score]:
    """The scores of the answers about one example."""
    for kind in KINDS:
        said = stores.generate.get(item.key(kind), item.asked(kind))
        if said is None or said.value is None:
            yield _score(item, kind, None, reason=_missing("generate", said))
            continue
        if said.value.get("unanswered"):
            yield _score(item, kind, None, reason=said.value["unanswered"])
            continue
        response, correct, reason = said.value["text"], None, "not a question"
        if kind == "choice":
            correct, reason = grade_letter(conventions.letters, response, item.example.options, item.example.answer)
        elif kind == "open":
            judged = stores.grade.get(item.key(kind), item.graded(kind))
            if judged is None or judged.value is None:
                reason = _missing("grade", judged)
            else:
                correct, reason = judged.value["correct"], judged.value["reason"]
        prompt = said.value.get("prompt") or None
        yield _score(item, kind, None, correct=correct, response=response, prompt=prompt, reason=reason)


def _masks(item: Item, kind: Kind, parts: Parts, stores: Stores, conventions: Conventions) -> Iterator[Score]:
    key = item.key(kind)
    said = stores.generate.get(key, item.asked(kind))
    lacking = _missing("generate", said) if said is None or said.value is None else said.value.get("ungrounded")
    if lacking:
        yield from (_score(item, kind, row, reason=lacking) for row in parts.rows)
        return
    proposed = {extractor: stores.extract[extractor].get(key, item.seen(kind)) for extractor in stores.extract}
    for row, (extractor, selector) in parts.rows.items():
        found = proposed[extractor]
        chosen = stores.select[extractor, selector].get(key, item.whole(kind))
        if found is None or found.value is None:
            yield _score(item, kind, row, reason=_missing("extract", found))
        elif chosen is None or chosen.value is None:
            yield _score(item, kind, row, reason=_missing("select", chosen))
        else:
            yield _mask_score(item, kind, row, chosen.value, found.value, conventions)


def _mask_score(
    item: Item,
    kind: Kind,
    row: str,
    choice: Mapping[str, Any],
    found: Mapping[str, Any],
    conventions: Conventions,
) -> Score:
    example, reason = item.example, choice["reason"]
    if lacking := found.get("lacking"):
        reason = f"{reason}: {lacking}"
    if choice["kind"] == "unscored":
        return _score(item, kind, row, choice="unscored", reason=reason)
    taken = Candidate.from_json(found["candidates"][choice["index"]]) if choice["kind"] == "candidate" else None
    mask = chosen_mask(choice["kind"], taken, example)
    wrong = choice["kind"] == "missing" and conventions.no_candidate == "wrong"
    area = mask.area
    return _score(
        item,
        kind,
        row,
        iou=0.0 if wrong else iou(mask, example.gt_mask),
        shown=area > 0,
        area=area / (mask.size[0] * mask.size[1]),
        choice=choice["kind"],
        index=choice["index"],
        reason=reason,
        **_pointing(example, taken.point if taken else None),
    )


def chosen_mask(kind: str, taken: Candidate | None, example: Example) -> RLE:
    """The mask that a choice stands for."""
    if taken is not None:
        return taken.mask
    return RLE.full(example.gt_mask.size) if kind == "full" else RLE.empty(example.gt_mask.size)


def _pointing(example: Example, point: tuple[float, float] | None) -> dict[str, Any]:
    if point is None or example.absent or not example.objects:
        return {"point": point}
    referred = sum(iou(mask, example.gt_mask) > 0 for mask in example.objects)
    return {
        "point": point,
        "on_target": example.gt_mask.contains(point),
        "on_object": any(mask.contains(point) for mask in example.objects),
        "chance": referred / len(example.objects),
    }


def _score(item: Item, kind: Kind, row: str | None, **values: Any) -> Score:
    example = item.example
    return Score(
        key=item.key(kind),
        example_id=item.id,  # the text that is in memory already
        pair_id=example.pair_id,
        kind=kind,
        row=row,
        tags=example.tags,
        absent=example.absent,
        named=example.named,
        **values,
    )


def _missing(stage: str, record: Record | None) -> str:
    return f"{stage} failed: {record.failure if record else 'it has left no record'}"
