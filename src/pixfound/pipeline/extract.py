"""The stage extract: candidates of every extractor from every generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from PIL import Image

from pixfound.config.factory import Parts
from pixfound.interfaces import ExplainsNothing, batched
from pixfound.pipeline.images import read_images
from pixfound.pipeline.run_examples import RunExample, RunExamples, by_image
from pixfound.pipeline.stage_loop import Task
from pixfound.pipeline.stores import Stores, needed
from pixfound.store.records import Value, unpack_generation, value_of
from pixfound.store.store import Record, Store
from pixfound.types import Candidate, Generation, Kind


def extract_tasks(items: RunExamples, stores: Stores) -> Iterator[Task[tuple[RunExample, Kind, str]]]:
    """All kinds and extractors of an image go together: it is read and encoded once, and with those of others."""
    for batch, item in by_image(items):
        for kind in item.mask_kinds:
            said = stores.generation_of(item, kind)
            if said is None or said.value is None or said.value.get("ungrounded"):
                continue
            for name, store in stores.extract.items():
                yield Task(
                    store, item.key(kind), item.extract_digest(kind), (item, kind, name), batch, f"{kind} {name}"
                )


def extract(parts: Parts, stores: Stores, batch: Sequence[tuple[RunExample, Kind, str]]) -> list[Value | Exception]:
    """Propose candidates. An extractor that can look at many at once is given all of the batch that is its; the others
    take turns about each image, for some share a model that keeps what it said of the last one.
    """
    images, errors = read_images((item, parts.extractors[name].built) for item, _, name in batch)

    def request(item: RunExample, kind: Kind) -> tuple[Image.Image, Generation, str]:
        said = _generation(needed(stores.generation_of(item, kind), item, kind), stores.generate)
        return images[item.index], said, item.example.expression

    found: dict[int, list[Candidate]] = {}
    together: dict[str, tuple[Callable[[Sequence[Any]], list[list[Candidate]]], list[int]]] = {}
    for place, (item, kind, name) in enumerate(batch):
        extractor = parts.extractors[name].built
        if item.index in errors:
            continue
        if many := batched(extractor, "candidates_many", "candidates"):
            together.setdefault(name, (many, []))[1].append(place)
        else:
            found[place] = extractor.candidates(*request(item, kind))
    for many, places in together.values():
        requests = [request(item, kind) for item, kind, _ in (batch[place] for place in places)]
        found |= zip(places, many(requests), strict=True)
    values: list[Value | Exception] = []
    for place, (item, kind, name) in enumerate(batch):
        if place not in found:
            values.append(errors[item.index])
            continue
        extractor, lacking = parts.extractors[name].built, ""
        if not found[place] and isinstance(extractor, ExplainsNothing):
            lacking = extractor.lacking(request(item, kind)[1])
        candidates = [candidate.to_json() for candidate in found[place]]
        values.append(Value({"candidates": candidates, **({"lacking": lacking} if lacking else {})}))
    return values


def _generation(said: Record, store: Store) -> Generation:
    value = value_of(said)
    return unpack_generation(value, store.arrays(said) if value["captured"] else {})
