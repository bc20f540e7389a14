"""Image files that PIL has something against."""

from __future__ import annotations

import itertools
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from transformers.image_utils import load_image

from pixfound.benchmarks.image_sources import ImageFile
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


LEVELS = np.array([[0, 256, 257, 1000], [32767, 32768, 65534, 65535]], np.uint16)
SCALED = np.array([[0, 1, 1, 4], [127, 128, 255, 255]], np.uint8)  # of 257 levels each


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "big.tif", "a.jp2"])
def test_grey_of_16_bits_is_scaled(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "a.pgm":
        path.write_bytes(b"P5 4 2 65535 " + LEVELS.astype(">u2").tobytes())
    else:
        Image.fromarray(LEVELS.astype(">u2") if name == "big.tif" else LEVELS).save(path)
    loaded = ImageFile(str(path)).load()
    assert loaded.mode == "RGB"
    for band in loaded.split():
        np.testing.assert_array_equal(np.asarray(band), SCALED)


@pytest.mark.parametrize(
    ("kind", "what"), [(np.int32, "whole numbers"), (np.int16, "whole"), (np.float32, "fractions")]
)
def test_grey_without_a_known_range_is_refused(kind: type, what: str, tmp_path: Path) -> None:
    Image.fromarray((LEVELS // 4).astype(kind)).save(tmp_path / "a.tif")
    with pytest.raises(OSError, match=rf"a.tif: its grey levels are {what}.*; save it with 8 or 16 bits a pixel"):
        ImageFile(str(tmp_path / "a.tif")).load()


@pytest.mark.parametrize(("name", "by"), itertools.product(["a.jpg", "a.png", "a.tif"], range(1, 9)))
def test_an_exif_orientation_is_followed_where_it_is_asked_for(name: str, by: int, tmp_path: Path) -> None:
    noise = np.random.default_rng(by).integers(0, 256, (2, 3, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    exif = Image.Exif()
    exif[0x0112] = by
    path = tmp_path / name
    Image.fromarray(noise).save(path, exif=exif)
    with Image.open(path) as image:
        plain, upright = np.asarray(image.convert("RGB")), np.asarray(ImageOps.exif_transpose(image))
    stored, turned = ImageFile(str(path)), ImageFile(str(path), turned=True)
    np.testing.assert_array_equal(np.asarray(stored.load()), plain)
    np.testing.assert_array_equal(np.asarray(turned.load()), upright)
    for file in (stored, turned):  # nobody turns it once more
        np.testing.assert_array_equal(np.asarray(load_image(file.load())), np.asarray(file.load()))
    assert stored.digest() != turned.digest()
