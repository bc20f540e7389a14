"""Letters of answer options: A for the first, at most 26 of them."""

from __future__ import annotations

import string

MOST_OPTIONS = len(string.ascii_uppercase)


def letter(index: int) -> str:
    """The letter of an index: A, B, C ... for 0, 1, 2 ..."""
    return string.ascii_uppercase[index]


def index_of(text: str, count: int) -> int | None:
    """Index of a letter among `count` options, in either case: (b), b and B. give 1; None where it names no option.

    >>> index_of("(b)", 2), index_of("c", 2), index_of("ab", 2)
    (1, None, None)
    """
    plain = text.strip(" ().").lower()
    index = string.ascii_lowercase.find(plain) if len(plain) == 1 else -1
    return index if 0 <= index < count else None
