"""A judge behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixfound.interfaces import JudgeError
from pixfound.io.chat.client import ChatClient
from pixfound.io.chat.options import Temperature
from pixfound.judges.asking import AnswerForm, Verdicts, asking_identity, check_options, grade_by_asking, side_by_side
from pixfound.types import Example
from pixfound.types.arguments import Positive


@dataclass(eq=False)
class OpenAIJudge(ChatClient):
    """Grades open answers, and answers questions about images. Safe to use from several threads.

    answer_form, verdicts: see `pixfound.judges.asking.grade_by_asking`. The other options are those of
    `pixfound.io.chat.options.ChatOptions`.
    """

    model: str = "gpt-4o"
    temperature: Temperature | None = 0.2
    max_tokens: Positive | None = 256
    verdicts: Verdicts = "meant"
    answer_form: AnswerForm = "letter"

    group = "judge"
    reply_tokens = 4  # yes, no or a number

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self.answer_form, self.verdicts)

    def grade(self, example: Example, response: str) -> tuple[bool | None, str]:
        """(verdict, reply), True if the response is correct; raises JudgeError where the reply is unreadable."""
        return grade_by_asking(self, example, response, self.answer_form, self.verdicts)

    def grade_many(self, pairs: Sequence[tuple[Example, str]]) -> list[tuple[bool | None, str] | JudgeError]:
        """`grade` for each (example, response), `concurrency` at a time, in order; see `side_by_side`."""
        return side_by_side(lambda pair: self.grade(*pair), pairs, self.concurrency)

    def identity(self) -> Mapping[str, Any]:
        """JSON values for the fingerprint: the client's options, the prompts, and the parsing of replies."""
        options = {"answer_form": self.answer_form, "verdicts": self.verdicts}
        return {**super().identity(), **options, **asking_identity()}
