"""What is printed: text that a terminal shows and never acts on, in whatever encoding it has."""

from __future__ import annotations

import sys

from pixfound.report.text import printable


def prepare() -> None:
    """From now on what stdout and stderr cannot encode is written as an escape: no run ends for want of a character."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a test or a notebook may have put something else there
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a line that may hold text of models and data."""
    print(printable(text))


def complain(command: str, message: object) -> None:
    """Say on stderr what the user has to change; a message may have several lines, such as one for each file."""
    print("\n".join(map(printable, f"{command}: {message}".split("\n"))), file=sys.stderr)
