"""The one error that users see as a line of text instead of a stack trace."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 10  # names in a message at most


class UserError(ValueError):
    """Something that the user typed or provided is wrong; the message says what to do instead."""


class PromptTooLong(ValueError):
    """A prompt, and the answer it may be given, need more positions than a text decoder has: that example fails."""


def nearest(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """A clause with the known names nearest to a mistyped one, ready to end a message with.

    listed: the names to show where none is near; all that are known by default. At most ten are shown.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    names = names if listed is None else sorted(listed)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"valid names are {', '.join(names[:_LISTED])}{more}" if names else "there is none to choose from"
