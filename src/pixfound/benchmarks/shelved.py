"""Examples that lie in a temporary file and not in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, overload

from pixfound.io.shelf import Shelf
from pixfound.types import Example, ImageSource
from pixfound.types.masks import RLE

_NEAR = 16  # images whose objects are kept as they were last read: examples about one are often side by side


class ShelvedExamples(Sequence[Example]):
    """Examples that are made anew whenever they are asked for, each time equal.

    Each is put here with a text that stands for its image. image: makes the image source of such a text. objects: the
    masks of all objects of such an image, where several examples may be about it, which have all of them or none;
    without, each example's are kept.
    """

    def __init__(
        self, image: Callable[[str], ImageSource], objects: Callable[[str], tuple[RLE, ...]] | None = None
    ) -> None:
        self._image, self._count = image, 0
        self._rows: Shelf[dict[str, Any]] = Shelf(lambda values: values[0])
        self._objects = objects and lru_cache(maxsize=_NEAR)(objects)

    def append(self, example: Example, image: str) -> None:
        """Put an example behind the others. image: the text that stands for its image."""
        row = {
            "id": example.id,
            "image": image,
            "question": example.question,
            "options": example.options,
            "answer": example.answer,
            "expression": example.expression,
            "gt_mask": example.gt_mask.to_json(),
            "pair_id": example.pair_id,
            "objects": bool(example.objects) if self._objects else [mask.to_json() for mask in example.objects],
            "tags": dict(example.tags),
            "labels": dict(example.labels),
            "named": example.named,
        }
        self._rows.add(str(self._count), row)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        places = range(self._count)[index]
        return [self._example(place) for place in places] if isinstance(places, range) else self._example(places)

    def _example(self, place: int) -> Example:
        row = self._rows[str(place)]
        image = row["image"]
        row["image"], row["options"] = self._image(image), tuple(row["options"])
        row["gt_mask"] = RLE.from_json(row["gt_mask"])
        if self._objects:
            row["objects"] = self._objects(image) if row["objects"] else ()
        else:
            row["objects"] = tuple(map(RLE.from_json, row["objects"]))
        return Example(**row)
