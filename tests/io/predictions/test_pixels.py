"""Masks from pictures and from COCO results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import ImageInfo
from pixfound.io.predictions.masks import check_picture, read_mask, read_results
from pixfound.io.predictions.naming import Owners
from pixfound.types.masks import RLE
from tests.support.predictions import write_mask

SIZE = (4, 6)
OWNERS = Owners({"1": ImageInfo("cat", SIZE), "2": ImageInfo("dog", SIZE)})
GRID = np.zeros(SIZE, dtype=np.bool_)
GRID[1:3, 2:5] = True
MASK = RLE.encode(GRID)


@given(arrays.arrays(np.bool_, SIZE))
def test_a_picture_round_trips(tmp_path_factory, grid) -> None:
    path = tmp_path_factory.mktemp("p") / "m.png"
    write_mask(path, RLE.encode(grid))
    assert (read_mask(path, SIZE).decode() == grid).all()


def test_grey_values_are_cut_in_the_middle(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", (1, 4)).decode().tolist() == [[False, False, True, True]]


def test_another_size_is_an_error_unless_asked_for(tmp_path: Path) -> None:
    write_mask(tmp_path / "m.png", RLE.encode(np.kron(GRID, np.ones((2, 2), dtype=np.bool_))))
    with pytest.raises(ValueError, match=r"is 8 x 12 pixels .* the image 4 x 6; .* model.resize=nearest"):
        read_mask(tmp_path / "m.png", SIZE)
    assert read_mask(tmp_path / "m.png", SIZE, "nearest") == MASK


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(ValueError, match="is no readable picture"):
        read_mask(tmp_path / "m.png", SIZE)


def test_a_picture_is_checked_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "m.png"
    write_mask(path, MASK)
    check_picture(path, SIZE, "error", "k")
    check_picture(path, (9, 9), "nearest", "k")
    with pytest.raises(UserError, match=r"k: .*m.png is 4 x 6 pixels .* the image 9 x 9; .* model.resize=nearest"):
        check_picture(path, (9, 9), "error", "k")
    whole = path.read_bytes()
    for broken in (whole[:-20], whole[:40], b"", b"GIF89a", whole[:45] + bytes([whole[45] ^ 255]) + whole[46:]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"k: .*m.png is no readable picture .*; write it again"):
            check_picture(path, SIZE, "error", "k")


@st.composite
def results(draw):
    ids = draw(st.lists(st.sampled_from([1, 2, "cat", "dog.jpg", "00002"]), min_size=1, max_size=5))
    return [(id, draw(arrays.arrays(np.bool_, SIZE)), draw(st.one_of(st.none(), st.floats(0, 1)))) for id in ids]


@given(results())
def test_coco_results_round_trip(tmp_path_factory, entries) -> None:
    path = tmp_path_factory.mktemp("r") / "r.json"
    rows = [{"image_id": id, "segmentation": RLE.encode(grid).to_json(), "score": score} for id, grid, score in entries]
    path.write_text(json.dumps(rows))
    owner = {1: "1", 2: "2", "cat": "1", "dog.jpg": "2", "00002": "2"}
    found = read_results(path, OWNERS, "k")
    for id in ("1", "2"):
        mine = [(RLE.encode(grid), score) for name, grid, score in entries if owner[name] == id]
        assert found.get(id, []) == mine


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"annotations": []}, "is no list, so it is no COCO results file"),
        ([{"image_id": 1}], "entry number 0: has no `image_id` and `segmentation`"),
        (
            [{"image_id": 1, "segmentation": {"size": [4, 6], "counts": "1"}}],
            "entry number 0 .image 1. has no readable .*its runs cover 1",
        ),
        (
            [{"image_id": 1, "segmentation": {"size": [6, 4], "counts": RLE.empty((6, 4)).counts}}],
            r"entry number 0 .image 1. has no readable segmentation .*the mask is of size \(6, 4\)",
        ),
        (
            [{"image_id": 1, "segmentation": MASK.to_json(), "score": float("nan")}],
            "number 0 .image 1.: score nan is no",
        ),
        (
            [{"image_id": 77, "segmentation": MASK.to_json()}],
            "entry number 0 .image 77.: image_id: '77' is no example of this benchmark",
        ),
    ],
)
def test_bad_results_are_named(data, message, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=message):
        read_results(path, OWNERS, "k")
