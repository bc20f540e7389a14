"""The stage score: one score for each example, kind of prompt and row of the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pixfound.config.factory import Parts
from pixfound.judges.free_answers import answer_credit
from pixfound.pipeline.run_examples import RunExample
from pixfound.pipeline.stores import Stores
from pixfound.scoring.choice_grading import grade_letter
from pixfound.scoring.comparison import Comparison
from pixfound.scoring.conventions import Conventions
from pixfound.scoring.scores import Score
from pixfound.store.store import Record
from pixfound.types import Candidate, Example, Kind
from pixfound.types.masks import RLE, iou


def scores_of(item: RunExample, parts: Parts, stores: Stores, conventions: Conventions) -> Iterator[Score]:
    """All scores of one example: of the answers first, then of the rows of the table in order."""
    yield from answers_of(item, stores, conventions)
    for kind in item.mask_kinds:
        yield from _masks(item, kind, parts, stores, conventions)


def answers_of(item: RunExample, stores: Stores, conventions: Conventions) -> Iterator[Score]:
    """The scores of the answers about one example."""
    for kind in item.example.kinds:
        said = stores.generation_of(item, kind)
        if said is None or said.value is None:
            yield _score(item, kind, None, reason=_missing("generate", said))
            continue
        if said.value.get("unanswered"):
            yield _score(item, kind, None, reason=said.value["unanswered"])
            continue
        response, correct, reason = said.value["text"], None, "not a question"
        if kind == "choice" and item.example.answer is not None:
            correct, reason = grade_letter(conventions.letters, response, item.example.options, item.example.answer)
        elif kind == "open":
            judged = stores.grade_of(item)
            if judged is None or judged.value is None:
                reason = _missing("grade", judged)
            else:
                correct, reason = judged.value["correct"], judged.value["reason"]
        prompt = said.value.get("prompt") or None
        measures = {}
        if kind == "open" and item.example.answers:
            measures["credit"] = (answer_credit(item.example.grading, response, item.example.answers),)
        yield _score(
            item, kind, None, correct=correct, response=response, prompt=prompt, reason=reason, measures=measures
        )


def _masks(item: RunExample, kind: Kind, parts: Parts, stores: Stores, conventions: Conventions) -> Iterator[Score]:
    said = stores.generation_of(item, kind)
    lacking = _missing("generate", said) if said is None or said.value is None else said.value.get("ungrounded")
    if lacking:
        yield from (_score(item, kind, row, reason=lacking) for row in parts.rows)
        return
    proposed = {extractor: stores.candidates_of(item, kind, extractor) for extractor in stores.extract}
    for row, (extractor, selector) in parts.rows.items():
        found = proposed[extractor]
        chosen = stores.choice_of(item, kind, (extractor, selector))
        if found is None or found.value is None:
            yield _score(item, kind, row, reason=_missing("extract", found))
        elif chosen is None or chosen.value is None:
            yield _score(item, kind, row, reason=_missing("select", chosen))
        else:
            yield _mask_score(item, kind, row, chosen.value, found.value, conventions)


def _mask_score(
    item: RunExample,
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
    comparison = Comparison(example, mask, taken, not (found["candidates"] or area), wrong)
    measures = {metric.name: metric.measure(comparison) for metric in conventions.found_metrics}
    return _score(
        item,
        kind,
        row,
        iou=0.0 if wrong else iou(mask, example.gt_mask, example.ignore),
        shown=area > 0,
        area=area / (mask.size[0] * mask.size[1]),
        choice=choice["kind"],
        index=choice["index"],
        reason=reason,
        measures=measures,
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


def _score(item: RunExample, kind: Kind, row: str | None, **values: Any) -> Score:
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
