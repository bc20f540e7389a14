"""Pictures that a table's cells name or hold. None is decoded before it is asked for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from pixfound.benchmarks.image_sources import ImageFile, NoImage
from pixfound.errors import UserError
from pixfound.io.images import as_rgb, opened, orientation, turned, without_exif
from pixfound.types import ImageSource

Size = tuple[int, int]
Exif = Literal["stored", "turned"]


@dataclass(frozen=True, slots=True)
class ParquetCell:
    """The bytes in a cell of a Parquet file, while its row is read. element: place in a list of pictures, or None."""

    file: str
    group: int
    row: int
    column: str
    element: int | None
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ParquetImage(ImageSource):
    """A picture in a Parquet file, read from its row group when it is loaded. content: SHA-256 of its bytes."""

    file: str
    group: int
    row: int
    column: str
    element: int | None
    content: str
    turned: bool = False

    def load(self) -> Image.Image:
        """The picture as RGB; OSError where it is damaged."""
        value = _column(self.file, self.group, self.column)[self.row].as_py()
        value = value if self.element is None else value[self.element]
        return decoded(value["bytes"] if isinstance(value, dict) else value, self.turned)

    def digest(self) -> str:
        """SHA-256 of the bytes, as of a file with them, and whether it is turned."""
        return f"{self.content} turned" if self.turned else self.content


@dataclass(frozen=True, slots=True)
class BytesImage(ImageSource):
    """A picture whose bytes are held in memory, as those of text files are."""

    content: bytes = field(repr=False)
    turned: bool = False

    def load(self) -> Image.Image:
        """The picture as RGB; OSError where it is damaged."""
        return decoded(self.content, self.turned)

    def digest(self) -> str:
        """SHA-256 of the bytes, as of a file with them, and whether it is turned."""
        content = hashlib.sha256(self.content).hexdigest()
        return f"{content} turned" if self.turned else content


class ImageFolder:
    """Pictures of a folder by their names. None is read here; `missing` counts those that are not there.

    suffixes: endings that a picture may have instead of its name's. without: no picture is looked for.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str], turn: bool, without: bool) -> None:
        self.folder = folder
        if not without and not self.folder.is_dir():
            raise UserError(f"benchmark.images={folder}: there is no such folder; give the one that holds the images")
        self.suffixes, self.turn, self.without = tuple(suffixes), turn, without
        self.found = self.missing = 0
        self.first_missing = ""

    def source(self, name: str) -> ImageFile | NoImage:
        """The image source of a name; ValueError for one that leads out of the folder."""
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise ValueError("leads out of the folder of images")
        if self.without:
            return NoImage(str(self.folder / path))
        place = spelled(self.folder / path)
        alternatives = (place.with_name(path.stem + suffix) for suffix in self.suffixes)
        existing = next((file for file in (place, *alternatives) if _is_file(file)), None)
        if existing is None:
            self.missing += 1
            self.first_missing = self.first_missing or name
        else:
            self.found += 1
        return ImageFile(str(existing or place), self.turn)


def bytes_source(content: bytes | ParquetCell, turn: bool) -> BytesImage | ParquetImage:
    """The image source of bytes in a cell."""
    if isinstance(content, ParquetCell):
        digest = hashlib.sha256(content.content).hexdigest()
        return ParquetImage(content.file, content.group, content.row, content.column, content.element, digest, turn)
    return BytesImage(content, turn)


def from_base64(text: str) -> bytes:
    """The bytes of base64, with or without `data:image/...;base64,` before it; ValueError where it is none."""
    try:
        return base64.b64decode(text.partition(";base64,")[2] or text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"is no base64 ({error})") from error


def size_of(picture: bytes | str, turn: bool = False) -> Size | None:
    """(H, W) from the head of a picture, its bytes or its path, without decoding it; None where it cannot be read."""
    try:
        with opened(BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
            quarter = turn and orientation(image) > 4
            return (image.width, image.height) if quarter else (image.height, image.width)
    except (OSError, ValueError):
        return None


def decoded(content: bytes, turn: bool) -> Image.Image:
    """The picture of some bytes as RGB."""
    with opened(BytesIO(content)) as image:
        image.load()
        by = orientation(image)
        picture = as_rgb(image)
        return without_exif(turned(picture, by) if turn else picture, by)


@lru_cache(maxsize=2)
def _column(file: str, group: int, column: str) -> Any:
    """A column of a row group: pictures of neighbouring rows are asked for one after the other."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(file).read_row_group(group, columns=[column]).column(column)


def spelled(path: Path) -> Path:
    """The path in the spelling that exists: archives of macOS have the letter and the accent of one apart."""
    spellings = (path, *(Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD")))
    return path if str(path).isascii() else next((name for name in spellings if _is_file(name)), path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the disk
        return False
