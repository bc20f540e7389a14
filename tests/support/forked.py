"""Commands and ranks in processes of their own, each a fork of this one, which has imported everything already."""

from __future__ import annotations

import gc
import logging
import multiprocessing.context
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import TemporaryFile
from typing import Any, Literal

import torch
from hydra.core.global_hydra import GlobalHydra
from tqdm import tqdm

import pixfound.__main__
import pixfound.apps.evaluation
import pixfound.apps.finish
import pixfound.apps.launch


class Forked:
    """A process that does `work()` with these arguments, in a session of its own, with the methods of Popen.

    torch has one thread in it, for a fork waits for ever for threads that its parent had.

    environment: variables beside those of this process. launches: how it starts Python processes of its own; `spawn`
    gives each an interpreter, as without a test, `fork` gives it the imports of this one.
    """

    def __init__(
        self,
        work: Callable[[], object],
        *arguments: str,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        launches: Literal["spawn", "fork"] = "spawn",
    ) -> None:
        self._streams = [TemporaryFile("w+", encoding="utf-8") for _ in range(2)]  # noqa: SIM115
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            code = 1
            try:
                self._prepare(arguments, cwd, environment or {}, launches)
                code = _exit_code(work)
            finally:
                os._exit(code)

    def _prepare(self, arguments: tuple[str, ...], cwd: Path | None, environment: Mapping[str, str], how: str) -> None:
        """Make this process as a new interpreter would be, but for the imports."""
        gc.freeze()  # else the first collection copies every page of this process
        os.setsid()
        os.chdir(cwd or ".")
        os.environ |= environment
        for number, stream in enumerate(self._streams, start=1):
            os.dup2(stream.fileno(), number)
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr = [
            open(number, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
            for number in (1, 2)
        ]
        sys.argv = ["pixfound", *arguments]
        sys.path[:0] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
        sys.modules["__main__"] = pixfound.__main__  # what a spawned process imports first
        logging.getLogger().handlers[:] = []
        for logger in logging.root.manager.loggerDict.values():
            for handler in getattr(logger, "handlers", ()):
                if type(handler) is logging.StreamHandler:
                    handler.setStream(sys.stderr)
        warnings.showwarning = _show
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        GlobalHydra.instance().clear()
        tqdm.set_lock(threading.RLock())  # its own is one of all forks, which one that is killed may hold
        torch.cuda.is_available = lambda: False  # no fork can use it
        torch.set_num_threads(1)
        if how == "fork":
            contexts = multiprocessing.context._concrete_contexts  # type: ignore[attr-defined]
            contexts["spawn"] = contexts["fork"]
            for number, handler in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
                os.register_at_fork(after_in_child=lambda n=number, h=handler: signal.signal(n, h))

    def poll(self) -> int | None:
        """The exit code, None as long as there is none."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float = 300) -> int:
        """The exit code; TimeoutExpired after as many seconds."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutExpired(f"fork {self.pid}", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send it to the process, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """What it wrote to stdout and stderr until its end."""
        self.wait(timeout)
        texts = []
        for stream in self._streams:
            stream.seek(0)
            texts.append(stream.read())
            stream.close()
        return texts[0], texts[1]


def pixfound_forked(*arguments: str, **settings: Any) -> Forked:
    """The command `pixfound` with these arguments. settings: see `Forked`."""
    return Forked(pixfound.__main__.main, *arguments, **settings)


def run_forked(
    *arguments: str, work: Callable[[], object] = pixfound.__main__.main, **settings: Any
) -> CompletedProcess[str]:
    """What a command, `pixfound` unless `work` is another's main(), prints and exits with. settings: see `Forked`."""
    process = Forked(work, *arguments, **settings)
    out, err = process.communicate()
    return CompletedProcess(arguments, process.wait(), out, err)


def ranks(count: int, work: Callable[[], object]) -> list[str]:
    """What each of `count` processes of one run, as a launcher starts them, wrote; AssertionError where one failed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {name: str(count) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")}
    alone = [{name: str(rank) for name in ("RANK", "LOCAL_RANK")} for rank in range(count)]
    processes = [Forked(work, environment={**shared, **own}) for own in alone]
    texts = ["".join(process.communicate()) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, "\n".join(texts)
    return texts


def _show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: str | None = None) -> None:
    """A warning as an interpreter shows it; pytest collects them."""
    print(warnings.formatwarning(message, category, filename, lineno, line), end="", file=file or sys.stderr)


def _exit_code(work: Callable[[], object]) -> int:
    """Do it as an interpreter does its main module."""
    code: object = 0
    try:
        work()
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)
