"""The stage extract: candidates of every extractor from every generation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pixfound.config.factory import Parts
from pixfound.interfaces import Extractor
from pixfound.pipeline.images import read_images
from pixfound.pipeline.run_examples import RunExample, RunExamples, by_image
from pixfound.pipeline.stage_loop import Task
from pixfound.pipeline.stores import Stores, needed
from pixfound.store.records import Value, has_arrays, unpack_generation, value_of
from pixfound.types import Candidate, Generation, Kind


def extract_tasks(run_examples: RunExamples, stores: Stores) -> Iterator[Task[tuple[RunExample, Kind, str]]]:
    """All kinds and extractors of an image go together: it is read and encoded once, and with those of others."""
    for batch, run_example in by_image(run_examples):
        for kind in run_example.mask_kinds:
            record = stores.generation_of(run_example, kind)
            if record is None or record.value is None or record.value.get("ungrounded"):
                continue
            for name, store in stores.extract.items():
                yield Task(
                    store,
                    run_example.key(kind),
                    run_example.extract_digest(kind),
                    (run_example, kind, name),
                    batch,
                    f"{kind} {name}",
                )


def extract(parts: Parts, stores: Stores, batch: Sequence[tuple[RunExample, Kind, str]]) -> list[Value | Exception]:
    """Propose candidates: each extractor is given all of the batch that is its own."""
    images, errors = read_images((run_example, parts.extractors[name].built) for run_example, _, name in batch)
    values: dict[int, Value | Exception] = {
        place: errors[run_example.index]
        for place, (run_example, _, _) in enumerate(batch)
        if run_example.index in errors
    }
    for name in dict.fromkeys(name for _, _, name in batch):
        places = [place for place, task in enumerate(batch) if task[2] == name and place not in values]
        requests = [
            (images[run_example.index], _generation(stores, run_example, kind), run_example.example.expression)
            for run_example, kind, _ in (batch[place] for place in places)
        ]
        extractor = parts.extractors[name].built
        outcomes = extractor.extract(requests) if requests else ()
        for place, (_, generation, _), outcome in zip(places, requests, outcomes, strict=True):
            values[place] = outcome if isinstance(outcome, Exception) else _value(extractor, generation, outcome)
    return [values[place] for place in range(len(batch))]


def _value(extractor: Extractor, generation: Generation, candidates: Sequence[Candidate]) -> Value:
    lacking = "" if candidates else extractor.lacking(generation)
    return Value({"candidates": [c.to_json() for c in candidates], **({"lacking": lacking} if lacking else {})})


def _generation(stores: Stores, run_example: RunExample, kind: Kind) -> Generation:
    record = needed(stores.generation_of(run_example, kind), run_example, kind)
    value = value_of(record)
    return unpack_generation(value, stores.generate.arrays(record) if has_arrays(value) else {})
