"""PixMMVP's released annotations as they are counted, and every way in which a folder of them can be wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pixfound.benchmarks.pixmmvp import PixMMVP
from pixfound.errors import UserError
from pixfound.types.masks import RLE, iou

HERE = Path(os.environ.get("PIXFOUND_ANNOTATIONS", Path(__file__).parents[3] / "shared/data")) / "pixmmvp"
PATTERNS = {
    "Presence of Specific Features": 81,
    "Positional and Relational Context": 56,
    "State and Condition": 38,
    "Color and Appearance": 28,
    "Viewpoint and Perspective": 24,
    "Quantity and Count": 24,
    "Orientation and Direction": 23,
    "Structural and Physical Characteristics": 14,
    "Text": 12,
}
NONES = {23, 24, 105, 106, 145, 146, 241, 242, 273, 274, 295, 296, 299, 300}


@pytest.fixture
def real(tmp_path: Path) -> str:
    """The released annotations beside a folder with one empty image, which no test reads."""
    if not (HERE / "Segmentations.json").is_file():
        pytest.skip("no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixmmvp/")
    for path in HERE.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "MMVP Images").mkdir()
    (tmp_path / "MMVP Images" / "1.jpg").touch()
    return str(tmp_path)


def test_counts(real: str) -> None:
    every, kept = PixMMVP(real, none_objects="keep"), PixMMVP(real)
    assert [e.id for e in every] == [str(n) for n in range(1, 301)]
    assert {int(e.id) for e in every} - {int(e.id) for e in kept} == NONES
    assert len(kept) == 286
    assert sum(e.absent for e in kept) == 39
    assert sum(e.absent for e in every) == 53
    assert Counter(e.tags["pattern"] for e in every) == PATTERNS
    assert {e.gt_mask.size for e in every} == {(224, 224)}
    data = json.loads((HERE / "Segmentations.json").read_text())
    assert len(data["annotations"]) == 384
    assert sum(n > 1 for n in Counter(a["image_id"] for a in data["annotations"]).values()) == 69


def test_pairs_are_opposite(real: str) -> None:
    every = PixMMVP(real, none_objects="keep")
    assert len({e.pair_id for e in every}) == 150
    for left, right in zip(every[::2], every[1::2], strict=True):
        assert left.pair_id == right.pair_id
        assert (left.question, left.options, left.expression) == (right.question, right.options, right.expression)
        assert {left.answer, right.answer} == {0, 1}
    assert set(Counter(e.pair_id for e in PixMMVP(real)).values()) == {2}


def test_an_empty_prediction_scores_the_absent_objects(real: str) -> None:
    kept = PixMMVP(real)
    scores = [iou(RLE.empty(e.gt_mask.size), e.gt_mask) for e in kept]
    assert sum(scores) / len(scores) == pytest.approx(39 / 286)


def test_corrected_labels_change_four_answers(real: str) -> None:
    pairs = zip(PixMMVP(real), PixMMVP(real, labels="corrected"), strict=True)
    assert [a.id for a, b in pairs if a.answer != b.answer] == ["99", "100", "279", "280"]


def test_both_versions_of_the_labels_travel_with_every_example(real: str) -> None:
    for version in ("original", "corrected"):
        examples = PixMMVP(real, labels=version)
        assert all(e.labels[version] == e.answer for e in examples)
        disputed = {int(e.id) for e in examples if e.labels["original"] != e.labels["corrected"]}
        assert disputed == {99, 100, 279, 280}


def test_expressions(real: str) -> None:
    plain = {e.id: e.expression for e in PixMMVP(real, none_objects="keep")}
    raw = {e.id: e.expression for e in PixMMVP(real, none_objects="keep", expressions="raw")}
    assert plain["9"] == 'the key "Z"'
    assert raw["9"] == ' the key ""Z""'
    assert all(text == text.strip() and '""' not in text for text in plain.values())
    assert all(text.startswith(" ") for text in raw.values())


def test_unions_against_another_rasteriser(real: str) -> None:
    polygons: dict[str, list[list[float]]] = {}
    for annotation in json.loads((HERE / "Segmentations.json").read_text())["annotations"]:
        polygons.setdefault(str(annotation["image_id"]), []).extend(annotation["segmentation"])
    compared = [e for e in PixMMVP(real) if len(polygons.get(e.id, ())) > 1]
    assert len(compared) == 69
    for example in compared:
        filled, border = Image.new("1", (224, 224)), Image.new("1", (224, 224))
        for polygon in polygons[example.id]:
            ImageDraw.Draw(filled).polygon(polygon, fill=1)
            ImageDraw.Draw(border).line([*polygon, *polygon[:2]], fill=1, width=3)
        differ = np.asarray(filled) ^ example.gt_mask.decode()
        assert not (differ & ~np.asarray(border)).any(), example.id  # only pixels on an outline differ


def write(folder: Path) -> None:
    """A PixMMVP of squares; its last pair has nothing to ground."""
    (folder / "MMVP Images").mkdir()
    (folder / "MMVP Images" / "1.jpg").touch()
    numbers = range(1, 301)
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 224, "height": 224} for n in numbers]
    shapes = [{"id": n, "image_id": n, "segmentation": [[9, 9, 19, 9, 19, 29, 9, 29]]} for n in range(1, 299)]
    (folder / "Segmentations.json").write_text(json.dumps({"images": images, "annotations": shapes}))
    objects = [f"{n}, {'None' if n > 298 else 'the thing'}" for n in numbers]
    (folder / "Objects.csv").write_text("\n".join(["Index, Object", *objects]) + "\n")
    rows = [f"{n},Open or not?,(a) Open (b) Shut,({'ba'[n % 2]})" for n in numbers]
    (folder / "Questions.csv").write_text("\n".join(["lndex,Question,Options,Correct Answer", *rows]))
    patterns = [f"{n - 1},{row},Text" for n, row in zip(numbers, rows, strict=True)]
    (folder / "visual_patterns.csv").write_text(
        "\n".join([",Index,Question,Options,Correct Answer,Pattern", *patterns])
    )
    (folder / "meta_none.txt").write_text("299.jpg\n300.jpg\n")


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return apply


def shapes(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        data = json.loads((folder / "Segmentations.json").read_text())
        change(data)
        (folder / "Segmentations.json").write_text(json.dumps(data))

    return apply


WRONG: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: (f / "Objects.csv").unlink(), "Objects.csv: cannot be read .* give the folder"),
    (lambda f: (f / "meta_none.txt").unlink(), "meta_none.txt: cannot be read"),
    (lambda f: (f / "Objects.csv").write_text(""), "Objects.csv: is no CSV table"),
    (lambda f: (f / "Objects.csv").write_bytes(b"\xff\xfe\x00"), "Objects.csv: is no text .* save it as CSV in UTF-8"),
    (edit("Objects.csv", "Object", "Objetc"), "Objects.csv: the table has no column 'Object'; did you mean Objetc"),
    (edit("Objects.csv", "Index", "Nr"), "Objects.csv: the table has no column 'Index'"),
    (edit("Objects.csv", "7, the thing", "7, the thing, red"), "line 8: has 3 fields, the header 2"),
    (edit("Objects.csv", "7, the thing", "x, the thing"), "line 8: Index 'x' is no number"),
    (edit("Objects.csv", "7, the thing", "6, the thing"), "line 8: Index 6 stands in an earlier line too"),
    (edit("Objects.csv", "7, the thing\n", ""), "column Index: has 299 entries, not 300: lacks 7"),
    (edit("Objects.csv", "5, the thing", "5, None"), r"meta_none.txt, beside None: .* lacks '5.jpg'"),
    (edit("visual_patterns.csv", "(a) Open (b) Shut,(b)", "(a) Open (b) Shut,(c)"), "Index 2: (Correct Answer|answer)"),
    (edit("visual_patterns.csv", "Open or not?", '"Open" or not?'), "visual_patterns.csv, line 2: is no CSV table"),
    (edit("Questions.csv", "Open or not?", "Open or shut?"), "Questions.csv, Index 1: Question is .* take Questions"),
    (lambda f: (f / "Segmentations.json").write_text("{"), "Segmentations.json: is no JSON file"),
    (lambda f: (f / "Segmentations.json").write_text("[]"), "Segmentations.json: has no list `images`"),
    (shapes(lambda d: d["images"].pop()), "is of image|lacks 300"),
    (shapes(lambda d: d["images"][4].update(id=4)), "two images have the id 4"),
    (shapes(lambda d: d["images"][4].update(id=[5])), "image number 4 has no readable id, file_name or size"),
    (shapes(lambda d: d["images"][4].update(height=0)), "image number 4 has no readable id, file_name or size"),
    (shapes(lambda d: d["images"][4].pop("file_name")), "image number 4 has no readable id, file_name or size"),
    (shapes(lambda d: d["images"][4].update(file_name="9.jpg")), "image 5 is '9.jpg', not 5.jpg"),
    (shapes(lambda d: d["annotations"][3].update(image_id=900)), "annotation 4 is of image 900"),
    (
        shapes(lambda d: d["annotations"][3].update(segmentation=[[1, 2, 3]])),
        "annotation 4 has no readable .* not 3 numbers",
    ),
    (
        shapes(lambda d: d["annotations"][3].update(segmentation=[])),
        "4 has no readable segmentation .it is empty",
    ),
    (lambda f: (f / "meta_none.txt").write_text("300.jpg\n"), "meta_none.txt, beside None: .* lacks '299.jpg'"),
    (lambda f: shutil.rmtree(f / "MMVP Images"), "benchmark.images=.*MMVP Images: there is no such folder"),
    (lambda f: (f / "MMVP Images" / "1.jpg").unlink(), "has none of the 300 images"),
]


def test_a_folder_of_squares_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    kept = PixMMVP(str(tmp_path))
    assert len(kept) == 298
    assert (kept[0].gt_mask.area, kept[0].answer, kept[1].answer) == (200, 0, 1)
    (tmp_path / "MMVP Images").rename(tmp_path / "elsewhere")
    assert PixMMVP(str(tmp_path), images=str(tmp_path / "elsewhere"))[0].image.path == str(tmp_path / "elsewhere/1.jpg")


@pytest.mark.parametrize(("damage", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_wrong_input_is_named(damage: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    write(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        PixMMVP(str(tmp_path))


def test_unknown_options_are_named(tmp_path: Path) -> None:
    for name in ("labels", "none_objects", "expressions"):
        with pytest.raises(UserError, match=f"PixMMVP.{name}=x: must be one of"):
            PixMMVP(str(tmp_path), **{name: "x"})
