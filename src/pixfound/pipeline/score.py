"""The stage score: one score for each example, kind of prompt and row of the table."""

from __future__ import annotations

import os
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


def scores_of(run_example: RunExample, parts: Parts, stores: Stores, conventions: Conventions) -> Iterator[Score]:
    """All scores of one example: of the answers first, then of the rows of the table in order."""
    yield from answers_of(run_example, stores, conventions)
    for kind in run_example.mask_kinds:
        yield from _masks(run_example, kind, parts, stores, conventions)


def answers_of(run_example: RunExample, stores: Stores, conventions: Conventions) -> Iterator[Score]:
    """The scores of the answers about one example."""
    for kind in run_example.example.kinds:
        record = stores.generation_of(run_example, kind)
        if record is None or record.value is None:
            yield _score(run_example, kind, None, reason=_missing("generate", record))
            continue
        if record.value.get("unanswered"):
            yield _score(run_example, kind, None, reason=record.value["unanswered"])
            continue
        response, correct, reason = record.value["text"], None, "not a question"
        if kind == "choice" and run_example.example.answer is not None:
            correct, reason = grade_letter(
                conventions.letters, response, run_example.example.options, run_example.example.answer
            )
        elif kind == "open":
            judged = stores.grade_of(run_example)
            if judged is None or judged.value is None:
                reason = _missing("grade", judged)
            else:
                correct, reason = judged.value["correct"], judged.value["reason"]
        prompt = record.value.get("prompt") or None
        measures = {}
        if kind == "open" and run_example.example.answers:
            measures["credit"] = (answer_credit(run_example.example.grading, response, run_example.example.answers),)
        yield _score(
            run_example, kind, None, correct=correct, response=response, prompt=prompt, reason=reason, measures=measures
        )


def _masks(
    run_example: RunExample, kind: Kind, parts: Parts, stores: Stores, conventions: Conventions
) -> Iterator[Score]:
    record = stores.generation_of(run_example, kind)
    lacking = _missing("generate", record) if record is None or record.value is None else record.value.get("ungrounded")
    if lacking:
        yield from (_score(run_example, kind, row, reason=lacking) for row in parts.rows)
        return
    proposed = {extractor: stores.candidates_of(run_example, kind, extractor) for extractor in stores.extract}
    for row, (extractor, selector) in parts.rows.items():
        candidates = proposed[extractor]
        chosen = stores.choice_of(run_example, kind, (extractor, selector))
        if candidates is None or candidates.value is None:
            yield _score(run_example, kind, row, reason=_missing("extract", candidates))
        elif chosen is None or chosen.value is None:
            yield _score(run_example, kind, row, reason=_missing("select", chosen))
        else:
            yield _mask_score(run_example, kind, row, chosen.value, candidates.value, conventions)


def _mask_score(
    run_example: RunExample,
    kind: Kind,
    row: str,
    choice: Mapping[str, Any],
    extraction: Mapping[str, Any],
    conventions: Conventions,
) -> Score:
    example, reason = run_example.example, choice["reason"]
    if lacking := extraction.get("lacking"):
        reason = f"{reason}: {lacking}"
    if choice["kind"] == "unscored":
        return _score(run_example, kind, row, choice="unscored", reason=reason)
    candidate = (
        Candidate.from_json(extraction["candidates"][choice["index"]]) if choice["kind"] == "candidate" else None
    )
    mask = chosen_mask(choice["kind"], candidate, example)
    wrong = choice["kind"] == "missing" and conventions.no_candidate == "wrong"
    area = mask.area
    comparison = Comparison(example, mask, candidate, not (extraction["candidates"] or area), wrong)
    measures = {metric.name: metric.measure(comparison) for metric in conventions.found_metrics}
    return _score(
        run_example,
        kind,
        row,
        iou=0.0 if wrong else iou(mask, example.gt_mask, example.ignore),
        shown=area > 0,
        area=area / (mask.size[0] * mask.size[1]),
        choice=choice["kind"],
        index=choice["index"],
        reason=reason,
        measures=measures,
        **_pointing(example, candidate.point if candidate else None),
    )


def chosen_mask(kind: str, candidate: Candidate | None, example: Example) -> RLE:
    """The mask that a choice stands for."""
    if candidate is not None:
        return candidate.mask
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


def _score(run_example: RunExample, kind: Kind, row: str | None, **values: Any) -> Score:
    example = run_example.example
    if row is None and kind != "ground":
        values |= {"question": example.question, "options": example.options, "truth": example.right_answer}
    return Score(
        key=run_example.key(kind),
        example_id=run_example.id,  # the text that is in memory already
        pair_id=example.pair_id,
        kind=kind,
        row=row,
        tags=example.tags,
        absent=example.absent,
        named=example.named,
        image=os.path.basename(example.image.location) or None,
        expression=example.expression,
        **values,
    )


def _missing(stage: str, record: Record | None) -> str:
    return f"{stage} failed: {record.failure if record else 'it has left no record'}"
