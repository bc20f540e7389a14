"""What is printed: text that a terminal shows and never acts on, in whatever encoding it has."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from pixfound.report.text import printable


class _Output(io.TextIOWrapper):
    """A standard stream whose reader may leave (`| head`): what comes then is dropped, and no run ends."""

    def write(self, text: str, /) -> int:
        """Write a text, or drop it."""
        try:
            return super().write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Flush, or drop what is left."""
        try:
            super().flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """Lead the descriptor nowhere: what libraries and child processes write to it, too."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def prepare() -> None:
    """From now on no run ends for want of a character, of a reader, or of a stream that was closed (`2>&-`).

    What stdout and stderr cannot encode is written as an escape.
    """
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else the next file to be opened would be the closed stream, and take what is printed
    os.close(nowhere)
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # as long as the process
        elif type(stream) is io.TextIOWrapper:  # a test or a notebook may have put something else there
            lines = stream.line_buffering
            setattr(sys, name, _Output(stream.buffer, stream.encoding, "backslashreplace", line_buffering=lines))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a line that may hold text of models and data."""
    print(printable(text))


def complain(command: str, message: object) -> None:
    """Say on stderr what the user has to change; a message may have several lines, such as one for each file."""
    print("\n".join(map(printable, f"{command}: {message}".split("\n"))), file=sys.stderr)
