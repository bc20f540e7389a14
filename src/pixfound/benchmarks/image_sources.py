"""Images in files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pixfound.errors import UserError
from pixfound.io.images import as_rgb, opened, orientation, turned, without_exif
from pixfound.types import ImageSource

NO_IMAGES = "none"  # what to type for `benchmark.images` where predictions are read from files


@dataclass(frozen=True, slots=True)
class ImageFile(ImageSource):
    """An image file as an image source. path: plain text, for each Path makes Python's table of names grow.

    turned: whether the picture is turned as its EXIF orientation says; it is taken as stored otherwise.
    """

    path: str
    turned: bool = False

    def load(self) -> Image.Image:
        """The picture as RGB; OSError where it is missing, corrupt, too large, or of grey levels without a range."""
        with opened(self.path) as image:
            image.load()
            by = orientation(image)
            picture = as_rgb(image)
            return without_exif(turned(picture, by) if self.turned else picture, by)

    def digest(self) -> str:
        """SHA-256 of the file's bytes, and whether it is turned."""
        with open(self.path, "rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        return f"{content} turned" if self.turned else content

    @property
    def location(self) -> str:
        """The path."""
        return self.path

    @property
    def is_turned(self) -> bool:
        """True if the picture is turned as its EXIF orientation says."""
        return self.turned


@dataclass(frozen=True, slots=True)
class NoImage(ImageSource):
    """Stands for an image file that is not needed: what is read from files is scored without the pictures."""

    path: str

    def load(self) -> Image.Image:
        """Always an OSError."""
        raise FileNotFoundError(f"{os.path.basename(self.path)}: not read, as benchmark.images=none says")

    def digest(self) -> str:
        """The file's name."""
        return f"no image: {os.path.basename(self.path)}"

    @property
    def location(self) -> str:
        """The path."""
        return self.path


def images_in(
    folder: Path, names: Iterable[str], key: str, without: bool = False, turn: bool = False
) -> Callable[[str], ImageFile | NoImage]:
    """Return a function from a file name to its image source. None of the files is read here.

    names: of all images. key: the config key of the folder. without: no image is looked for, and none can be loaded.
    turn: pictures are turned as their EXIF orientation says. Raises UserError at once for a folder that is missing or
    has none of the files, and for a name that leads out of the folder. A file that is missing among others fails when
    it is read, alone.
    """
    if without:
        return lambda name: NoImage(os.path.join(folder, name))
    if not folder.is_dir():
        raise UserError(f"{key}={folder}: there is no such folder; give the one that holds the images")
    count, first, found = 0, "", False
    for count, name in enumerate(names, start=1):
        if os.path.isabs(name) or "\0" in name or (".." in name and ".." in Path(name).parts):
            raise UserError(f"image name {name!r} leads out of {folder}: names must stay inside the images' folder")
        first = name if count == 1 else first
        found = found or _is_file(folder / name)
    if count and not found:
        raise UserError(
            f"{key}={folder}: has none of the {count} images (the first is {first}); give the folder that holds them"
        )
    return lambda name: ImageFile(os.path.join(folder, name), turn)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the disk
        return False
