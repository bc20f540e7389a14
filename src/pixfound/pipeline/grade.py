"""The stage grade: open answers, graded by the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pixfound.config.factory import Parts
from pixfound.pipeline.run_examples import RunExample, RunExamples
from pixfound.pipeline.stage_loop import Task
from pixfound.pipeline.stores import TOGETHER, Stores, needed
from pixfound.store.records import Value, value_of


def grade_tasks(run_examples: RunExamples, stores: Stores) -> Iterator[Task[RunExample]]:
    """The open answers, for the judge."""
    for run_example in run_examples:
        if "open" not in run_example.example.kinds:
            continue
        record = stores.generation_of(run_example, "open")
        if record is not None and record.value is not None and not record.value.get("unanswered"):
            yield Task(
                stores.grade,
                run_example.key("open"),
                run_example.grade_digest("open"),
                run_example,
                run_example.index // TOGETHER,
            )


def grade(parts: Parts, stores: Stores, batch: Sequence[RunExample]) -> list[Value | Exception]:
    """Ask the judge."""
    grades = parts.judge.built.grade([(run_example.example, answer_text(run_example, stores)) for run_example in batch])
    return [grade if isinstance(grade, Exception) else Value(grade._asdict()) for grade in grades]


def answer_text(run_example: RunExample, stores: Stores) -> str:
    """The text of the generation under the open prompt."""
    return str(value_of(needed(stores.generation_of(run_example, "open"), run_example, "open"))["text"])
