"""A judge behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixfound.chat import ChatClient
from pixfound.judges.asking import (
    AnswerForm,
    JudgeError,
    Verdicts,
    asking_identity,
    check_options,
    grade_by_asking,
    side_by_side,
)
from pixfound.types import Example


class OpenAIJudge(ChatClient):
    """Grades open answers, and answers questions about images. Safe to use from several threads.

    options: those of `pixfound.chat.ChatClient`. answer_form: see `pixfound.judges.asking`.
    """

    group = "judge"
    reply_tokens = 4  # yes, no or a number

    def __init__(
        self,
        model: str = "gpt-4o",
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float | None = 0.2,
        max_tokens: int | None = 256,
        timeout_s: float = 60.0,
        max_retries: int = 5,
        backoff_s: float = 1.0,
        concurrency: int = 4,
        cache_dir: str | None = None,
        price_per_million_input: float | None = None,
        price_per_million_output: float | None = None,
        max_cost: float | None = None,
        verdicts: Verdicts = "meant",
        answer_form: AnswerForm = "letter",
    ) -> None:
        super().__init__(
            model=model,
            base_url=base_url,
            api_key_env=api_key_env,
            temperature=temperature,
            max_tokens=max_tokens,
            timeout_s=timeout_s,
            max_retries=max_retries,
            backoff_s=backoff_s,
            concurrency=concurrency,
            cache_dir=cache_dir,
            price_per_million_input=price_per_million_input,
            price_per_million_output=price_per_million_output,
            max_cost=max_cost,
        )
        check_options(answer_form, verdicts)
        self.answer_form, self.verdicts = answer_form, verdicts

    def grade(self, example: Example, response: str) -> tuple[bool | None, str]:
        """Whether a response answers the example's question rightly, or None (unscored), and why."""
        return grade_by_asking(self, example, response, self.answer_form, self.verdicts)

    def grade_many(self, pairs: Sequence[tuple[Example, str]]) -> list[tuple[bool | None, str] | JudgeError]:
        """`grade` for each (example, response), `concurrency` at a time, in order; see `side_by_side`."""
        return side_by_side(lambda pair: self.grade(*pair), pairs, self.concurrency)

    def identity(self) -> Mapping[str, Any]:
        """What a reply depends on, the wording, and how it is read."""
        options = {"answer_form": self.answer_form, "verdicts": self.verdicts}
        return {**super().identity(), **options, **asking_identity()}
