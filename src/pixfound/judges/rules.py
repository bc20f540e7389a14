"""A judge by rules: no model, no network, the same answer every time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pixfound.judges.answer_parsing import READING, pick_option
from pixfound.types import Example


class RulesJudge:
    """Right where the answer means the right option by `pixfound.judges.answer_parsing.pick_option`."""

    name = "rules"

    def identity(self) -> Mapping[str, Any]:
        """The version of the rules."""
        return {"reading": READING}

    def grade(self, example: Example, response: str) -> tuple[bool | None, str]:
        """Whether the response means the right option; None where it means none or several."""
        picked, how = pick_option(response, example.options)
        return (None if picked is None else picked == example.answer), how
