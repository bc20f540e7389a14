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


def generate_tasks(items: RunExamples, store: Store, batch_size: int) -> Iterator[Task[tuple[RunExample, Kind]]]:
    """All prompts of an example go together, and examples about one image, which a model can then encode once."""
    examples = max(1, batch_size // len(KINDS))
    for place, item in enumerate(by_length(items)):
        for kind in item.example.kinds:
            yield Task(store, item.key(kind), item.generate_digest(kind), (item, kind), place // examples, kind)


def generate(parts: Parts, batch: Sequence[tuple[RunExample, Kind]]) -> list[Value | Exception]:
    """Ask the model. All prompts about an image are given the same one, read once."""
    model = parts.model.built
    images, errors = read_images((item, model) for item, _ in batch)
    requests = [(images[item.index], item.prompt(kind)) for item, kind in batch if item.index in images]
    generations = iter(model.generate(requests) if requests else ())
    outcomes = [errors[item.index] if item.index in errors else next(generations) for item, _ in batch]
    return [one if isinstance(one, Exception) else pack_generation(one) for one in outcomes]


def generate_load(items: RunExamples, store: Store) -> Load:
    """Return the upper bound of the load still to be sent to the model: requests, characters of the prompts, images.

    Prompts with a stored result are not counted. The true load is smaller where replies are cached.
    """
    load = Load()
    for task in generate_tasks(items, store, 1):
        if not task.done:
            item, kind = task.payload
            load += Load(1, len(item.prompt(kind).text), 1)
    return load
