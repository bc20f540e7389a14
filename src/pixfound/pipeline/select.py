"""The stage select: a choice among the candidates for every row of the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from pixfound.config.factory import Parts
from pixfound.interfaces import Load
from pixfound.pipeline.grade import answer_text, grade_tasks
from pixfound.pipeline.run_examples import MASK_KINDS, RunExample, RunExamples
from pixfound.pipeline.stage_loop import Task
from pixfound.pipeline.stores import TOGETHER, Stores, needed
from pixfound.store.records import Value, candidates_of
from pixfound.types import Candidate, Choice, Kind

_WORDING = 300  # characters of the judge's instructions


def select_tasks(run_examples: RunExamples, stores: Stores) -> Iterator[Task[tuple[RunExample, Kind, str, str]]]:
    """Every (extractor, selector) of the table's rows; what one selector decides of some examples goes together."""
    by_selector = sorted(stores.select, key=lambda pair: pair[1])
    for first in range(0, len(run_examples), TOGETHER):
        for (extractor, selector), run_example, kind in product(
            by_selector, run_examples[first : first + TOGETHER], MASK_KINDS
        ):
            if kind not in run_example.mask_kinds:
                continue
            if stores.extract[extractor].done(run_example.key(kind), run_example.extract_digest(kind)):
                payload = (run_example, kind, extractor, selector)
                store = stores.select[extractor, selector]
                yield Task(
                    store, run_example.key(kind), run_example.select_digest(kind), payload, (first, selector), kind
                )


def select(parts: Parts, stores: Stores, batch: Sequence[tuple[RunExample, Kind, str, str]]) -> list[Value | Exception]:
    """Choose among candidates. All of a batch are decided by one selector."""
    requests = [
        (run_example.example, _candidates(run_example, kind, extractor, stores), kind)
        for run_example, kind, extractor, _ in batch
    ]
    choices = parts.selectors[batch[0][3]].built.select(requests)
    return [choice if isinstance(choice, Exception) else _chosen(choice) for choice in choices]


def _candidates(run_example: RunExample, kind: Kind, extractor: str, stores: Stores) -> list[Candidate]:
    return candidates_of(needed(stores.candidates_of(run_example, kind, extractor), run_example, kind))


def _chosen(choice: Choice) -> Value:
    data = {"kind": choice.kind, "index": choice.index, "reason": choice.reason}
    return Value({**data, "about": choice.about} if choice.about else data)


def judge_load(run_examples: RunExamples, parts: Parts, stores: Stores) -> Load:
    """Return the upper bound of the load that grading and selection are still to send to the judge.

    Tasks with a stored result are not counted. The true load is smaller where replies are cached.
    """
    load = Load()
    for task in grade_tasks(run_examples, stores):
        if not task.done:
            texts = (task.payload.example.question, *task.payload.example.options, answer_text(task.payload, stores))
            load += Load(1, _WORDING + sum(map(len, texts)))
    asking = {name: part.built for name, part in parts.selectors.items() if part.built.uses_judge}
    for choice in select_tasks(run_examples, stores) if asking else ():
        run_example, kind, extractor, selector = choice.payload
        if selector in asking and not choice.done:
            load += asking[selector].judge_load(run_example.example, _candidates(run_example, kind, extractor, stores))
    return load
