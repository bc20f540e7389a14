"""Printed output: text that a terminal shows and never acts on, in whatever encoding it has."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from typing import Any

from pixfound.io.text import printable


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

    What stdout and stderr cannot encode is written as an escape. What is logged, or warned of, is printable, whoever
    does so: libraries quote configs and data too.
    """
    logging.setLogRecordFactory(_printable_record)
    warnings.formatwarning = _printable_warning
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else the next file to be opened would be the closed stream, and take what is printed
    os.close(nowhere)
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # as long as the process
        elif type(stream) is io.TextIOWrapper:  # a test or a notebook may have put something else there
            lines, through = stream.line_buffering, stream.write_through
            setattr(sys, name, _Output(stream.buffer, stream.encoding, "backslashreplace", None, lines, through))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _printable_record(*arguments: Any, **options: Any) -> logging.LogRecord:
    record = logging.LogRecord(*arguments, **options)
    record.msg, record.args = printable(record.getMessage()), None
    return record


def _printable_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return printable(f"{filename}:{lineno}: {category.__name__}: {message}") + "\n"


def say(text: str, stderr: bool = False) -> None:
    """Print a line that may hold text of models and data, on stdout unless it is about the work and no result."""
    print(printable(text), file=sys.stderr if stderr else sys.stdout, flush=True)


def complain(command: str, message: object) -> None:
    """Say on stderr what the user has to change; a message may have several lines, such as one for each file."""
    print("\n".join(map(printable, f"{command}: {message}".split("\n"))), file=sys.stderr)
