"""Pictures without a second copy of them."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixfound.io import images
from pixfound.io.images import FORMATS, as_rgb, opened, picture_keys, pixel_hash


@pytest.mark.parametrize("size", [(1, 1), (7, 3), (3, 7), (64, 64)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1"])
def test_the_hash_is_that_of_the_bytes_however_they_are_cut(
    size: tuple[int, int], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode)
    for part in (1, 10, 2**22):
        monkeypatch.setattr(images, "_PART", part)
        assert pixel_hash(image).digest() == hashlib.sha256(image.tobytes()).digest()
    assert as_rgb(image).mode == "RGB" and (as_rgb(image) is image) == (mode == "RGB")


def test_equal_pictures_have_one_key_and_a_wide_one_is_no_tall_one() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    one, same, tall = Image.fromarray(pixels), Image.fromarray(pixels), Image.fromarray(pixels.reshape(6, 4, 3))
    grey, wide_grey = Image.new("L", (6, 4)), Image.new("L", (6, 4), 1)
    first, second, again, *others = picture_keys([one, same, one, tall, grey, wide_grey])
    assert first == second == again
    assert len({first, *others}) == 4


def test_every_format_that_is_named_is_read(tmp_path: Path) -> None:
    for name in FORMATS:
        Image.new("RGB", (5, 4), "red").save(tmp_path / "picture", format=name)
        with opened(tmp_path / "picture") as image:
            assert image.size == (5, 4)


def test_a_format_that_pil_reads_by_a_program_starts_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    Image.new("RGB", (5, 4), "red").save(tmp_path / "picture.png", format="EPS")
    refused = pytest.raises(OSError, match=r"^picture\.png: .* no picture of a format that is read \(PNG, JPEG")
    with refused, opened(tmp_path / "picture.png") as image:
        image.load()
    assert not (tmp_path / "started").exists()


def test_pictures_are_opened_in_one_place() -> None:
    source = Path(images.__file__).parent
    assert [p.name for p in source.rglob("*.py") if re.search(r"Image\.open\(", p.read_text())] == ["images.py"]
