"""The stage grade: open answers, graded by the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pixfound.config.factory import Parts
from pixfound.pipeline.run_examples import RunExample, RunExamples
from pixfound.pipeline.stage_loop import Task
from pixfound.pipeline.stores import TOGETHER, Stores, needed
from pixfound.store.records import Value, value_of


def grade_tasks(items: RunExamples, stores: Stores) -> Iterator[Task[RunExample]]:
    """The open answers, for the judge."""
    for item in items:
        if "open" not in item.example.kinds:
            continue
        said = stores.generation_of(item, "open")
        if said is not None and said.value is not None and not said.value.get("unanswered"):
            yield Task(stores.grade, item.key("open"), item.grade_digest("open"), item, item.index // TOGETHER)


def grade(parts: Parts, stores: Stores, batch: Sequence[RunExample]) -> list[Value | Exception]:
    """Ask the judge."""
    grades = parts.judge.built.grade([(item.example, answer_text(item, stores)) for item in batch])
    return [grade if isinstance(grade, Exception) else Value(grade._asdict()) for grade in grades]


def answer_text(item: RunExample, stores: Stores) -> str:
    """The text of the generation under the open prompt."""
    return str(value_of(needed(stores.generation_of(item, "open"), item, "open"))["text"])
