"""The loop that every stage shares: skip what is done, compute in batches, keep failures as records."""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from pixfound.errors import UserError
from pixfound.io.text import printable
from pixfound.pipeline.distributed import World
from pixfound.store.records import Value
from pixfound.store.store import Record, Store

T = TypeVar("T")
log = logging.getLogger(__name__)
_NAMED = 3  # of the places where one thing failed
_ITS_OWN = re.compile(r"\([^()]*\)|'[^']*'|\"[^\"]*\"|\d+|\s")  # what the reasons of one cause may differ in


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """One thing to compute. key and digest: of its record, in `store`. Tasks of one `batch` go together.

    part: what the task is one of, in every batch alike, such as a kind of prompt.
    """

    store: Store
    key: str
    digest: str
    payload: T
    batch: Hashable
    part: str = ""

    @property
    def done(self) -> bool:
        """True if the result of the task is stored; a stored failure is no result."""
        return self.store.done(self.key, self.digest)


@dataclass
class Budget:
    """Budget of failed examples. One for all stages of a process; more than `max_failures` raise UserError."""

    max_failures: int
    failures: int = 0

    def spend(self, key: str, stage: str, error: BaseException) -> None:
        """Count a failure; too many of them end the run."""
        self.failures += 1
        if self.failures > self.max_failures:
            raise UserError(
                f"more than max_failures={self.max_failures} examples failed; the last was {key} in stage {stage}: "
                f"{describe(error)}. What is done is kept: fix the cause and run the same command again"
            ) from error


def run_stage(
    name: str,
    tasks: Callable[[], Iterable[Task[T]]],
    compute: Callable[[Sequence[T]], Sequence[Value | Exception]],
    world: World,
    budget: Budget,
    begin: Callable[[], None] = lambda: None,
) -> None:
    """Compute the missing results of a stage, together with the other processes.

    A batch is always computed as a whole, so that its results do not depend on where an earlier run was interrupted.
    Prompt kinds complete in every batch are skipped, so editing one template does not regenerate the others.
    tasks: yields the same tasks at each call, those of a batch one after another. It is called twice, as all tasks
    together may not fit into memory.
    compute: payloads of a batch -> their values in order, with an exception for each failure. Where it raises, for
    example for lack of memory, the batch is halved until a part passes or is a single task, which is recorded with the
    reason. A UserError is no failure of an example: it is raised.
    begin: called first where anything is missing.
    """
    work = _Work.of(_batches(tasks()))
    if work.numbers:
        begin()
    missing, reached = work.missing(tasks), 0
    halved: Counter[str] = Counter()
    with (
        _logged_at_the_end(name) as lost,
        tqdm(total=work.total, initial=work.done, desc=f"{name:<9}", unit="", disable=not world.first) as bar,
    ):
        for number in world.claim(name, len(work.numbers)):
            for skipped in islice(missing, number - reached):
                bar.update(len(skipped))
            batch, reached = next(missing), number + 1
            failed: list[tuple[str, Exception]] = []
            for task, outcome in zip(batch, _outcomes(name, batch, compute, halved), strict=True):
                if task.done:
                    pass
                elif isinstance(outcome, Value):
                    task.store.append(Record(task.key, task.digest, outcome.data), outcome.arrays)
                else:
                    task.store.append(Record(task.key, task.digest, None, describe(outcome)))
                    lost.append((task.key, describe(outcome)))
                    bar.set_postfix(failed=len(lost), refresh=False)
                    failed.append((task.key, outcome))
                bar.update()
            for key, error in failed:  # after the whole batch is written
                budget.spend(key, name, error)
    for cause, count in halved.items():
        if count > 1:
            log.warning("%s: %d batches were halved: %s", name, count, cause)


@contextmanager
def _logged_at_the_end(name: str) -> Iterator[list[tuple[str, str]]]:
    """A list for (key, why) of what fails in a stage; logged by cause when the stage ends in any way."""
    lost: list[tuple[str, str]] = []
    try:
        yield lost
    finally:
        for line in by_cause(lost):
            log.warning("%s: %s", name, printable(line))


def by_cause(failures: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each cause, with how often and where. failures: (where, why).

    Of one cause are reasons that differ in what they quote, in numbers and in brackets only.
    """
    places_by_cause: dict[str, tuple[str, list[str]]] = {}
    for where, why in failures:
        places_by_cause.setdefault(_ITS_OWN.sub("", why), (why, []))[1].append(where)
    lines = []
    for why, places in places_by_cause.values():
        more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        lines.append(f"{len(places)} failed ({', '.join(places[:_NAMED])}{more}): {why}")
    return lines


@dataclass(frozen=True)
class _Work:
    """Selection of the tasks to compute: those of `parts` in the batches of `numbers`.

    total: number of all tasks. done: number of the tasks that are not computed.
    """

    numbers: frozenset[int]
    parts: frozenset[str]
    total: int
    done: int

    @staticmethod
    def of(batches: Iterable[Sequence[Task[Any]]]) -> _Work:
        """The batches in which anything is missing, and the parts that any of them lacks."""
        numbers, lacking, total = set(), set(), 0
        sizes: Counter[str] = Counter()  # tasks of each part in these batches
        for number, batch in enumerate(batches):
            total += len(batch)
            if missing := {task.part for task in batch if not task.done}:
                numbers.add(number)
                lacking |= missing
                sizes.update(task.part for task in batch)
        parts = lacking if len(numbers) > 1 else set(sizes)  # a single one may be where a run was cut off
        return _Work(frozenset(numbers), frozenset(parts), total, total - sum(sizes[part] for part in parts))

    def missing(self, tasks: Callable[[], Iterable[Task[T]]]) -> Iterator[list[Task[T]]]:
        """Yield the tasks to compute of each selected batch, in the order of the batches."""
        for number, batch in enumerate(_batches(tasks())):
            if number in self.numbers:
                yield [task for task in batch if task.part in self.parts]


def _batches(tasks: Iterable[Task[T]]) -> Iterator[list[Task[T]]]:
    return (list(batch) for _, batch in groupby(tasks, key=attrgetter("batch")))


def describe(error: BaseException) -> str:
    """An error as one line, without characters that a terminal would act on: it may quote a server or a model."""
    words = "".join(c if c.isprintable() or c.isspace() else " " for c in str(error)).split()
    return f"{type(error).__name__}: {' '.join(words)}"[:500]


def _outcomes(
    stage: str,
    batch: Sequence[Task[T]],
    compute: Callable[[Sequence[T]], Sequence[Value | Exception]],
    halved: Counter[str],
) -> list[Value | Exception]:
    """Return the value of each task, or the exception that it failed with, in the order of the batch.

    halved: number of batches halved so far, by cause; counted up here. The first batch of each cause is logged at once.
    A UserError is raised, not returned.
    """
    try:
        return list(compute([task.payload for task in batch]))
    except UserError:
        raise
    except Exception as error:
        if len(batch) == 1:
            return [error]
        cause = re.sub(r"\d[\d.]*", "N", describe(error))  # sizes and places differ
        halved[cause] += 1
        if halved[cause] == 1:
            log.warning("%s: a batch of %d is halved and tried again: %s", stage, len(batch), describe(error))
    _free_memory()
    half = len(batch) // 2
    parts = (batch[:half], batch[half:])
    return [outcome for part in parts for outcome in _outcomes(stage, part, compute, halved)]


def _free_memory() -> None:
    """Release the GPU memory that a failed batch left in torch's cache, before the next try."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
