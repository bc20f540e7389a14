"""The stage grade: open answers, graded by the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pixfound.config.factory import Parts
from pixfound.interfaces import batched
from pixfound.judges.asking import side_by_side
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
    """Ask the judge; one that can take many at once is given the batch."""
    pairs = [(item.example, answer_text(item, stores)) for item in batch]
    judge = parts.judge.built
    many = batched(judge, "grade_many", "grade")
    grades = many(pairs) if many else side_by_side(lambda p: judge.grade(*p), pairs, 1)
    return [
        graded if isinstance(graded, Exception) else Value({"correct": graded[0], "reason": graded[1]})
        for graded in grades
    ]


def answer_text(item: RunExample, stores: Stores) -> str:
    """The text of the generation under the open prompt."""
    return str(value_of(needed(stores.generation_of(item, "open"), item, "open"))["text"])
