"""The examples of a run as its stages take them: with their prompts, their digests, and in what order.

A record is found by the key and the digest of its item, and never by a position. Memory holds neither the examples nor
their digests nor their order: those lie in temporary files, and the examples are asked for again when they are needed.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple, overload

from pixfound.errors import UserError
from pixfound.interfaces import Benchmark, ImageInfo
from pixfound.io.fingerprints import digest_of
from pixfound.io.shelf import Numbers, Scratch, Shelf
from pixfound.prompts.builder import Prompts
from pixfound.types import KINDS, Example, Kind, Prompt

MASK_KINDS: tuple[Kind, ...] = ("open", "ground")  # the choice prompt is answered by a letter: no masks
UNREADABLE = "unreadable"  # in place of the digest of an image that cannot be read
_NAMED = 3  # pictures that cannot be read
_PICTURED = 8  # examples whose masks are proposed together
_ABOUT_ONE = 64  # or so many where they are about one image, which is then encoded once
_NEAR = 128  # examples that are kept as they were last asked for: the same ones are needed again at once
_SIZES = "sizes (item INTEGER PRIMARY KEY, image INTEGER, pixels INTEGER, length INTEGER)"
_BY_IMAGE = "SELECT image, item FROM sizes ORDER BY image, item"
_BY_LENGTH = (
    "SELECT item FROM sizes JOIN (SELECT image, MAX(length) AS longest FROM sizes GROUP BY image) USING (image) "
    "ORDER BY pixels DESC, longest DESC, image, item"
)


class ExampleEntry(NamedTuple):
    """What is kept of an item. place: in the benchmark. image: the number of its image. digests: by their names."""

    id: str
    place: int
    image: int
    digests: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunExample:
    """An example of a run, with its prompts and digests. index: its position among the items."""

    index: int
    items: RunExamples

    @property
    def id(self) -> str:
        """The example's."""
        return self.items.told(self.index).id

    @property
    def example(self) -> Example:
        """The example, as the benchmark gives it."""
        return self.items.example(self.index)

    @property
    def image(self) -> int:
        """Equal for items about the same image. An image that cannot be read is like no other."""
        return self.items.told(self.index).image

    def prompt(self, kind: Kind) -> Prompt:
        """What is said to the model."""
        return self.items.prompts.prompt(self.example, kind)

    def key(self, kind: Kind) -> str:
        """The key of all records about this example and kind."""
        return f"{self.id}/{kind}/{self.items.prompts.variant(kind)}"

    def generate_digest(self, kind: Kind) -> str:
        """Digest of what the model is shown."""
        return self._digest("generate", kind)

    def extract_digest(self, kind: Kind) -> str:
        """Digest of what an extractor is given."""
        return self._digest("extract", kind)

    def select_digest(self, kind: Kind) -> str:
        """Digest of what a selector is given, the truth for the oracle too."""
        return self._digest("select", kind)

    def grade_digest(self, kind: Kind) -> str:
        """Digest of what a judge is given."""
        return self._digest("grade", kind)

    def _digest(self, what: str, kind: Kind) -> str:
        return self.items.told(self.index).digests[f"{what} {kind}"]


class RunExamples(Sequence[RunExample]):
    """The items of a run: the first `limit` examples of a benchmark and the partners of those among them.

    digest: of all in the examples that results can depend on. files: what readers of files are told of the images of
    the examples, by their ids, also of those that `limit` or the benchmark leaves out.
    sizes: of each item the number of its image, the pixels of that, and the characters of all prompts together.
    unreadable: how many items have a picture that cannot be read, and the first few of those pictures.
    Raises UserError where the benchmark is empty, or an id stands for several examples.
    """

    def __init__(self, benchmark: Benchmark, prompts: Prompts, limit: int | None = None) -> None:
        self.prompts, self._benchmark = prompts, benchmark
        self.files = Shelf(lambda values: ImageInfo(values[0][0], tuple(values[0][1]), values[0][2]))
        self._told: Shelf[ExampleEntry] = Shelf(lambda values: ExampleEntry(*values[0]))
        self.told = lru_cache(maxsize=_NEAR)(self._told_of)
        self.example = lru_cache(maxsize=_NEAR)(self._example)
        self.sizes, self._count = Scratch(_SIZES), 0
        whole, images = hashlib.sha256(), Numbers()
        lost, lost_names = 0, list[str]()
        for place, (example, taken) in enumerate(_taken(benchmark, limit)):
            path, size = getattr(example.image, "path", None), example.gt_mask.size
            self.files.add(example.id, (os.path.splitext(os.path.basename(path))[0] if path else "", size, not taken))
            if not taken:
                continue
            image = image_digest(example)
            if image == UNREADABLE:
                lost += 1
                lost_names += [str(path or example.id)] if lost <= _NAMED else []
            about = images.number(f"{image} {place}" if image == UNREADABLE else image)
            texts = {kind: prompts.prompt(example, kind).text for kind in KINDS}
            found = _digests(example, image, texts)
            whole.update(_content(example, found).encode())
            length = sum(map(len, texts.values()))
            self.sizes.run("INSERT INTO sizes VALUES (?, ?, ?, ?)", self._count, about, math.prod(size), length)
            self._told.add(str(self._count), ExampleEntry(example.id, place, about, found))
            self._count += 1
        dropped: Mapping[str, str] = getattr(benchmark, "left_out", {})
        for id, stem in dropped.items():
            self.files.add(id, (stem, (1, 1), True))
        self.unreadable = lost, tuple(lost_names)
        self.digest = whole.hexdigest()

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> RunExample: ...
    @overload
    def __getitem__(self, index: slice) -> list[RunExample]: ...
    def __getitem__(self, index: int | slice) -> RunExample | list[RunExample]:
        found = range(len(self))[index]
        return RunExample(found, self) if isinstance(found, int) else [RunExample(i, self) for i in found]

    def _told_of(self, index: int) -> ExampleEntry:
        return self._told[str(index)]

    def _example(self, index: int) -> Example:
        return self._benchmark[self.told(index).place]


def _taken(benchmark: Benchmark, limit: int | None) -> Iterator[tuple[Example, bool]]:
    """The examples of a benchmark, and whether the run takes them."""
    if len(benchmark) == 0:
        raise UserError("the benchmark has no examples")
    seen, twice = Numbers(), set[str]()
    pairs: set[str | None] = set()
    numbers, members = Numbers(), bytearray()  # of each pair, by its number
    for place, example in enumerate(benchmark):
        known = len(seen)
        if seen.number(example.id) < known:
            twice.add(example.id)
        elif example.pair_id is not None:
            pair = numbers.number(example.pair_id)
            members.extend(bytes(pair == len(members)))
            members[pair] += 1
            if members[pair] > 2:
                raise UserError(
                    f"the pair {example.pair_id!r} has more than two examples, {example.id!r} is the third; "
                    "give it another pair_id"
                )
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
        generate = digest_of(image, texts[kind])
        extract = digest_of(generate, example.expression)
        select = digest_of(extract, example.id, truth)
        grade = digest_of(generate, example.question, list(example.options), example.answer)
        by_stage = {"generate": generate, "extract": extract, "select": select, "grade": grade}
        found |= {f"{stage} {kind}": digest for stage, digest in by_stage.items()}
    return found


def _content(example: Example, digests: Mapping[str, str]) -> str:
    """Digest of all in an example that results can depend on, beyond what its prompts' digests are of too."""
    objects = [mask.to_json() for mask in example.objects]
    told = (example.pair_id, dict(example.tags), dict(example.labels), example.named, objects)
    return digest_of(digests["select ground"], digests["grade open"], digests["generate choice"], *told)


def image_digest(example: Example) -> str:
    """The digest of an example's image; a fixed word where it cannot be read, so that mending it is noticed."""
    try:
        return example.image.digest()
    except OSError:
        return UNREADABLE


def by_length(items: RunExamples) -> Iterator[RunExample]:
    """Items that make like numbers of tokens side by side, so that a batch holds little padding.

    That is by pixels, then by the length of the prompts; what is about one image stays together. The most come first:
    the batches with which processes end are short, and what is too much for memory is so at once.
    """
    return (items[number] for (number,) in items.sizes.each(_BY_LENGTH))


def by_image(items: RunExamples) -> Iterator[tuple[int, RunExample]]:
    """Items with the number of their batch. Images come in the order of the items.

    None is in two batches, unless more examples are about it than go together.
    """
    batch, room = 0, _PICTURED
    for _, about in groupby(items.sizes.each(_BY_IMAGE), itemgetter(0)):
        while part := list(islice(about, _ABOUT_ONE)):
            if len(part) > room and room < _PICTURED:
                batch, room = batch + 1, _PICTURED
            room -= len(part)
            yield from ((batch, items[number]) for _, number in part)
