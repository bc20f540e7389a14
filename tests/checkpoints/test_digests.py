"""Weight files are known by all of their bytes, and large ones are read once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pixfound.checkpoints import digests, locating

SIZE = digests._LARGE + 4096


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    with (model / "model.safetensors").open("wb") as stream:
        stream.truncate(SIZE)
    long_ago(model / "model.safetensors")
    return model


def long_ago(file: Path) -> None:
    os.utime(file, (1e9, 1e9))
    time.sleep(0.01)  # the time of this change is another one than that of the next


@pytest.mark.parametrize("place", [0, 5000, SIZE // 2, SIZE - 1])
def test_a_byte_anywhere_is_noticed_though_size_and_time_are_the_same(folder: Path, place: int) -> None:
    before = locating.identity(str(folder), None, "model.path")
    assert locating.identity(str(folder), None, "model.path") == before
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.seek(place)
        stream.write(b"x")
    long_ago(folder / "model.safetensors")
    assert locating.identity(str(folder), None, "model.path") != before


def test_a_large_file_is_hashed_once_and_again_when_it_was_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED", 0.0)
    hashed: list[str] = []
    whole = digests._hashed
    monkeypatch.setattr(digests, "_hashed", lambda file: (hashed.append(file.name), whole(file))[1])
    first = locating.identity(str(folder), None, "model.path")
    assert locating.identity(str(folder), None, "model.path") == first
    assert hashed.count("model.safetensors") == 1
    (folder / "model.safetensors").touch()
    assert locating.identity(str(folder), None, "model.path") == first
    assert hashed.count("model.safetensors") == 2


def test_a_file_that_was_changed_just_now_is_not_remembered(folder: Path, tmp_path: Path) -> None:
    digests.file_digest(folder / "model.safetensors")
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_a_note_that_is_damaged_or_cannot_be_written_costs_time_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "_SETTLED", 0.0)
    file = folder / "model.safetensors"
    digest = digests.file_digest(file)
    (note,) = (tmp_path / "cache").rglob("*.json")
    for text in ("", "[]", '{"state": 1}', note.read_text()[:-9]):
        note.write_text(text)
        assert digests.file_digest(file) == digest
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))  # a file in the place of the folder
    assert digests.file_digest(file) == digest
