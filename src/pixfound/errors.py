"""UserError, shown to the user as one line without a stack trace, and help for error messages."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

_LISTED = 10  # names in a message at most


class UserError(ValueError):
    """An error in the user's input or files; the message says what to do instead."""


class PictureTooNarrow(ValueError):
    """A picture whose shorter side is nothing at the size that a model resizes it to; only that example fails."""


class PromptTooLong(ValueError):
    """A prompt that with its longest answer exceeds the context length of the text decoder; only that example fails."""


def outside_cause(error: BaseException) -> str | None:
    """One line about an error with a cause outside the code: a full disk, a JSON file that is nested too deeply.

    None for any other error.
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
    """A clause for the end of an error message, with the known names nearest to a mistyped one.

    listed: the names to show where none is near; all known names by default. At most ten are shown.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    names = names if listed is None else sorted(listed)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"valid names are {', '.join(names[:_LISTED])}{more}" if names else "there is none to choose from"
