"""Images that are resized once before a model's processor resizes them again, as qwen-vl-utils does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from pixfound.io.images import as_rgb

_SQUARE = 28  # pixels: the side of what becomes one token of Qwen2.5-VL; the originals leave it so for Qwen3-VL too


class ResizedFirst:
    """A processor whose images are resized first; in all else the one that it is made of.

    limits: the least and the most pixels after that first resize. Where the image's parts lie is not changed by it,
    for the whole image is kept.
    """

    def __init__(self, processor: Any, limits: Sequence[int]) -> None:
        self._processor, self._limits = processor, limits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, images: Sequence[Sequence[Image.Image]], **others: Any) -> Any:
        """What the processor makes of `images`, one sequence for each prompt, once they are resized."""
        least, most = self._limits
        resized = [[resize(image, least, most) for image in each] for each in images]
        return self._processor(images=resized, **others)


def resize(image: Image.Image, least: int, most: int) -> Image.Image:
    """The image, bicubic, in the size that `first_size` gives it."""
    height, width = first_size(image.height, image.width, least, most)
    return as_rgb(image).resize((width, height), Image.Resampling.BICUBIC)


def first_size(height: int, width: int, least: int, most: int) -> tuple[int, int]:
    """(H, W) nearest to the given one that are multiples of 28 with between `least` and `most` pixels.

    As in qwen-vl-utils 0.0.14. Transformers' `smart_resize` gives another size where a side is less than 14 pixels,
    which rounds to nothing there and to one square here.
    """
    rows, columns = (max(1, round(side / _SQUARE)) for side in (height, width))
    pixels = rows * columns * _SQUARE**2
    if pixels > most:
        scale = math.sqrt(height * width / most)
        rows, columns = (math.floor(side / scale / _SQUARE) for side in (height, width))
    elif pixels < least:
        scale = math.sqrt(least / (height * width))
        rows, columns = (math.ceil(side * scale / _SQUARE) for side in (height, width))
    return max(1, rows) * _SQUARE, max(1, columns) * _SQUARE
