"""When does grounding emerge? Where in an answer the phrase stands whose mask is best (arXiv 2502.04192).

For every present object: the phrase of the candidate that fits the ground truth best, its position, whether it is the
referring expression at all, and which of six concepts it is about; each beside what chance gives (`nulls`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Interval

from pixfound.analyses import emergence_chart, emergence_text
from pixfound.analyses.comparison import Comparison
from pixfound.analyses.concepts import QUESTION, SYSTEM, Concept, ConceptLabel, Questions, concepts_by_rules
from pixfound.analyses.emergence_points import (
    Emergence,
    Length,
    Reading,
    Ties,
    find_emergence,
)
from pixfound.analyses.features import ABOUT, DECILES, PLACE, WORDINGS, features, flags
from pixfound.analyses.null_models import NULLS, Null
from pixfound.analyses.phrase_position import Place, Unit
from pixfound.errors import UserError
from pixfound.interfaces import Analysis, Judge, PhraseFinder
from pixfound.pipeline.run_examples import RunExample
from pixfound.scoring.estimates import figure
from pixfound.types import Kind, MaskKind
from pixfound.types.arguments import Fraction, NonNegative, Positive

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pixfound.pipeline.run_data import RunData

Classifier = Literal["rules", "judge", "none"]


class When(Analysis):
    """Position, wording and concept of the best phrase, with bootstrap intervals and null models.

    judge, phrases: the run's own. kinds: of prompts. row: the table's row whose extractor proposes the candidates.
    unit, place, length, ties, iou_floor: see `Reading`. nulls: see `pixfound.analyses.null_models`.
    concepts: who says what a phrase is about: `rules` (see `concepts_by_rules`), the run's `judge`, or `none`.
    system, question: what a judge is asked, with the fields {phrase} and {text}.
    resamples, level, seed: of the bootstrap, clustered by pair, and of as many draws of each null.
    """

    def __init__(
        self,
        judge: Judge,
        phrases: PhraseFinder,
        kinds: Sequence[MaskKind] = ("ground",),
        row: str = "oracle",
        unit: Unit = "characters",
        place: Place = "start",
        length: Length = "answer",
        ties: Ties = "score",
        iou_floor: Annotated[float, Interval(ge=0, le=1)] | None = None,
        nulls: Sequence[Null] = NULLS,
        concepts: Classifier = "rules",
        system: str = SYSTEM,
        question: str = QUESTION,
        resamples: Positive = 2000,
        level: Fraction = 0.95,
        seed: NonNegative = 0,
    ) -> None:
        as_original = (unit, place) == ("characters", "start")
        _check(length == "answer" or as_original, "length=original goes with unit=characters and place=start alone")
        can_ask = concepts != "judge" or judge.answers_questions
        _check(can_ask, f"concepts=judge: judge {judge.name!r} answers no questions; take judge=openai or mllm")
        _check_fields(question)
        self.judge, self.phrases, self.kinds, self.row = judge, phrases, tuple(kinds), row
        self.reading = Reading(unit, place, length, ties, iou_floor)
        self.nulls, self.concepts, self.system, self.question = tuple(nulls), concepts, system, question
        self.resamples, self.level, self.seed = resamples, level, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """The results for each kind of prompt; {} where no candidate of the row comes from a phrase."""
        if self.row not in run.parts.rows:
            return {}
        prompts = {kind: self._about(run, kind) for kind in self.kinds}
        if not any(prompt["examples"] for prompt in prompts.values()):
            return {}
        reading = self.reading
        return {
            "row": self.row,
            "unit": reading.unit,
            "place": reading.place,
            "length": reading.length,
            "iou_floor": reading.iou_floor,
            "level": self.level,
            "concepts_by": {"rules": "rules", "judge": self.judge.name, "none": None}[self.concepts],
            "prompts": prompts,
            "failures": [failure for prompt in prompts.values() for failure in prompt.pop("failures", ())],
        }

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """Tables of positions, nulls, wording and concepts."""
        return emergence_text.sections(results)

    def charts(self, results: Mapping[str, Any]) -> Mapping[str, Figure]:
        """The chart of positions."""
        chart = emergence_chart.draw(results)
        return {} if chart is None else {"when": chart}

    def _about(self, run: RunData, kind: Kind) -> dict[str, Any]:
        emergences: list[Emergence] = []
        left_out: Counter[str] = Counter()
        for run_example in run.examples:
            outcome = _find(run, run_example, self.row, kind, self.reading)
            if isinstance(outcome, Emergence):
                emergences.append(outcome)
            else:
                left_out[outcome] += 1
        if not emergences:
            return {"examples": 0, "left_out": dict(left_out)}
        ruled = self.concepts == "rules"
        compared = Comparison(
            emergences,
            [PLACE, *DECILES, *WORDINGS, *(ABOUT if ruled else ())],
            [features(e, self.phrases, ruled) for e in emergences],
            self.nulls,
            DECILES,
            self.resamples,
            self.level,
            self.seed,
        )
        of, clusters = compared.of, compared.clusters
        best_iou = clusters.mean(of, np.array([e.iou for e in emergences]))
        median = clusters.median(of, np.array([e.places[e.best] for e in emergences]))
        labels = self._labels(emergences)
        return {
            "examples": len(emergences),
            "left_out": dict(left_out),
            "phrases_per_answer": sum(len(e.phrases) for e in emergences) / len(emergences),
            "best_iou": figure(best_iou, self.level),
            "answers_with_a_choice": compared.free,
            "mean": compared.figure(PLACE),
            "median": figure(median, self.level),
            "deciles": [{"examples": compared.count(name), **compared.figure(name)} for name in DECILES],
            "not_the_expression": {name: compared.figure(name) for name in WORDINGS},
            "concepts": {c: compared.figure(c) for c in ABOUT} if ruled else self._shares(emergences, labels, compared),
            "concepts_unscored": [f"{id}: {label.why}" for id, label in labels.items() if label.concepts is None],
            "failures": [f"concept of {kind} {id}: {label.why}" for id, label in labels.items() if label.failed],
            "emergences": [_record(e, _concepts(labels, e)) for e in emergences],
        }

    def _shares(
        self, emergences: Sequence[Emergence], labels: Mapping[str, ConceptLabel], compared: Comparison
    ) -> dict[str, Any]:
        """The share of each concept among the phrases of which the judge's reply could be read."""
        about = [_concepts(labels, e) for e in emergences]
        readable = np.array([concepts is not None for concepts in about])
        if not readable.any():
            return {}
        values = np.array([flags(concepts) for concepts in about if concepts is not None])
        shares = {
            c: compared.clusters.mean(compared.of[readable], column) for c, column in zip(ABOUT, values.T, strict=True)
        }
        return {c: {**figure(share, self.level), "nulls": {}} for c, share in shares.items()}

    def _labels(self, emergences: Sequence[Emergence]) -> dict[str, ConceptLabel]:
        """Example id -> the concepts of its best phrase, as far as they are asked for."""
        if self.concepts == "none":
            return {}
        if self.concepts == "rules":
            return {e.example_id: ConceptLabel(concepts_by_rules(e.phrases[e.best], e.text)) for e in emergences}
        questions = Questions(self.judge, self.system, self.question)
        answers = questions.ask_all([(e.phrases[e.best].text, e.text) for e in emergences])
        return {e.example_id: label for e, label in zip(emergences, answers, strict=True)}


def _concepts(labels: Mapping[str, ConceptLabel], emergence: Emergence) -> tuple[Concept, ...] | None:
    return labels[emergence.example_id].concepts if emergence.example_id in labels else None


def _find(run: RunData, run_example: RunExample, row: str, kind: Kind, reading: Reading) -> Emergence | str:
    """The emergence of one example from the run's records, or why there is none."""
    extractor = run.parts.rows[row][0]
    answer, candidates = run.answer(run_example, kind), run.candidates(run_example, kind, extractor)
    if answer is None or candidates is None:
        return "object absent" if run_example.example.absent else "nothing on record"
    return find_emergence(run_example.example, candidates, answer.text, answer.spans, reading)


def _record(emergence: Emergence, concepts: tuple[Concept, ...] | None) -> dict[str, Any]:
    """Entry of one example in the analysis's records."""
    return {
        "example_id": emergence.example_id,
        "phrase": emergence.phrases[emergence.best].text,
        "position": emergence.places[emergence.best],
        "iou": emergence.iou,
        "concepts": None if concepts is None else list(concepts),
    }


def _check(valid: bool, rule: str) -> None:
    if not valid:
        raise UserError(f"analyses.when.{rule}")


def _check_fields(question: str) -> None:
    try:
        question.format(phrase="", text="")
    except (LookupError, ValueError) as error:
        raise UserError(f"analyses.when.question: only {{phrase}} and {{text}} can be filled in ({error!r})") from error
