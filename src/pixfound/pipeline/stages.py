"""What the stages compute: their tasks, and how a batch of tasks becomes values.

Every stage reads the records of the one before it, by key and digest, and never looks at positions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import (
    AsksJudge,
    ChoosesMany,
    Extractor,
    ExtractsMany,
    GeneratesMany,
    GradesMany,
    Load,
    Selector,
)
from pixfound.pipeline.parts import Parts
from pixfound.pipeline.records import pack_generation, unpack_generation
from pixfound.pipeline.stage import Task, Value
from pixfound.pipeline.store import Record, Store, digest_of
from pixfound.types import KINDS, Candidate, Choice, Example, Generation, Kind, Prompt

log = logging.getLogger(__name__)
_WORDING = 300  # characters of the judge's instructions
_PICTURED = 8  # examples whose masks are proposed together, or all about one image where those are more
_TOGETHER = 16  # examples that go to a judge, or to a selector, together
MASK_KINDS: tuple[Kind, ...] = ("open", "ground")  # the choice prompt is answered by a letter: no masks


@dataclass(frozen=True)
class Item:
    """An example with its prompts and the digest of its image ("unreadable" where that cannot be read)."""

    index: int
    example: Example
    prompts: Mapping[Kind, Prompt]
    image_digest: str

    def key(self, kind: Kind) -> str:
        """The key of all records about this example and kind."""
        return f"{self.example.id}/{kind}/{self.prompts[kind].variant}"

    def asked(self, kind: Kind) -> str:
        """Digest of what the model is shown."""
        return self._digests[kind].asked

    def seen(self, kind: Kind) -> str:
        """Digest of what an extractor is given."""
        return self._digests[kind].seen

    def whole(self, kind: Kind) -> str:
        """Digest of what a selector is given, the truth for the oracle too."""
        return self._digests[kind].whole

    def graded(self, kind: Kind) -> str:
        """Digest of what a judge is given."""
        return self._digests[kind].graded

    @cached_property
    def _digests(self) -> Mapping[Kind, _Digests]:
        example, found = self.example, {}
        for kind, prompt in self.prompts.items():
            asked = digest_of(self.image_digest, prompt.text)
            seen = digest_of(asked, example.expression)
            whole = digest_of(seen, example.id, example.gt_mask.to_json())
            graded = digest_of(asked, example.question, list(example.options), example.answer)
            found[kind] = _Digests(asked, seen, whole, graded)
        return found


@dataclass(frozen=True, slots=True)
class _Digests:
    """Those of one kind of prompt; every stage asks for them, so they are made once."""

    asked: str
    seen: str
    whole: str
    graded: str


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


def make_items(examples: Sequence[Example], parts: Parts) -> list[Item]:
    """The examples with their prompts and digests."""
    prompts = parts.prompts.built
    return [
        Item(i, example, {kind: prompts.prompt(example, kind) for kind in KINDS}, image_digest(example))
        for i, example in enumerate(examples)
    ]


def image_digest(example: Example) -> str:
    """The digest of an example's image; a fixed word where it cannot be read, so that mending it is noticed."""
    try:
        return example.image.digest()
    except OSError:
        return "unreadable"


def generate_tasks(items: Sequence[Item], store: Store, batch_size: int) -> Iterator[Task[tuple[Item, Kind]]]:
    """All prompts of an example go together, and examples about one image, which a model can then encode once."""
    examples = max(1, batch_size // len(KINDS))
    for place, item in enumerate(by_length(items)):
        for kind in KINDS:
            yield Task(store, item.key(kind), item.asked(kind), (item, kind), place // examples, kind)


def by_length(items: Sequence[Item]) -> list[Item]:
    """Items that make like numbers of tokens side by side, so that a batch holds little padding.

    That is by pixels, then by the length of the prompts; what is about one image stays together.
    """
    longest: dict[str, int] = {}
    for item in items:
        length = sum(len(prompt.text) for prompt in item.prompts.values())
        longest[item.image_digest] = max(length, longest.get(item.image_digest, 0))

    def order(item: Item) -> tuple[int, int, str, int]:
        height, width = item.example.gt_mask.size
        return height * width, longest[item.image_digest], item.image_digest, item.index

    return sorted(items, key=order)


def generate(parts: Parts, batch: Sequence[tuple[Item, Kind]]) -> list[Value | Exception]:
    """Ask the model. All prompts about an image are given the same one, read once."""
    model = parts.model.built
    images = {item.index: picture(item.example, model) for item in {item.index: item for item, _ in batch}.values()}
    requests = [(images[item.index], item.prompts[kind]) for item, kind in batch]
    said = model.generate_many(requests) if isinstance(model, GeneratesMany) else model.generate(requests)
    return [found if isinstance(found, Exception) else pack_generation(found) for found in said]


def generate_load(items: Sequence[Item], store: Store) -> Load:
    """What is still going to be asked of the model, at most: replies may be cached."""
    open_tasks = [task for task in generate_tasks(items, store, 1) if not task.done]
    characters = sum(len(item.prompts[kind].text) for item, kind in (task.payload for task in open_tasks))
    return Load(len(open_tasks), characters, len(open_tasks))


def extract_tasks(items: Sequence[Item], stores: Stores) -> Iterator[Task[tuple[Item, Kind, str]]]:
    """All kinds and extractors of an image go together: it is read and encoded once, and with those of others."""
    for batch, item in by_image(items):
        for kind in MASK_KINDS:
            said = stores.generate.get(item.key(kind), item.asked(kind))
            if said is None or said.value is None or said.value.get("ungrounded"):
                continue
            for name, store in stores.extract.items():
                yield Task(store, item.key(kind), item.seen(kind), (item, kind, name), batch, f"{kind} {name}")


def by_image(items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """Items with the number of their batch. Images come in the order of the items, and none is in two batches."""
    images: dict[str, list[Item]] = {}
    for item in items:
        images.setdefault(item.image_digest, []).append(item)
    batch, room = 0, _PICTURED
    for about in images.values():
        if len(about) > room and room < _PICTURED:
            batch, room = batch + 1, _PICTURED
        room -= len(about)
        yield from ((batch, item) for item in about)


def extract(parts: Parts, stores: Stores, batch: Sequence[tuple[Item, Kind, str]]) -> list[Value | Exception]:
    """Propose candidates; an extractor that can look at many at once is given all of the batch that is its."""
    images, errors = _pictures(parts, batch)
    by_extractor: dict[str, list[int]] = {}
    values: dict[int, Value | Exception] = {}
    for place, (item, _, name) in enumerate(batch):
        if item.index in errors:
            values[place] = errors[item.index]
        else:
            by_extractor.setdefault(name, []).append(place)
    for name, places in by_extractor.items():
        requests = []
        for item, kind, _ in (batch[place] for place in places):
            said = _generation(_found(stores.generate, item.key(kind), item.asked(kind)), stores.generate)
            requests.append((images[item.index], said, item.example.expression))
        found = _candidates_many(parts.extractors[name].built, requests)
        for place, candidates in zip(places, found, strict=True):
            values[place] = Value({"candidates": [candidate.to_json() for candidate in candidates]})
    return [values[place] for place in range(len(batch))]


def _pictures(
    parts: Parts, batch: Sequence[tuple[Item, Kind, str]]
) -> tuple[dict[int, Image.Image], dict[int, Exception]]:
    """The image of each example by its index, or why it cannot be had: that is no failure of the others."""
    users: dict[int, tuple[Example, list[Extractor]]] = {}
    for item, _, name in batch:
        users.setdefault(item.index, (item.example, []))[1].append(parts.extractors[name].built)
    images: dict[int, Image.Image] = {}
    errors: dict[int, Exception] = {}
    for index, (example, built) in users.items():
        try:
            images[index] = picture(example, *built)
        except (UserError, MemoryError):
            raise
        except Exception as error:
            errors[index] = error
    return images, errors


def _generation(said: Record, store: Store) -> Generation:
    value = _value(said)
    return unpack_generation(value, store.arrays(said) if value["captured"] else {})


def _candidates_many(
    extractor: Extractor, requests: Sequence[tuple[Image.Image, Generation, str]]
) -> list[list[Candidate]]:
    if isinstance(extractor, ExtractsMany):
        return extractor.candidates_many(requests)
    return [extractor.candidates(*request) for request in requests]


def grade_tasks(items: Sequence[Item], stores: Stores) -> Iterator[Task[Item]]:
    """The open answers, for the judge."""
    for item in items:
        said = stores.generate.get(item.key("open"), item.asked("open"))
        if said is not None and said.value is not None and not said.value.get("unanswered"):
            yield Task(stores.grade, item.key("open"), item.graded("open"), item, item.index // _TOGETHER)


def grade(parts: Parts, stores: Stores, batch: Sequence[Item]) -> list[Value | Exception]:
    """Ask the judge; one that can take many at once is given the batch."""
    pairs = [(item.example, _answer(item, stores)) for item in batch]
    judge = parts.judge.built
    many = judge.grade_many(pairs) if isinstance(judge, GradesMany) else [judge.grade(*pair) for pair in pairs]
    return [
        graded if isinstance(graded, Exception) else Value({"correct": graded[0], "reason": graded[1]})
        for graded in many
    ]


def _answer(item: Item, stores: Stores) -> str:
    return str(_value(_found(stores.generate, item.key("open"), item.asked("open")))["text"])


def select_tasks(items: Sequence[Item], stores: Stores) -> Iterator[Task[tuple[Item, Kind, str, str]]]:
    """Every (extractor, selector) of the table's rows."""
    for item in items:
        for kind in MASK_KINDS:
            for (extractor, selector), store in stores.select.items():
                if stores.extract[extractor].done(item.key(kind), item.seen(kind)):
                    batch = (item.index // _TOGETHER, selector)
                    payload = (item, kind, extractor, selector)
                    yield Task(store, item.key(kind), item.whole(kind), payload, batch, kind)


def select(parts: Parts, stores: Stores, batch: Sequence[tuple[Item, Kind, str, str]]) -> list[Value | Exception]:
    """Choose among candidates; a selector that can decide about many at once is given the batch."""
    selector: Selector = parts.selectors[batch[0][3]].built
    requests = [(item.example, _candidates(item, kind, extractor, stores)) for item, kind, extractor, _ in batch]
    if isinstance(selector, ChoosesMany):
        choices = selector.choose_many(requests)
    else:
        choices = [selector.choose(*request) for request in requests]
    return [choice if isinstance(choice, Exception) else _chosen(choice) for choice in choices]


def _candidates(item: Item, kind: Kind, extractor: str, stores: Stores) -> list[Candidate]:
    return candidates_of(_found(stores.extract[extractor], item.key(kind), item.seen(kind)))


def _chosen(choice: Choice) -> Value:
    data = {"kind": choice.kind, "index": choice.index, "reason": choice.reason}
    return Value({**data, "about": choice.about} if choice.about else data)


def judge_load(items: Sequence[Item], parts: Parts, stores: Stores) -> Load:
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


def candidates_of(record: Record) -> list[Candidate]:
    """The candidates of an extract record."""
    return [Candidate.from_json(data) for data in _value(record)["candidates"]]


def _found(store: Store, key: str, digest: str) -> Record:
    """A record that a task was made of, read only now: many tasks wait at once."""
    record = store.get(key, digest)
    assert record is not None
    return record


def _value(record: Record) -> Mapping[str, Any]:
    assert record.value is not None
    return record.value


def picture(example: Example, *users: object) -> Image.Image:
    """An example's image; a blank one of its size where none of the users looks at it."""
    if any(getattr(user, "needs_image", True) for user in users):
        return load(example)
    height, width = example.gt_mask.size
    return Image.new("L", (width, height))


def load(example: Example) -> Image.Image:
    """An example's image; a picture whose size is not that of its mask is an error, not a resized mask."""
    image = example.image.load()
    if (image.height, image.width) != tuple(example.gt_mask.size):
        raise ValueError(
            f"example {example.id}: the image is {image.height} x {image.width} pixels (height x width), "
            f"its mask {example.gt_mask.size[0]} x {example.gt_mask.size[1]}"
        )
    return image
