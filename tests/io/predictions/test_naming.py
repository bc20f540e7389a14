"""Files are joined with examples by what is in their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixfound.errors import UserError
from pixfound.interfaces import ImageInfo
from pixfound.io.predictions.naming import MASK_NAMES, Owners, candidate_files, mask_files

SIZE = (4, 6)
OWNERS = Owners({str(n): ImageInfo(f"ADE_val_{n:08d}", SIZE) for n in (1, 2, 30)})


@pytest.mark.parametrize(
    "names",
    [
        ("00001.png", "00002.png", "00030.png"),
        ("output00001.png", "output00002.png", "output00030.png"),
        ("ADE_val_00000001.png", "ADE_val_00000002.png", "ADE_val_00000030.png"),
        ("ADE_val_00000001.jpg", "ADE_val_00000002.jpg", "ADE_val_00000030.jpg"),
        ("1.png", "2.png", "30.png"),
    ],
)
def test_every_naming_is_found(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in (*names, "notes.txt", "masks.json"):
        (tmp_path / name).touch()
    assert mask_files(tmp_path, OWNERS, MASK_NAMES, "k") == {
        id: tmp_path / name for id, name in zip(("1", "2", "30"), names, strict=True)
    }


def test_one_naming_is_used_and_what_it_lacks_is_lacking(tmp_path: Path) -> None:
    for name in ("00001.png", "output00002.png"):
        (tmp_path / name).touch()
    assert set(mask_files(tmp_path, OWNERS, MASK_NAMES, "k")) == {"1"}
    assert set(mask_files(tmp_path, OWNERS, ("output{number:05d}.png",), "k")) == {"2"}


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="and the folder has no file at all"):
        mask_files(tmp_path, OWNERS, MASK_NAMES, "k")
    (tmp_path / "cat.png").touch()
    with pytest.raises(UserError, match=r"tried .*output\{number:05d\}.*the folder has cat\.png"):
        mask_files(tmp_path, OWNERS, MASK_NAMES, "k")
    with pytest.raises(UserError, match="there is no such folder"):
        mask_files(tmp_path / "no", OWNERS, MASK_NAMES, "k")
    with pytest.raises(UserError, match=r"no field \{numbr\}; did you mean number"):
        mask_files(tmp_path, OWNERS, ("{numbr}.png",), "k")
    with pytest.raises(UserError, match="is no pattern"):
        mask_files(tmp_path, OWNERS, ("{number:zz}.png",), "k")


def test_candidates_are_in_the_order_of_phrase_and_mask(tmp_path: Path) -> None:
    for name in (
        "1_010_000.png",
        "1_002_001.png",
        "1_002_000.png",
        "ADE_val_00000002_000_000.png",
        "30.png",
        "notes.txt",
    ):
        (tmp_path / name).touch()
    found = candidate_files(tmp_path, OWNERS, "k")
    assert [(f.phrase, f.mask) for f in found["1"]] == [(2, 0), (2, 1), (10, 0)]
    assert [f.path.name for f in found["2"]] == ["ADE_val_00000002_000_000.png"]
    assert [(f.phrase, f.mask) for f in found["30"]] == [(None, None)]  # an answer without a noun phrase
    assert set(found) == {"1", "2", "30"}


def test_two_examples_of_one_image_are_told_apart_by_id_only() -> None:
    owners = Owners({"7": ImageInfo("cat", SIZE), "8": ImageInfo("cat", SIZE)})
    assert owners.of("cat") is None
    assert owners.of("7") == "7"
    assert owners.of("00008") == "8"
    assert owners.of("9") is None


@pytest.mark.parametrize(
    ("names", "stranger"),
    [
        (("00001.png", "00300.png"), "00300.png"),  # counted from 0, or of another benchmark
        (("output00001.png", "output00003.png"), "output00003.png"),
        (("ADE_val_00000001.png", "ADE_val_00000009.png"), "ADE_val_00000009.png"),
    ],
)
def test_a_mask_of_no_example_is_named(names: tuple[str, ...], stranger: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=rf"k=.*: file {stranger} .* no example .* take it away"):
        mask_files(tmp_path, OWNERS, MASK_NAMES, "k")
    number = int("".join(filter(str.isdecimal, stranger)))
    left_out = {str(number): ImageInfo(stranger.removesuffix(".png"), SIZE, left_out=True)}
    found = mask_files(tmp_path, Owners({**OWNERS.images, **left_out}), MASK_NAMES, "k")
    assert found == {"1": tmp_path / names[0]}


def test_a_candidate_of_no_example_is_named(tmp_path: Path) -> None:
    for name in ("1_000_000.png", "5_000_000.png"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"file 5_000_000.png: '5' is no example .* called '1' or 'ADE_val_00000001'"):
        candidate_files(tmp_path, OWNERS, "k")
    owners = Owners({**OWNERS.images, "5": ImageInfo("ADE_val_00000005", SIZE, left_out=True)})
    assert set(candidate_files(tmp_path, owners, "k")) == {"1"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("1_000_000.png", "00001_000_000.png"), "are the same candidate; remove one"),
        (("1_000_000.png", "ADE_val_00000001_000_000.png"), "are the same candidate; remove one"),
        (("1.png", "ADE_val_00000001.png"), "are the same candidate; remove one"),
        (("1.png", "1_000_000.png"), "1.png says that there is no phrase, but there is 1_000_000.png"),
    ],
)
def test_two_files_of_one_candidate_are_named(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=message):
        candidate_files(tmp_path, OWNERS, "k")


def test_the_long_number_of_an_image_is_no_id() -> None:
    """COCO calls its images by twelve digits, which are no example's number though they may end in one."""
    owners = Owners({"0": ImageInfo("ADE_val_00000248", SIZE), "139": ImageInfo("000000000285", SIZE)})
    assert owners.of("000000000285") == "139"
    assert owners.of("00139") == "139"
    assert owners.of("00000") == "0"
    assert owners.of("000000000139") is None
    with pytest.raises(UserError, match="line 1: '000000000139' is no example"):
        owners.find("000000000139", "line 1")
