"""The examples of a run as its stages take them: with their prompts, their digests, and in what order.

A record is found by the key and the digest of its item, and never by a position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pixfound.pipeline.parts import Parts
from pixfound.pipeline.store import digest_of
from pixfound.types import KINDS, Example, Kind, Prompt

MASK_KINDS: tuple[Kind, ...] = ("open", "ground")  # the choice prompt is answered by a letter: no masks
UNREADABLE = "unreadable"  # in place of the digest of an image that cannot be read
_PICTURED = 8  # examples whose masks are proposed together
_ABOUT_ONE = 64  # or so many where they are about one image, which is then encoded once


@dataclass(frozen=True)
class Item:
    """An example with its prompts and the digest of its image ("unreadable" where that cannot be read)."""

    index: int
    example: Example
    prompts: Mapping[Kind, Prompt]
    image_digest: str

    @property
    def image_key(self) -> str | int:
        """Equal for items about the same image. An image that cannot be read is like no other."""
        return self.index if self.image_digest == UNREADABLE else self.image_digest

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
        return UNREADABLE


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


def by_image(items: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """Items with the number of their batch. Images come in the order of the items.

    None is in two batches, unless more examples are about it than go together.
    """
    images: dict[str | int, list[Item]] = {}
    for item in items:
        images.setdefault(item.image_key, []).append(item)
    batch, room = 0, _PICTURED
    for about in images.values():
        for first in range(0, len(about), _ABOUT_ONE):
            part = about[first : first + _ABOUT_ONE]
            if len(part) > room and room < _PICTURED:
                batch, room = batch + 1, _PICTURED
            room -= len(part)
            yield from ((batch, item) for item in part)
