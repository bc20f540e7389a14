"""Image files that PIL has something against."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from pixfound.benchmarks.files import ImageFile
from pixfound.benchmarks.pixcvbench import _size_of
from tests.support.examples import claim_size


@pytest.fixture
def picture(tmp_path: Path) -> ImageFile:
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    return ImageFile(str(tmp_path / "a.png"))


def test_a_picture_with_more_pixels_than_pil_reads_is_an_unreadable_file(picture: ImageFile) -> None:
    assert _size_of(picture) == (6, 8)
    claim_size(Path(picture.path), (20_000, 20_000))
    with pytest.raises(OSError, match=r"a\.png: Image size \(400000000 pixels\) exceeds limit of"):
        picture.load()
    assert _size_of(picture) is None


def test_a_png_that_is_broken_in_a_way_of_its_own_is_one_too(picture: ImageFile) -> None:
    """PIL says by a ValueError that its resolution is missing."""
    path = Path(picture.path)
    data = path.read_bytes()
    pixels = data.index(b"IDAT") - 4
    empty = struct.pack(">I", 0) + b"pHYs" + struct.pack(">I", zlib.crc32(b"pHYs"))
    path.write_bytes(data[:pixels] + empty + data[pixels:])
    with pytest.raises(ValueError, match="pHYs"):
        Image.open(picture.path)
    with pytest.raises(OSError, match=r"a\.png: Truncated pHYs chunk"):
        picture.load()
