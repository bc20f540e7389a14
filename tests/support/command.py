"""Commands in the test's own process, which has imported everything already."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from hydra.core.global_hydra import GlobalHydra


class _Written(io.BytesIO):
    """All that was written to a stream, which whoever wraps it closes in the end."""

    def close(self) -> None:
        """Keep it."""


def run_command(
    main: Callable[[], object],
    *arguments: str,
    cwd: Path | None = None,
    encoding: str = "utf-8",
    environment: dict[str, str] | None = None,
) -> CompletedProcess[str]:
    """What `main()` prints and exits with, for a command line of these arguments.

    encoding: of the standard streams. environment: variables beside those of this process.
    """
    written = _Written(), _Written()
    streams = [io.TextIOWrapper(stream, encoding, write_through=True) for stream in written]
    root, code, before = logging.getLogger(), 0, (logging.getLogRecordFactory(), warnings.formatwarning)
    handlers, level = root.handlers[:], root.level
    GlobalHydra.instance().clear()
    try:
        with (
            mock.patch.object(sys, "argv", ["pixfound", *arguments]),
            mock.patch.object(sys, "stdout", streams[0]),
            mock.patch.object(sys, "stderr", streams[1]),
            mock.patch.dict(os.environ, environment or {}),
            chdir(cwd or "."),
        ):
            main()
            sys.stdout.flush()
            sys.stderr.flush()
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 0 if exit.code is None else 1
    finally:
        logging.setLogRecordFactory(before[0])
        warnings.formatwarning = before[1]
        root.handlers[:] = handlers
        root.setLevel(level)
    out, err = (stream.getvalue().decode(encoding) for stream in written)
    return CompletedProcess(arguments, code, out, err)
