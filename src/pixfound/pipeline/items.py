"""The examples of a run as its stages take them: with their prompts, their digests, and in what order.

A record is found by the key and the digest of its item, and never by a position. Memory holds neither the examples nor
their digests: those lie in a temporary file, and the examples are asked for again when they are needed.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np

from pixfound.errors import UserError
from pixfound.interfaces import Benchmark, ImageInfo
from pixfound.pipeline.store import digest_of
from pixfound.prompts import Prompts
from pixfound.shelf import Numbers, Shelf
from pixfound.types import KINDS, Example, Kind, Prompt

MASK_KINDS: tuple[Kind, ...] = ("open", "ground")  # the choice prompt is answered by a letter: no masks
UNREADABLE = "unreadable"  # in place of the digest of an image that cannot be read
_PICTURED = 8  # examples whose masks are proposed together
_ABOUT_ONE = 64  # or so many where they are about one image, which is then encoded once
_NEAR = 128  # examples that are kept as they were last asked for: the same ones are needed again at once
_DIGESTS = tuple(f"{what} {kind}" for kind in KINDS for what in ("asked", "seen", "whole", "graded"))
_COLUMN = {name: column for column, name in enumerate(_DIGESTS, start=1)}


@dataclass(frozen=True, slots=True)
class Item:
    """An example of a run, with its prompts and digests. index: its position among the items."""

    index: int
    items: Items

    @property
    def id(self) -> str:
        """The example's."""
        return self.items.told(self.index)[0]

    @property
    def example(self) -> Example:
        """The example, as the benchmark gives it."""
        return self.items.example(self.index)

    @property
    def image(self) -> int:
        """Equal for items about the same image. An image that cannot be read is like no other."""
        return int(self.items.images[self.index])

    def prompt(self, kind: Kind) -> Prompt:
        """What is said to the model."""
        return self.items.prompts.prompt(self.example, kind)

    def key(self, kind: Kind) -> str:
        """The key of all records about this example and kind."""
        return f"{self.id}/{kind}/{self.items.prompts.variant(kind)}"

    def asked(self, kind: Kind) -> str:
        """Digest of what the model is shown."""
        return self.items.digest_of(self.index, f"asked {kind}")

    def seen(self, kind: Kind) -> str:
        """Digest of what an extractor is given."""
        return self.items.digest_of(self.index, f"seen {kind}")

    def whole(self, kind: Kind) -> str:
        """Digest of what a selector is given, the truth for the oracle too."""
        return self.items.digest_of(self.index, f"whole {kind}")

    def graded(self, kind: Kind) -> str:
        """Digest of what a judge is given."""
        return self.items.digest_of(self.index, f"graded {kind}")


class Items(Sequence[Item]):
    """The items of a run: the first `limit` examples of a benchmark and the partners of those among them.

    digest: of all in the examples that results can depend on. files: what readers of files are told of the images of
    the examples, by their ids, also of those that `limit` or the benchmark leaves out.
    images: (I,) for each item the first one that is about the same image.
    pixels: (I,) of the images. lengths: (I,) characters of all prompts together.
    Raises UserError where the benchmark is empty, or an id stands for several examples.
    """

    def __init__(self, benchmark: Benchmark, prompts: Prompts, limit: int | None = None) -> None:
        self.prompts, self._benchmark = prompts, benchmark
        self.files = Shelf(lambda values: ImageInfo(values[0][0], tuple(values[0][1]), values[0][2]))
        self._told: Shelf[Sequence[str]] = Shelf(lambda values: values[0])  # id and digests
        self.told = lru_cache(maxsize=_NEAR)(self._told_of)
        self.example = lru_cache(maxsize=_NEAR)(self._example)
        rows, whole, images = array("q"), hashlib.sha256(), Numbers()
        first = array("q")  # the first item about each image
        for place, (example, taken) in enumerate(_taken(benchmark, limit)):
            path, size = getattr(example.image, "path", None), example.gt_mask.size
            self.files.add(example.id, (Path(path).stem if path else "", size, not taken))
            if not taken:
                continue
            about = number = len(rows) // 4
            image = image_digest(example)
            if image != UNREADABLE:
                known = images.number(image)
                if known == len(first):
                    first.append(number)
                about = first[known]
            texts = {kind: prompts.prompt(example, kind).text for kind in KINDS}
            rows.extend((place, about, math.prod(size), sum(map(len, texts.values()))))
            found = _digests(example, image, texts)
            self._told.add(str(number), (example.id, *(found[name] for name in _DIGESTS)))
            whole.update(_content(example, found).encode())
        dropped: Mapping[str, str] = getattr(benchmark, "left_out", {})
        for id, stem in dropped.items():
            self.files.add(id, (stem, (1, 1), True))
        self.digest = whole.hexdigest()
        self._places, self.images, self.pixels, self.lengths = np.frombuffer(rows, dtype=np.int64).reshape(-1, 4).T

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        found = range(len(self))[index]
        return Item(found, self) if isinstance(found, int) else [Item(i, self) for i in found]

    def digest_of(self, index: int, name: str) -> str:
        """One of an item's digests."""
        return self.told(index)[_COLUMN[name]]

    def _told_of(self, index: int) -> Sequence[str]:
        return self._told[str(index)]

    def _example(self, index: int) -> Example:
        return self._benchmark[int(self._places[index])]


def _taken(benchmark: Benchmark, limit: int | None) -> Iterator[tuple[Example, bool]]:
    """The examples of a benchmark, and whether the run takes them."""
    if len(benchmark) == 0:
        raise UserError("the benchmark has no examples")
    seen, twice = Numbers(), set[str]()
    pairs: set[str | None] = set()
    for place, example in enumerate(benchmark):
        known = len(seen)
        if seen.number(example.id) < known:
            twice.add(example.id)
        if limit is not None and place < limit:
            pairs.add(example.pair_id)
        yield example, limit is None or place < limit or (example.pair_id is not None and example.pair_id in pairs)
    if twice:
        raise UserError(
            f"the benchmark has {len(twice)} ids that stand for several examples, {min(twice)!r} among them"
        )


def _digests(example: Example, image: str, texts: Mapping[Kind, str]) -> dict[str, str]:
    """All digests of an example."""
    found: dict[str, str] = {}
    truth = example.gt_mask.to_json()
    for kind in KINDS:
        asked = digest_of(image, texts[kind])
        seen = digest_of(asked, example.expression)
        whole = digest_of(seen, example.id, truth)
        graded = digest_of(asked, example.question, list(example.options), example.answer)
        found |= {f"asked {kind}": asked, f"seen {kind}": seen, f"whole {kind}": whole, f"graded {kind}": graded}
    return found


def _content(example: Example, digests: Mapping[str, str]) -> str:
    """Digest of all in an example that results can depend on, beyond what its prompts' digests are of too."""
    objects = [mask.to_json() for mask in example.objects]
    told = (example.pair_id, dict(example.tags), dict(example.labels), example.named, objects)
    return digest_of(digests["whole ground"], digests["graded open"], digests["asked choice"], *told)


def image_digest(example: Example) -> str:
    """The digest of an example's image; a fixed word where it cannot be read, so that mending it is noticed."""
    try:
        return example.image.digest()
    except OSError:
        return UNREADABLE


def by_length(items: Items) -> Iterator[Item]:
    """Items that make like numbers of tokens side by side, so that a batch holds little padding.

    That is by pixels, then by the length of the prompts; what is about one image stays together. The most come first:
    the batches with which processes end are short, and what is too much for memory is so at once.
    """
    longest = np.zeros(len(items), dtype=np.int64)
    np.maximum.at(longest, items.images, items.lengths)
    order = np.lexsort((np.arange(len(items)), items.images, -longest[items.images], -items.pixels))
    return (items[int(i)] for i in order)


def by_image(items: Items) -> Iterator[tuple[int, Item]]:
    """Items with the number of their batch. Images come in the order of the items.

    None is in two batches, unless more examples are about it than go together.
    """
    order = np.lexsort((np.arange(len(items)), items.images))
    batch, room = 0, _PICTURED
    for about in np.split(order, np.flatnonzero(np.diff(items.images[order])) + 1):
        for first in range(0, len(about), _ABOUT_ONE):
            part = about[first : first + _ABOUT_ONE]
            if len(part) > room and room < _PICTURED:
                batch, room = batch + 1, _PICTURED
            room -= len(part)
            yield from ((batch, items[int(i)]) for i in part)
