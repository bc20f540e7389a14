"""A rule-based judge: deterministic, without a model or network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixfound.interfaces import Grade, GradeRequest, Judge
from pixfound.judges.answer_parsing import READING, pick_option
from pixfound.judges.free_answers import HALF, answer_credit
from pixfound.types import Example


class RulesJudge(Judge):
    """Compares the option that `pixfound.judges.answer_parsing.pick_option` finds in an answer with the correct one.

    An answer to a question without options is compared with the accepted ones by the example's own rule.
    """

    name = "rules"

    def identity(self) -> Mapping[str, Any]:
        """The version of the rules."""
        return {"reading": READING}

    def grade(self, requests: Sequence[GradeRequest]) -> list[Grade]:
        """True if the response chooses the correct option; None where it chooses none or several.

        A free answer is right from half of its rule's credit on.
        """
        return [_grade(*request) for request in requests]


def _grade(example: Example, response: str) -> Grade:
    if not example.options:
        credit = answer_credit(example.grading, response, example.answers)
        return Grade(credit >= HALF, f"{example.grading}: {credit:.2f}")
    picked, how = pick_option(response, example.options)
    return Grade(None if picked is None else picked == example.answer, how)
