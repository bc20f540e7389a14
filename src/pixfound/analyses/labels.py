"""Accuracies under the other versions of a benchmark's labels: MMVP has two pairs whose answers are disputed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pixfound.interfaces import Analysis, Judge, without_errors
from pixfound.io.text import escape, grid
from pixfound.pipeline.stage_loop import describe
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.choice_grading import Letters, grade_letter
from pixfound.scoring.estimates import Estimate, figure, minus
from pixfound.scoring.figures import accuracies_of, vqa_figures
from pixfound.scoring.formatting import enough as shown
from pixfound.scoring.scores import Score
from pixfound.scoring.table import ScoreTableBuilder, Table
from pixfound.types import Example
from pixfound.types.arguments import Fraction, NonNegative, Positive

if TYPE_CHECKING:
    from pixfound.pipeline.run_data import RunData

_NAMES = {"A_item": "A item", "A_pair": "A pair", "A_dagger_item": "A† item", "A_dagger_pair": "A† pair"}
_FAILED = "grade failed: "


class Labels(Analysis):
    """Accuracies under every version of the labels, and the difference to the first.

    judge: grades again the open answers to the questions that the versions disagree about. letters: how the others
        are read, as in the scores.
    resamples, level, seed: of the bootstrap, clustered by pair.
    """

    def __init__(
        self,
        judge: Judge,
        resamples: Positive = 2000,
        level: Fraction = 0.95,
        seed: NonNegative = 0,
        letters: Letters = "meant",
    ) -> None:
        self.judge, self.letters = judge, letters
        self.resamples, self.level, self.seed = resamples, level, seed

    def compute(self, run: RunData) -> Mapping[str, Any]:
        """Versions -> figures, differences to the first version, and the examples that they disagree about."""
        names = list(dict.fromkeys(name for run_example in run.examples for name in run_example.example.labels))
        if len(names) < 2:
            return {}
        disputed, failures = [], []
        versions = {name: ScoreTableBuilder() for name in names}
        for run_example in run.examples:
            example = run_example.example
            if len(set(example.labels.values())) > 1:
                disputed.append(example.id)
            for score in run.answer_scores(run_example):
                if score.kind != "ground":
                    for name, filling in versions.items():
                        graded = self._graded(score, example, name)
                        filling.add(graded)
                        if graded is not score and graded.reason.startswith(_FAILED):
                            failures.append(f"{score.key} by the labels {name}: {graded.reason}")
        tables = {name: filling.table() for name, filling in versions.items()}
        clusters = Resampler(tables[names[0]].clusters, self.resamples, self.seed)
        by_version = {name: _figures(table, clusters) for name, table in tables.items()}
        first = by_version[names[0]]
        return {
            "disputed": sorted(disputed),
            "failures": failures,
            "versions": {
                name: {key: figure(estimate, self.level) for key, estimate in figures.items()}
                for name, figures in by_version.items()
            },
            "differences": {
                name: {key: figure(minus(figures[key], first[key]), self.level) for key in figures}
                for name, figures in by_version.items()
                if name != names[0]
            },
        }

    def sections(self, results: Mapping[str, Any]) -> list[str]:
        """A line for each version, and one for each difference."""
        first = next(iter(results["versions"]))
        lines = [[name, *(shown(figures[key]) for key in _NAMES)] for name, figures in results["versions"].items()]
        lines += [
            [f"{name} - {first}", *(shown(figures[key]) for key in _NAMES)]
            for name, figures in results["differences"].items()
        ]
        listed = ", ".join(escape(id) for id in results["disputed"]) or "none of this run"
        return [
            "## Versions of the labels",
            f"The versions disagree about {len(results['disputed'])} examples: {listed}.",
            grid(("labels", *_NAMES.values()), lines),
        ]

    def _graded(self, score: Score, example: Example, version: str) -> Score:
        """The score under a version of the labels; only what changes is graded again."""
        answer = example.labels.get(version, example.answer)
        if answer is None or answer == example.answer or score.response is None:
            return score
        if score.kind == "choice":
            correct, reason = grade_letter(self.letters, score.response, example.options, answer)
            return replace(score, correct=correct, reason=reason)
        try:
            correct, reason = without_errors(self.judge.grade([(replace(example, answer=answer), score.response)]))[0]
        except RuntimeError as error:  # a judge that is down: neither right nor wrong
            correct, reason = None, f"{_FAILED}{describe(error)}"
        return replace(score, correct=correct, reason=reason)


def _figures(table: Table, clusters: Resampler) -> dict[str, Estimate]:
    figures = vqa_figures(accuracies_of(table, clusters), "item")
    return {name: figures[name] for name in _NAMES}
