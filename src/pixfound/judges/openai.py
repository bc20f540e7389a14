"""A judge behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixfound.interfaces import Grade, GradeRequest, Judge, JudgeError
from pixfound.io.chat.client import ChatClient
from pixfound.io.chat.options import Temperature
from pixfound.judges.asking import AnswerForm, Verdicts, asking_identity, grade_by_asking, side_by_side
from pixfound.types.arguments import Positive


@dataclass(eq=False)
class OpenAIJudge(ChatClient, Judge):
    """Grades open answers, and answers questions about images. Safe to use from several threads.

    answer_form, verdicts: see `pixfound.judges.asking.grade_by_asking`. The other options are those of
    `pixfound.io.chat.options.ChatOptions`.
    """

    model: str = "gpt-4o"
    temperature: Temperature | None = 0.2
    max_tokens: Positive | None = 256
    verdicts: Verdicts = "meant"
    answer_form: AnswerForm = "letter"

    answers_questions = True
    group = "judge"
    reply_tokens = 4  # yes, no or a number

    def __post_init__(self) -> None:
        super().__post_init__()

    def grade(self, requests: Sequence[GradeRequest]) -> list[Grade | JudgeError]:
        """A grade with the judge's reply as its reason, `concurrency` at a time; a JudgeError for a failed request."""
        return side_by_side(
            lambda r: grade_by_asking(self, *r, self.answer_form, self.verdicts), requests, self.concurrency
        )

    def identity(self) -> Mapping[str, Any]:
        """JSON values for the fingerprint: the client's options, the prompts, and the parsing of replies."""
        options = {"answer_form": self.answer_form, "verdicts": self.verdicts}
        return {**super().identity(), **options, **asking_identity()}
