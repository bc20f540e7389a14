"""Checks of released annotation files: complete entries, letters of options."""

from __future__ import annotations

from collections.abc import Sequence

from pixfound.errors import UserError
from pixfound.types.option_letters import index_of

_AGAIN = "download it again"


def expect(entries: Sequence[object], expected: Sequence[object], where: str) -> None:
    """Raise the UserError that names what is missing or too much, unless both hold the same."""
    present, allowed = set(entries), set(expected)
    missing, extra = [w for w in expected if w not in present], [f for f in entries if f not in allowed]
    if missing or extra:
        lists = [f"lacks {missing[0]!r}" if missing else "", f"has an unknown {extra[0]!r}" if extra else ""]
        raise UserError(
            f"{where}: has {len(entries)} entries, not {len(expected)}: {' and '.join(filter(None, lists))}; {_AGAIN}"
        )


def answer_index(answer: str, options: Sequence[str], where: str) -> int:
    """Index of the option whose letter is `answer`: (b), b or B. is 1."""
    index = index_of(answer, len(options))
    if len(options) < 2 or index is None:
        raise UserError(f"{where}: answer {answer!r} is no letter of the options {list(options)}; {_AGAIN}")
    return index
