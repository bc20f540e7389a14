"""Pictures of any size without a second copy of them: 12,000 x 9,000 pixels take 324 MB."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

# What is decoded inside this process. PIL reads others too, and some by starting a program: EPS by Ghostscript.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000")
_PART = 2**22  # pixels that are copied at a time


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """A picture in a file; OSError for whatever PIL has against it, as where it has more pixels than PIL reads.

    Its format must be one of FORMATS, whatever its name ends in.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        raise OSError(
            f"{os.path.basename(path)}: is damaged, or no picture of a format that is read ({kinds})"
        ) from error
    except (SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"{os.path.basename(path)}: {error}") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """The image itself where it is RGB, which `convert` would copy: not to be drawn upon."""
    return image if image.mode == "RGB" else image.convert("RGB")


def pixel_hash(image: Image.Image) -> Any:
    """Hashlib's SHA-256 of the bytes that `image.tobytes()` gives, which more may be added to."""
    digest = hashlib.sha256()
    rows = max(1, _PART // image.width)
    for top in range(0, image.height, rows):
        digest.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return digest


def picture_keys(images: Sequence[Image.Image]) -> list[str]:
    """For each picture what is equal for equal pictures only: bytes alone do not tell a wide one from a tall one."""
    each = {id(image): image for image in images}  # many prompts may be about one
    keys = {name: f"{pixel_hash(image).hexdigest()} {image.mode} {image.size}" for name, image in each.items()}
    return [keys[id(image)] for image in images]
