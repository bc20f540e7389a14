"""The stage generate: ask the model all prompts about an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pixfound.config.factory import Parts
from pixfound.interfaces import Load
from pixfound.pipeline.images import read_images
from pixfound.pipeline.run_examples import RunExample, RunExamples, by_length
from pixfound.pipeline.stage_loop import Task
from pixfound.store.records import Value, pack_generation
from pixfound.store.store import Store
from pixfound.types import KINDS, Kind


def generate_tasks(run_examples: RunExamples, store: Store, batch_size: int) -> Iterator[Task[tuple[RunExample, Kind]]]:
    """All prompts of an example go together, and examples about one image, which a model can then encode once."""
    examples_per_batch = max(1, batch_size // len(KINDS))
    for place, run_example in enumerate(by_length(run_examples)):
        for kind in run_example.example.kinds:
            yield Task(
                store,
                run_example.key(kind),
                run_example.generate_digest(kind),
                (run_example, kind),
                place // examples_per_batch,
                kind,
            )


def generate(parts: Parts, batch: Sequence[tuple[RunExample, Kind]]) -> list[Value | Exception]:
    """Ask the model. All prompts about an image are given the same one, read once."""
    model = parts.model.built
    images, errors = read_images((run_example, model) for run_example, _ in batch)
    requests = [
        (images[run_example.index], run_example.prompt(kind))
        for run_example, kind in batch
        if run_example.index in images
    ]
    generations = iter(model.generate(requests) if requests else ())
    outcomes = [
        errors[run_example.index] if run_example.index in errors else next(generations) for run_example, _ in batch
    ]
    return [outcome if isinstance(outcome, Exception) else pack_generation(outcome) for outcome in outcomes]


def generate_load(run_examples: RunExamples, store: Store) -> Load:
    """Return the upper bound of the load still to be sent to the model: requests, characters of the prompts, images.

    Prompts with a stored result are not counted. The true load is smaller where replies are cached.
    """
    load = Load()
    for task in generate_tasks(run_examples, store, 1):
        if not task.done:
            run_example, kind = task.payload
            load += Load(1, len(run_example.prompt(kind).text), 1)
    return load
