"""Pictures of any size without a second copy of them: 12,000 x 9,000 pixels take 324 MB."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

# What is decoded inside this process. PIL reads others too, and some by starting a program: EPS by Ghostscript.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000")
_NUMBERS = {"I": "whole numbers without a known range", "F": "fractions without a known range"}
_ORIENTATION = "exif orientation"  # where an image's `info` keeps it
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PART = 2**22  # pixels that are copied at a time


@contextmanager
def opened(path: str | Path | BinaryIO) -> Iterator[Image.Image]:
    """A picture in a file or a stream; OSError for whatever PIL has against it, as for more pixels than PIL reads.

    Its format must be one of FORMATS, whatever its name ends in.
    """
    name = os.path.basename(path) if isinstance(path, str | Path) else "the picture"
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        raise OSError(f"{name}: is damaged, or no picture of a format that is read ({kinds})") from error
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"{name}: {error}") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """The image itself where it is RGB, which `convert` would copy: not to be drawn upon.

    Grey of 16 bits is scaled to 8, where `convert` makes all of it white. ValueError for numbers without a known range:
    whole ones of 32 bits or with a sign, and fractions.
    """
    if image.mode == "RGB":
        return image
    if has_16_bits(image):
        return _scaled(image).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"its grey levels are {_NUMBERS[image.mode]}; save it with 8 or 16 bits a pixel")
    return image.convert("RGB")


def has_16_bits(image: Image.Image) -> bool:
    """Return True if an image that was just opened has grey levels from 0 to 65535."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def _scaled(image: Image.Image) -> Image.Image:
    """Grey of 16 bits in 8, whose levels are 257 times as far apart."""
    table = np.rint(np.arange(2**16) / 257).astype(np.uint8)
    levels = np.asarray(image)
    scaled = np.empty(levels.shape, np.uint8)
    rows = max(1, _PART // image.width)
    for top in range(0, image.height, rows):
        scaled[top : top + rows] = table[levels[top : top + rows]]
    return Image.fromarray(scaled)


def orientation(image: Image.Image) -> int:
    """EXIF's, from 1 (as stored) to 8, of an image whose pixels are loaded: PIL turns a TIFF while it loads them."""
    value = image.info.get(_ORIENTATION) or image.getexif().get(ExifTags.Base.Orientation)
    return value if value in _TURNS else 1


def without_exif(image: Image.Image, was: int) -> Image.Image:
    """Clear the image's metadata, so that no later reader rotates it, and return it. was: its `orientation`."""
    image.getexif().clear()
    image.info.clear()
    image.info[_ORIENTATION] = was
    return image


def turned(image: Image.Image, by: int) -> Image.Image:
    """The image as a viewer shows one of that `orientation`."""
    return image.transpose(_TURNS[by]) if by in _TURNS else image


def pixel_hash(image: Image.Image) -> Any:
    """Hashlib's SHA-256 of the bytes that `image.tobytes()` gives, which more may be added to."""
    digest = hashlib.sha256()
    rows = max(1, _PART // image.width)
    for top in range(0, image.height, rows):
        digest.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return digest


def picture_keys(images: Sequence[Image.Image]) -> list[str]:
    """A key for each picture, equal for equal pictures only: with the size, as bytes alone may agree for two shapes."""
    by_id = {id(image): image for image in images}  # many prompts may be about one
    keys = {name: f"{pixel_hash(image).hexdigest()} {image.mode} {image.size}" for name, image in by_id.items()}
    return [keys[id(image)] for image in images]
