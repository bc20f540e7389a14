"""Processes of one run as a launcher starts them, each a fork of this one, which has imported everything already."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import torch


def ranks(count: int, work: Callable[[], object], folder: Path) -> list[str]:
    """What each of `count` processes that do `work()` wrote to stderr; AssertionError with it where one failed.

    folder: an existing one, for a file of each.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = [folder / f"stderr-{rank}" for rank in range(count)]
    children = [_fork(rank, count, port, work, file) for rank, file in enumerate(told)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    texts = [file.read_text(encoding="utf-8") for file in told]
    assert codes == [0] * count, "\n".join(texts)
    return texts


def _fork(rank: int, count: int, port: int, work: Callable[[], object], file: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        stream = file.open("w", encoding="utf-8")
        os.dup2(stream.fileno(), 2)
        sys.stdout = sys.stderr = stream
        os.environ |= {
            **{name: str(rank) for name in ("RANK", "LOCAL_RANK")},
            **{name: str(count) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")},
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        torch.cuda.is_available = lambda: False  # no fork can use it
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
