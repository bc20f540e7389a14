"""Masks drawn over an image, and images numbered on one sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from pixfound.io.images import as_rgb
from pixfound.types.masks import BoolMask

RED = (255, 0, 0)
_GAP = 4


def draw_overlay(
    image: Image.Image,
    mask: BoolMask,
    number: int | None = None,
    colour: tuple[int, int, int] = RED,
    opacity: float = 0.5,
    rim: int = 0,
) -> Image.Image:
    """The image with the mask (H, W) over it in one colour, and a number in its left top corner.

    opacity: from 0 (only the image) to 1 (only the colour); the paper's 0.5. rim: pixels of a white rim inside it.
    """
    pixels = np.array(as_rgb(image), dtype=np.float32)
    pixels[mask] = (1 - opacity) * pixels[mask] + opacity * np.asarray(colour, dtype=np.float32)
    if rim:
        pixels[mask & ~without_rim(mask, rim)] = 255
    overlay = Image.fromarray(pixels.astype(np.uint8))
    if number is not None:
        _write(overlay, str(number))
    return overlay


def without_rim(mask: BoolMask, width: int) -> BoolMask:
    """The pixels of a mask (H, W) around which all are inside, `width` to each side; beyond its edge as at the edge.

    As by `ImageFilter.MinFilter(2 * width + 1)`, which takes seconds where a blur along one axis, then the other, takes
    milliseconds. A blurred pixel is 255 where all are, if fewer than 510 are looked at.
    """
    inner = Image.fromarray(mask.astype(np.uint8) * 255)
    for radii in ((width, 0), (0, width)):
        inner = inner.filter(ImageFilter.BoxBlur(radii)).point(lambda value: 255 * (value == 255))
    return np.asarray(inner) > 0


def sheet(images: Sequence[Image.Image]) -> Image.Image:
    """All images in one, in rows of nearly as many as there are rows, each with its number from 1 on.

    For models that read one image at a time. One image is handed on as it is.
    """
    if len(images) == 1:
        return images[0]
    across = math.ceil(math.sqrt(len(images)))
    width, height = max(i.width for i in images) + _GAP, max(i.height for i in images) + _GAP
    canvas = Image.new("RGB", (across * width, math.ceil(len(images) / across) * height), "white")
    for number, image in enumerate(images):
        panel = image.convert("RGB")
        _write(panel, str(number + 1))
        canvas.paste(panel, (number % across * width, number // across * height))
    return canvas


def _write(image: Image.Image, text: str) -> None:
    """Black on white in the left top corner, a ninth of the image high but readable."""
    size = max(10, min(image.size) // 9)
    font = ImageFont.load_default(size=size)
    draw = ImageDraw.Draw(image)
    box = draw.textbbox((3, 1), text, font=font)
    draw.rectangle((0, 0, box[2] + 3, box[3] + 3), fill="white", outline="black")
    draw.text((3, 1), text, fill="black", font=font)


def draw_heat(image: Image.Image, heat: npt.NDArray[np.float32] | None) -> Image.Image:
    """The image in grey with (H, W) attention over it from black over red to yellow; None draws none."""
    grey = np.repeat(np.asarray(image.convert("L"), dtype=np.float32)[..., None], 3, axis=2)
    if heat is not None:
        strength = np.clip(heat, 0, None)
        strength = strength / max(float(strength.max()), 1e-12)
        warm = np.stack(
            [255 * np.minimum(1, 2 * strength), 255 * np.clip(2 * strength - 1, 0, 1), 0 * strength], axis=2
        )
        weight = (0.75 * np.sqrt(strength))[..., None]
        grey = (1 - weight) * grey + weight * warm
    return Image.fromarray(grey.astype(np.uint8))
