"""How much memory Python's objects take."""

from __future__ import annotations

import gc
import pathlib
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def memory() -> Iterator[Callable[[], int]]:
    """What gives the bytes of all objects that were made since and are still there.

    Without those that pathlib makes: it puts names into the interpreter's table of texts, which grows by leaps, as
    suits all else that is in it, and not with the names.
    """
    gc.collect()
    tracemalloc.start()
    try:
        yield _held
    finally:
        tracemalloc.stop()


def _held() -> int:
    gc.collect()
    taken = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, pathlib.__file__)])
    return sum(trace.size for trace in taken.traces)
