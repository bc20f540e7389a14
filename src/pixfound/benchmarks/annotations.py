"""Parts of readers of released annotation files: complete entries, options and their letters."""

from __future__ import annotations

import re
import string
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


def parse_options(text: str) -> tuple[str, ...]:
    """The options of "(a) yes (b) no" or of "yes|no"; ValueError where the letters are not in their order.

    >>> parse_options("(a) Open (b) Closed")
    ('Open', 'Closed')
    """
    if "|" in text:
        return tuple(part.strip() for part in text.split("|"))
    before, *parts = re.split(r"\(([a-zA-Z])\)", text)
    letters, options = parts[::2], parts[1::2]
    if not parts:
        return (text.strip(),)
    if before.strip() or "".join(letters).lower() != string.ascii_lowercase[: len(letters)]:
        raise ValueError(f"the options {text!r} are not of the form '(a) yes (b) no', in this order, or 'yes|no'")
    return tuple(option.strip() for option in options)
