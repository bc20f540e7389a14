"""The examples of a run as its stages take them: with their prompts, their digests, and in what order.

A record is found by the key and the digest of its example, and never by a position.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import overload

from pixfound.errors import UserError
from pixfound.interfaces import Benchmark, ImageInfo
from pixfound.io.fingerprints import digest_of
from pixfound.prompts.builder import Prompts
from pixfound.types import Example, Kind, Prompt

MASK_KINDS: tuple[Kind, ...] = ("open", "ground")  # the choice prompt is answered by a letter: no masks
UNREADABLE = "unreadable"  # in place of the digest of an image that cannot be read
_NAMED = 3  # pictures that cannot be read
_PICTURED = 8  # examples whose masks are proposed together
_ABOUT_ONE = 64  # or so many where they are about one image, which is then encoded once


@dataclass(frozen=True, slots=True)
class RunExample:
    """An example of a run, with its prompts and digests.

    index: its position in the run. image: equal for examples about the same image; one that cannot be read is like no
    other. length: characters of all its prompts together. digests: by stage and kind of prompt, of the kinds that it is
    asked; a digest of another is "", which no record has.
    """

    index: int
    example: Example
    image: int
    length: int
    digests: Mapping[str, str]
    prompts: Prompts

    @property
    def id(self) -> str:
        """The example's."""
        return self.example.id

    @property
    def mask_kinds(self) -> tuple[Kind, ...]:
        """Kinds of prompt that this example is asked and that may be answered by masks."""
        return tuple(kind for kind in MASK_KINDS if kind in self.example.kinds and self.example.expression)

    def prompt(self, kind: Kind) -> Prompt:
        """Return the prompt of this kind that is sent to the model."""
        return self.prompts.prompt(self.example, kind)

    def key(self, kind: Kind) -> str:
        """The key of all records about this example and kind."""
        return f"{self.id}/{kind}/{self.prompts.variant(kind)}"

    def generate_digest(self, kind: Kind) -> str:
        """Digest of what the model is shown."""
        return self.digests.get(f"generate {kind}", "")

    def extract_digest(self, kind: Kind) -> str:
        """Digest of what an extractor is given."""
        return self.digests.get(f"extract {kind}", "")

    def select_digest(self, kind: Kind) -> str:
        """Digest of what a selector is given, the truth for the oracle too."""
        return self.digests.get(f"select {kind}", "")

    def grade_digest(self, kind: Kind) -> str:
        """Digest of what a judge is given."""
        return self.digests.get(f"grade {kind}", "")


class RunExamples(Sequence[RunExample]):
    """The examples of a run: the first `limit` examples of a benchmark and the partners of those among them.

    digest: of all in the examples that results can depend on. files: what readers of files take of the images of
    the examples, by their ids, also of those that `limit` or the benchmark leaves out.
    unreadable: how many examples have a picture that cannot be read, and the first few of those pictures.
    Raises UserError where the benchmark is empty, or an id stands for several examples.
    """

    def __init__(self, benchmark: Benchmark, prompts: Prompts, limit: int | None = None) -> None:
        self.files: dict[str, ImageInfo] = {}
        self._examples: list[RunExample] = []
        content_hash, images = hashlib.sha256(), dict[str, int]()
        unreadable = list[str]()
        for place, (example, selected) in enumerate(_selected(benchmark, limit)):
            path = example.image.location
            stem = os.path.splitext(os.path.basename(path))[0] if path else ""
            self.files.setdefault(example.id, ImageInfo(stem, example.gt_mask.size, not selected))
            if not selected:
                continue
            image = image_digest(example)
            if image == UNREADABLE:
                unreadable.append(str(path or example.id))
            number = images.setdefault(f"{image} {place}" if image == UNREADABLE else image, len(images))
            texts = {kind: prompts.prompt(example, kind).text for kind in example.kinds}
            digests, length = _digests(example, image, texts), sum(map(len, texts.values()))
            content_hash.update(_content(example, digests).encode())
            self._examples.append(RunExample(len(self._examples), example, number, length, digests, prompts))
        for id, stem in benchmark.left_out.items():
            self.files.setdefault(id, ImageInfo(stem, (1, 1), True))
        self.unreadable = len(unreadable), tuple(unreadable[:_NAMED])
        self.digest = content_hash.hexdigest()

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, index: int) -> RunExample: ...
    @overload
    def __getitem__(self, index: slice) -> list[RunExample]: ...
    def __getitem__(self, index: int | slice) -> RunExample | list[RunExample]:
        return self._examples[index]


def _selected(benchmark: Benchmark, limit: int | None) -> Iterator[tuple[Example, bool]]:
    """The examples of a benchmark, and whether the run takes them."""
    if len(benchmark) == 0:
        raise UserError("the benchmark has no examples")
    ids, repeated_ids = set[str](), set[str]()
    pairs: set[str | None] = set()
    members = Counter[str]()
    for place, example in enumerate(benchmark):
        if example.id in ids:
            repeated_ids.add(example.id)
        elif example.pair_id is not None:
            members[example.pair_id] += 1
            if members[example.pair_id] > 2:
                raise UserError(
                    f"the pair {example.pair_id!r} has more than two examples, {example.id!r} is the third; "
                    "give it another pair_id"
                )
        ids.add(example.id)
        if limit is not None and place < limit:
            pairs.add(example.pair_id)
        yield example, limit is None or place < limit or (example.pair_id is not None and example.pair_id in pairs)
    if repeated_ids:
        raise UserError(
            f"the benchmark has {len(repeated_ids)} ids that stand for several examples, {min(repeated_ids)!r} "
            "among them"
        )


def _digests(example: Example, image: str, texts: Mapping[Kind, str]) -> dict[str, str]:
    """All digests of an example."""
    digests: dict[str, str] = {}
    truth = [example.gt_mask.to_json(), *([example.ignore.to_json()] if example.ignore else [])]
    answers = [list(example.answers), example.grading] if example.answers else []
    for kind in example.kinds:
        generate = digest_of(image, texts[kind])
        extract = digest_of(generate, example.expression)
        select = digest_of(extract, example.id, *truth)
        grade = digest_of(generate, example.question, list(example.options), example.answer, *answers)
        by_stage = {"generate": generate, "extract": extract, "select": select, "grade": grade}
        digests |= {f"{stage} {kind}": digest for stage, digest in by_stage.items()}
    return digests


def _content(example: Example, digests: Mapping[str, str]) -> str:
    """Digest of all in an example that results can depend on, beyond what its prompts' digests are of too."""
    objects = [mask.to_json() for mask in example.objects]
    content = (example.pair_id, dict(example.tags), dict(example.labels), example.named, objects, *_region(example))
    return digest_of(*(digests.get(name, "") for name in ("select ground", "grade open", "generate choice")), *content)


def _region(example: Example) -> tuple[object, ...]:
    """The parts of the truth beside `gt_mask`; nothing for an example that has none."""
    others = [[mask.to_json() for mask in instances] for instances in example.other_instances]
    if not (example.instances or example.boxes or example.ignore or others) and example.count is None:
        return ()
    instances = [mask.to_json() for mask in example.instances]
    ignore = example.ignore and example.ignore.to_json()
    return instances, [list(box) for box in example.boxes], ignore, example.count, *([others] if others else [])


def image_digest(example: Example) -> str:
    """The digest of an example's image; a fixed word where it cannot be read, so that a repaired one is noticed."""
    try:
        return example.image.digest()
    except OSError:
        return UNREADABLE


def by_length(run_examples: RunExamples) -> list[RunExample]:
    """Examples that make like numbers of tokens side by side, so that a batch holds little padding.

    That is by pixels, then by the length of the prompts; what is about one image stays together. The most come first:
    the batches with which processes end are short, and what is too much for memory is so at once.
    """
    longest = dict[int, int]()
    for run_example in run_examples:
        longest[run_example.image] = max(longest.get(run_example.image, 0), run_example.length)

    def sort_key(run_example: RunExample) -> tuple[int, ...]:
        return (
            -math.prod(run_example.example.gt_mask.size),
            -longest[run_example.image],
            run_example.image,
            run_example.index,
        )

    return sorted(run_examples, key=sort_key)


def by_image(run_examples: RunExamples) -> Iterator[tuple[int, RunExample]]:
    """Examples with the number of their batch. Images come in the order of the examples.

    None is in two batches, unless more examples are about it than go together.
    """
    batch, room = 0, _PICTURED
    for _, about in groupby(sorted(run_examples, key=attrgetter("image", "index")), attrgetter("image")):
        while part := list(islice(about, _ABOUT_ONE)):
            if len(part) > room and room < _PICTURED:
                batch, room = batch + 1, _PICTURED
            room -= len(part)
            yield from ((batch, run_example) for run_example in part)
