"""Data of the page about all examples of a run at once: metrics, and numbers and texts to filter and sort by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixfound.pipeline.run_data import RunData
from pixfound.pipeline.run_examples import MASK_KINDS, RunExample
from pixfound.pipeline.run_names import main_row
from pixfound.report.page.example_data import Scores
from pixfound.report.summary import headline, unscored_words
from pixfound.scoring.formatting import FEW_FOR_TENTHS
from pixfound.scoring.quadrants import quadrant
from pixfound.scoring.scores import Score
from pixfound.types import KINDS, Kind

_LONGEST = 300  # characters of an answer in the list of examples, which are also those that are searched
_METRICS = (
    *("examples", "pairs", "absent", "iou_threshold", "accuracy_unit", "answer_prompt", "vqa", "vqa_by_tag"),
    *("rows", "cut"),
)


def overview_data(
    run: RunData, metrics: Mapping[str, Any], names: Mapping[str, str], title: str, examples: Sequence[Any]
) -> dict[str, Any]:
    """The run's overview. examples: an `example_line` each."""
    rows = list(run.parts.rows)
    extractors = list(run.parts.extractors)
    main = main_row({row: selector for row, (_, selector) in run.parts.rows.items()})
    return {
        "title": title,
        "names": [names["benchmark"], names["model"], names["extraction"]],
        "summary": f"{title}: {headline(metrics, main)}." if rows else "",
        "rows": rows,
        "main": rows.index(main),
        "extractors": extractors,
        "extractor_of_row": [extractors.index(extractor) for extractor, _ in run.parts.rows.values()],
        "tags": list(run.scores.tags),
        "kinds": [kind for kind in KINDS if any(kind in item.example.kinds for item in run.examples)],
        "metrics": {name: metrics[name] for name in _METRICS if name in metrics},
        "unscored": unscored_words(metrics["unscored"]),
        "published": metrics.get("published", []),
        "when": _when(metrics["analyses"].get("when")),
        "examples": examples,
    }


def example_line(
    item: RunExample, run: RunData, metrics: Mapping[str, Any], scores: Scores, shown: Mapping[str, Any]
) -> dict[str, Any]:
    """An example as the list of examples has it. shown: its `example_data`, with the path of its image."""
    example = item.example
    rows = list(run.parts.rows)
    places = {name: i for i, name in enumerate(run.parts.extractors)}
    proposed = {kind: shown["kinds"][KINDS.index(kind)].get("candidates") for kind in MASK_KINDS}
    answers = [scores.get((kind, None)) for kind in KINDS]

    def regret(kind: Kind, row: str) -> float | None:
        """IoU that the best of the row's candidates has over the chosen one; None for an absent object."""
        iou, of_all = _iou(scores, kind, row), proposed[kind]
        candidates = of_all[places[run.parts.rows[row][0]]] if of_all else None
        if iou is None or not candidates or example.absent:
            return None
        best: float = max(candidate["iou"] for candidate in candidates)
        return round(max(0.0, best - iou), 4)

    return {
        "id": example.id,
        "pair": example.pair_id,
        "image": shown["image"],
        "question": example.question,
        "truth": example.right_answer,
        "expression": example.expression,
        "absent": example.absent,
        "tags": [example.tags.get(tag) for tag in run.scores.tags],
        "answers": [((answer and answer.response) or "")[:_LONGEST] for answer in answers],
        "correct": [answer and answer.correct for answer in answers],
        "failed": sorted({s.reason for s in scores.values() if " failed: " in s.reason}),
        "iou": [[_iou(scores, kind, row) for row in rows] for kind in MASK_KINDS],
        "regret": [[regret(kind, row) for row in rows] for kind in MASK_KINDS],
        "quadrants": [_quadrant(scores, row, run, metrics) for row in rows],
    }


def _quadrant(scores: Scores, row: str, run: RunData, metrics: Mapping[str, Any]) -> str:
    """The example's quadrant as metrics.json counts it."""
    answer: Score | None = scores.get((metrics["answer_prompt"], None))
    mask: Score | None = scores.get((metrics["rows"][row]["grounding_prompt"], row))
    answered = None if answer is None else answer.correct
    if answered is None or mask is None or mask.iou is None:
        return "unscored"
    limit = run.conventions.absent_area
    if limit is not None and mask.absent and mask.area is not None:
        return quadrant(answered, mask.area < limit)
    return quadrant(answered, mask.iou > metrics["iou_threshold"])


def _when(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Deciles of the answers in which grounding emerges, by kind of prompt, from the analysis `when`."""
    if not found:
        return None
    prompts = [[kind, of["deciles"]] for kind, of in found["prompts"].items() if of["examples"] >= FEW_FOR_TENTHS]
    return {"row": found["row"], "place": found["place"], "unit": found["unit"], "prompts": prompts}


def _iou(scores: Scores, kind: Kind, row: str) -> float | None:
    score = scores.get((kind, row))
    return None if score is None or score.iou is None else round(score.iou, 4)
