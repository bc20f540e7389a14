"""The images of examples, read once for all that look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import Component
from pixfound.io.images import orientation
from pixfound.pipeline.run_examples import RunExample
from pixfound.types import Example


def read_images(users: Iterable[tuple[RunExample, Component]]) -> tuple[dict[int, Image.Image], dict[int, Exception]]:
    """The image of each example by its index, or why it cannot be read: that is no failure of the others.

    users: examples, each with a part that may look at its image. Examples about one image are given the same object.
    """
    parts_of: dict[int, tuple[RunExample, list[Component]]] = {}
    for run_example, user in users:
        parts_of.setdefault(run_example.index, (run_example, []))[1].append(user)
    images: dict[int, Image.Image] = {}
    errors: dict[int, Exception] = {}
    cache: dict[object, Image.Image] = {}

    def once(key: object, make: Callable[[], Image.Image]) -> Image.Image:
        if key not in cache:
            cache[key] = make()
        return cache[key]

    for index, (run_example, parts) in parts_of.items():
        example = run_example.example
        try:
            if any(part.needs_image for part in parts):
                images[index] = _checked(once(run_example.image, example.image.load), example)
            else:
                images[index] = once(example.gt_mask.size, partial(_blank, example.gt_mask.size))
        except (UserError, MemoryError):
            raise
        except Exception as error:
            errors[index] = error
    return images, errors


def load(example: Example) -> Image.Image:
    """An example's image, RGB, of the size of its mask."""
    return _checked(example.image.load(), example)


def _checked(image: Image.Image, example: Example) -> Image.Image:
    """The image; one whose size is not that of the example's mask is a ValueError, not a resized mask."""
    size = tuple(example.gt_mask.size)
    if (image.height, image.width) != size:
        exif = ""
        if (image.width, image.height) == size and (by := orientation(image)) > 4:  # a quarter turn
            turned = example.image.is_turned
            exif = (
                f": it fits the picture {'as stored' if turned else 'turned'}, whose EXIF orientation is {by}; type "
                f"benchmark.exif={'stored' if turned else 'turned'} where that is an option, or save the picture "
                f"{'without EXIF' if turned else 'turned'}"
            )
        raise ValueError(
            f"example {example.id}: the image is {image.height} x {image.width} pixels (height x width), "
            f"its mask {size[0]} x {size[1]}{exif}"
        )
    return image


def _blank(size: tuple[int, int]) -> Image.Image:
    """Return a black image, mode L, in place of one that no part looks at. size: (H, W)."""
    return Image.new("L", (size[1], size[0]))
