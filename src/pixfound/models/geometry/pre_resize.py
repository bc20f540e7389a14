"""A resize of images before a model's processor resizes them again, as in qwen-vl-utils."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from pixfound.io.images import as_rgb

_SQUARE = 28  # pixels: side of the square of one token of Qwen2.5-VL; the originals use it for Qwen3-VL too


class ResizedFirst:
    """A wrapper of a processor that resizes the images first; all other attributes are those of the processor.

    limits: least and most number of pixels after the first resize. It keeps the whole image, so the boxes of tiles in
    the image are unchanged.
    """

    def __init__(self, processor: Any, limits: Sequence[int]) -> None:
        self._processor, self._limits = processor, limits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def __call__(self, images: Sequence[Sequence[Image.Image]], **options: Any) -> Any:
        """Output of the processor for the resized images. images: one sequence for each prompt."""
        least, most = self._limits
        resized = [[resize(image, least, most) for image in prompt_images] for prompt_images in images]
        return self._processor(images=resized, **options)


def resize(image: Image.Image, least: int, most: int) -> Image.Image:
    """The image in RGB, resized (bicubic) to `first_size`. least, most: limits of the number of pixels."""
    height, width = first_size(image.height, image.width, least, most)
    return as_rgb(image).resize((width, height), Image.Resampling.BICUBIC)


def first_size(height: int, width: int, least: int, most: int) -> tuple[int, int]:
    """The nearest (H, W) in multiples of 28 with `least` to `most` pixels, as in qwen-vl-utils 0.0.14.

    Transformers' `smart_resize` differs for a side of less than 14 pixels, which it rounds to 0 instead of to 28.
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
