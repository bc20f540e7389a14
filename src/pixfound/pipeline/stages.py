"""What the stages compute: their tasks, and how a batch of tasks becomes values.

Every stage reads the records of the one before it, by key and digest, and never looks at positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from PIL import Image

from pixfound.interfaces import (
    AsksJudge,
    ChoosesByKind,
    ExplainsNothing,
    Load,
    Selector,
    batched,
)
from pixfound.judges.asking import side_by_side
from pixfound.pipeline.images import read_images
from pixfound.pipeline.items import MASK_KINDS, Item, Items, by_image, by_length
from pixfound.pipeline.parts import Parts
from pixfound.pipeline.records import candidates_of, pack_generation, unpack_generation, value_of
from pixfound.pipeline.stage import Task, Value
from pixfound.pipeline.store import Record, Store
from pixfound.types import KINDS, Candidate, Choice, Generation, Kind

_WORDING = 300  # characters of the judge's instructions
_TOGETHER = 16  # examples that go to a judge, or to a selector, together


@dataclass(frozen=True)
class Stores:
    """The stores of a run's stages. extract: per extractor; select: per (extractor, selector)."""

    generate: Store
    grade: Store
    extract: Mapping[str, Store]
    select: Mapping[tuple[str, str], Store]

    def of(self, stage: str) -> list[Store]:
        """The stores that a stage writes."""
        found = getattr(self, stage)
        return [found] if isinstance(found, Store) else list(dict.fromkeys(found.values()))

    def all(self) -> list[Store]:
        """Every store once."""
        return [self.generate, self.grade, *self.extract.values(), *self.select.values()]


def generate_tasks(items: Items, store: Store, batch_size: int) -> Iterator[Task[tuple[Item, Kind]]]:
    """All prompts of an example go together, and examples about one image, which a model can then encode once."""
    examples = max(1, batch_size // len(KINDS))
    for place, item in enumerate(by_length(items)):
        for kind in KINDS:
            yield Task(store, item.key(kind), item.asked(kind), (item, kind), place // examples, kind)


def generate(parts: Parts, batch: Sequence[tuple[Item, Kind]]) -> list[Value | Exception]:
    """Ask the model. All prompts about an image are given the same one, read once."""
    model = parts.model.built
    images, errors = read_images((item, model) for item, _ in batch)
    requests = [(images[item.index], item.prompt(kind)) for item, kind in batch if item.index in images]
    ask = batched(model, "generate_many", "generate") or model.generate
    said = iter(ask(requests) if requests else ())
    found = [errors[item.index] if item.index in errors else next(said) for item, _ in batch]
    return [one if isinstance(one, Exception) else pack_generation(one) for one in found]


def generate_load(items: Items, store: Store) -> Load:
    """What is still going to be asked of the model, at most: replies may be cached."""
    load = Load()
    for task in generate_tasks(items, store, 1):
        if not task.done:
            item, kind = task.payload
            load += Load(1, len(item.prompt(kind).text), 1)
    return load


def extract_tasks(items: Items, stores: Stores) -> Iterator[Task[tuple[Item, Kind, str]]]:
    """All kinds and extractors of an image go together: it is read and encoded once, and with those of others."""
    for batch, item in by_image(items):
        for kind in MASK_KINDS:
            said = stores.generate.get(item.key(kind), item.asked(kind))
            if said is None or said.value is None or said.value.get("ungrounded"):
                continue
            for name, store in stores.extract.items():
                yield Task(store, item.key(kind), item.seen(kind), (item, kind, name), batch, f"{kind} {name}")


def extract(parts: Parts, stores: Stores, batch: Sequence[tuple[Item, Kind, str]]) -> list[Value | Exception]:
    """Propose candidates. An extractor that can look at many at once is given all of the batch that is its; the others
    take turns about each image, for some share a model that keeps what it said of the last one.
    """
    images, errors = read_images((item, parts.extractors[name].built) for item, _, name in batch)

    def request(item: Item, kind: Kind) -> tuple[Image.Image, Generation, str]:
        said = _generation(_found(stores.generate, item.key(kind), item.asked(kind)), stores.generate)
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


def grade_tasks(items: Items, stores: Stores) -> Iterator[Task[Item]]:
    """The open answers, for the judge."""
    for item in items:
        said = stores.generate.get(item.key("open"), item.asked("open"))
        if said is not None and said.value is not None and not said.value.get("unanswered"):
            yield Task(stores.grade, item.key("open"), item.graded("open"), item, item.index // _TOGETHER)


def grade(parts: Parts, stores: Stores, batch: Sequence[Item]) -> list[Value | Exception]:
    """Ask the judge; one that can take many at once is given the batch."""
    pairs = [(item.example, _answer(item, stores)) for item in batch]
    judge = parts.judge.built
    many = batched(judge, "grade_many", "grade")
    grades = many(pairs) if many else side_by_side(lambda p: judge.grade(*p), pairs, 1)
    return [
        graded if isinstance(graded, Exception) else Value({"correct": graded[0], "reason": graded[1]})
        for graded in grades
    ]


def _answer(item: Item, stores: Stores) -> str:
    return str(value_of(_found(stores.generate, item.key("open"), item.asked("open")))["text"])


def select_tasks(items: Items, stores: Stores) -> Iterator[Task[tuple[Item, Kind, str, str]]]:
    """Every (extractor, selector) of the table's rows; what one selector decides of some examples goes together."""
    by_selector = sorted(stores.select, key=lambda pair: pair[1])
    for first in range(0, len(items), _TOGETHER):
        for (extractor, selector), item, kind in product(by_selector, items[first : first + _TOGETHER], MASK_KINDS):
            if stores.extract[extractor].done(item.key(kind), item.seen(kind)):
                payload = (item, kind, extractor, selector)
                store = stores.select[extractor, selector]
                yield Task(store, item.key(kind), item.whole(kind), payload, (first, selector), kind)


def select(parts: Parts, stores: Stores, batch: Sequence[tuple[Item, Kind, str, str]]) -> list[Value | Exception]:
    """Choose among candidates; a selector that can decide about many at once is given the batch."""
    selector: Selector = parts.selectors[batch[0][3]].built
    requests = [(item.example, _candidates(item, kind, extractor, stores)) for item, kind, extractor, _ in batch]
    many = batched(selector, "choose_many", "choose")
    if many:
        choices = many(requests)
    elif isinstance(selector, ChoosesByKind):
        choices = [selector.choose_for(kind, *req) for (_, kind, _, _), req in zip(batch, requests, strict=True)]
    else:
        choices = [selector.choose(*request) for request in requests]
    return [choice if isinstance(choice, Exception) else _chosen(choice) for choice in choices]


def _candidates(item: Item, kind: Kind, extractor: str, stores: Stores) -> list[Candidate]:
    return candidates_of(_found(stores.extract[extractor], item.key(kind), item.seen(kind)))


def _chosen(choice: Choice) -> Value:
    data = {"kind": choice.kind, "index": choice.index, "reason": choice.reason}
    return Value({**data, "about": choice.about} if choice.about else data)


def judge_load(items: Items, parts: Parts, stores: Stores) -> Load:
    """What grading and selection are still going to ask of the judge, at most: replies may be cached."""
    load = Load()
    for task in grade_tasks(items, stores):
        if not task.done:
            texts = (task.payload.example.question, *task.payload.example.options, _answer(task.payload, stores))
            load += Load(1, _WORDING + sum(map(len, texts)))
    asking = {name: part.built for name, part in parts.selectors.items() if isinstance(part.built, AsksJudge)}
    for choice in select_tasks(items, stores) if asking else ():
        item, kind, extractor, selector = choice.payload
        if selector in asking and not choice.done:
            load += asking[selector].load(item.example, _candidates(item, kind, extractor, stores))
    return load


def _found(store: Store, key: str, digest: str) -> Record:
    """A record that a task was made of, read only now: many tasks wait at once."""
    record = store.get(key, digest)
    if record is None:
        raise LookupError(f"{store.folder} has no record of {key} any more: run the same command again")
    return record
