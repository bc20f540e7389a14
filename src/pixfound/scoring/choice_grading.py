"""Grading of replies to multiple-choice questions: by meaning, or by a rule of the paper's own scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pixfound.judges.answer_parsing import pick_option
from pixfound.types.option_letters import letter

Letters = Literal["meant", "exact", "first_character"]
_CUES = ("answer is", "answer is:", "answer:")  # in this order: the first leaves the colon of the second behind
_TRAILING = {"exact": ".:,", "first_character": "."}


def grade_letter(rule: Letters, reply: str, options: Sequence[str], answer: int) -> tuple[bool | None, str]:
    """Return (whether the reply names the option at `answer`, how it was read); (None, ...) for an unreadable reply.

    answer: index of the right option, from 0. rule:
    `meant`: `pixfound.judges.answer_parsing.pick_option`; the one rule that returns None.
    `exact` and `first_character` are those of arXiv 2502.04192's scripts. They grade every unreadable reply as wrong.
    `exact` (PixMMVP): the letter or the option's text alone, apart from brackets and a mark at the end.
    `first_character` (PixCV-Bench): the first character alone is compared with the letter.

    >>> grade_letter("meant", "The answer is: B", ("open", "closed"), 1)
    (True, 'letter')
    >>> grade_letter("exact", "The answer is: B", ("open", "closed"), 1)  # the colon stays
    (False, "read as ': b'")
    """
    if rule == "meant":
        picked, how = pick_option(reply, options)
        return (None if picked is None else picked == answer), how
    text = reply.lower().strip()
    for cue in _CUES:
        text = text.rpartition(cue)[2]
    text = text.strip().rstrip(_TRAILING[rule]).lstrip("(").rstrip(")")
    gold = letter(answer).lower()
    if rule == "first_character":
        return text[:1] == gold, f"read as {text[:1]!r}"
    return text in (gold, options[answer].lower()), f"read as {text!r}"
