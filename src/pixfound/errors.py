"""The one error that users see as a line of text instead of a stack trace."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

_LISTED = 10  # names in a message at most


class UserError(ValueError):
    """Something that the user typed or provided is wrong; the message says what to do instead."""


class PromptTooLong(ValueError):
    """A prompt, and the answer it may be given, need more positions than a text decoder has: that example fails."""


def outside_cause(error: BaseException) -> str | None:
    """One line about an error that is no fault of the code: a full disk, a JSON file that is nested too deeply.

    None for any other.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        what = error.filename or "a file"
        return f"{what}: cannot be written ({error.strerror}): make room on the disk, and run the same command again"
    if isinstance(error, RecursionError):
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("json."):
            return "a JSON file that the run reads, such as a model's config.json, is nested too deeply: mend it"
    return None


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
