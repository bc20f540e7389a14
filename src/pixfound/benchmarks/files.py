"""Images in files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pixfound.errors import UserError

NO_IMAGES = "none"  # what to type for `benchmark.images` where predictions are read from files


@dataclass(frozen=True)
class ImageFile:
    """An image file as an image source."""

    path: Path

    def load(self) -> Image.Image:
        """The picture as RGB; OSError where it is missing or corrupt."""
        with Image.open(self.path) as image:
            image.load()
            return image if image.mode == "RGB" else image.convert("RGB")  # no second copy of a large one

    def digest(self) -> str:
        """SHA-256 of the file's bytes."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class NoImage:
    """Stands for an image file that is not needed: what is read from files is scored without the pictures."""

    path: Path

    def load(self) -> Image.Image:
        """Always an OSError."""
        raise FileNotFoundError(f"{self.path.name}: not read, as benchmark.images=none says")

    def digest(self) -> str:
        """The file's name."""
        return f"no image: {self.path.name}"


def images_in(folder: Path, names: list[str], key: str, without: bool = False) -> dict[str, ImageFile | NoImage]:
    """An image source for each file name, none of them read.

    A file that is missing among others fails when it is read, alone; a folder that has none of them is an
    error at once, as is a name that leads out of the folder. key: the config key of the folder. without: no image
    is looked for, and none can be loaded.
    """
    if without:
        return {name: NoImage(folder / name) for name in names}
    if not folder.is_dir():
        raise UserError(f"{key}={folder}: there is no such folder; give the one that holds the images")
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            raise UserError(f"image name {name!r} leads out of {folder}: names must stay inside the images' folder")
    if names and not any(_is_file(folder / name) for name in names):
        raise UserError(
            f"{key}={folder}: has none of the {len(names)} images (the first is {names[0]}); "
            "give the folder that holds them"
        )
    return {name: ImageFile(folder / name) for name in names}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the disk
        return False
