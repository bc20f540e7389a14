"""The one error that users see as a line of text instead of a stack trace."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something that the user typed or provided is wrong; the message says what to do instead."""


class PromptTooLong(ValueError):
    """A prompt, and the answer it may be given, need more positions than a text decoder has: that example fails."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause with the known names nearest to a mistyped one, ready to end a message with."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"valid names are {', '.join(names)}" if names else "there is none to choose from"
