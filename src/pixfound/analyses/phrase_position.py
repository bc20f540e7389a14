"""The position of a phrase in an answer, as a share of the answer's length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pixfound.types import Phrase
from pixfound.types.token_spans import Span, tokens_of

Unit = Literal["characters", "tokens"]
Place = Literal["start", "middle"]


def place_of(span: Span, text: str, tokens: Sequence[Span], unit: Unit, place: Place) -> float | None:
    """The position of a phrase, in [0, 1): 0 is the answer's first character or token.

    span: (start, end) of the phrase in characters of `text`, not empty. tokens: spans of the generated tokens. Those
    that show nothing (end of text) count neither for the phrase nor for the length. None where it cannot be determined:
    the phrase lies outside the text, or no token belongs to it.
    """
    start, end = span
    if not 0 <= start < end <= len(text):
        return None
    length = len(text)
    if unit == "tokens":
        visible = [token for token in tokens if token[1] > token[0]]
        phrase_tokens = tokens_of(span, visible)
        if not phrase_tokens:
            return None
        start, end, length = phrase_tokens[0], phrase_tokens[-1] + 1, len(visible)
    return start / length if place == "start" else (start + end) / (2 * length)


def original_place(phrase: Phrase, text: str) -> float | None:
    """The phrase's position as the original of arXiv 2502.04192 has it: start character / characters of the answer.

    Its meta file has a line for each phrase. `- ` and `| ` separate the fields, and the answer is the last one. An
    answer with a hyphen before a space is therefore cut there: it gets shorter, and the position may be 1 or more.
    None where the line cannot be taken apart (a `| ` in the answer, a `- ` in the phrase, nothing left of the answer).
    """
    line = f"0.jpg - 0 - {phrase.text}| {phrase.head}| 0.0 | {phrase.span[0]} | {phrase.span[1]}| {_flat(text)}"
    fields = line.split("- ")[2].strip().split("| ")
    return phrase.span[0] / len(fields[5]) if len(fields) == 6 else None


def decile(place: float) -> int | None:
    """0 for [0, 0.1) to 9 for [0.9, 1); None from 1 on. Compared in per cent, as the original does."""
    per_cent = place * 100
    return next((i for i in range(10) if 10 * i <= per_cent < 10 * (i + 1)), None)


def _flat(text: str) -> str:
    return text.replace("\n", " ")
