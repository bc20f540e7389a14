"""PixCV-Bench's released annotations as they are counted, and every way in which a folder of them can be wrong.

CV-Bench's own table is not among the annotations: the tests write one of its documented columns.
"""

from __future__ import annotations

import ast
import csv
import importlib
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pixfound.benchmarks.pixcvbench import PixCVBench, read_drafts
from pixfound.benchmarks.pixcvbench_expressions import highlighted, refer
from pixfound.benchmarks.pixcvbench_files import IMAGES
from pixfound.errors import UserError
from pixfound.io.coco import CocoAnnotation, CocoImage
from pixfound.types.masks import RLE

HERE = Path(os.environ.get("PIXFOUND_ANNOTATIONS", Path(__file__).parents[3] / "shared/data")) / "pixcvbench"
COLUMNS = ("idx", "type", "task", "question", "choices", "answer", "source", "source_filename")


def questions_for(table: Path) -> list[dict[str, Any]]:
    """Rows as CV-Bench has them for the rows of an Objects.csv, and one 3D row that is none of ours."""
    rows = []
    with table.open(newline="") as stream:
        for row in csv.DictReader(stream):
            source = "COCO" if "COCO" in row["file"] else "ADE20K"
            name = Path(row["file"]).name
            pair = ast.literal_eval(row["Objects"]) if row["Objects"].startswith("(") else None
            if pair:
                first, second = (words.split(",")[-1].strip() for words in reversed(pair))
                question = f"Considering the relative positions of the {first} (annotated by the red box) and the "
                question += f"{second} in the image provided, where is the {first} (annotated by the red box) located "
                question += f"with respect to the {second}?"
            else:
                question = f"How many {row['Objects']}s are in the image?"
            values = (int(row["Id"]), "2D", "Relation" if pair else "Count", question)
            origin = f"/coco/val2017/{name}" if source == "COCO" else name
            choices = ["above", "below"] if pair else ["1", "2", "0", "3"]
            rows.append(dict(zip(COLUMNS, (*values, choices, "(B)", source, origin), strict=True)))
    last = (1438, "3D", "Depth", "Which is closer?", ["a", "b"], "(A)", "Omni3D", "1.jpg")
    return [*rows, dict(zip(COLUMNS, last, strict=True))]


def save_questions(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "CV-Bench" / "test.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The released annotations, a table of questions, and one blank image for each source."""
    if not (HERE / "Objects.csv").is_file():
        pytest.skip("no released annotations: set PIXFOUND_ANNOTATIONS to the folder that holds pixcvbench/")
    root = tmp_path_factory.mktemp("pixcvbench")
    for source, folder in IMAGES.items():
        (root / folder).mkdir(parents=True)
        (root / source / "FinalSegmentations.json").symlink_to(HERE / source / "FinalSegmentations.json")
    (root / "CV-Bench").mkdir()
    (root / "Objects.csv").symlink_to(HERE / "Objects.csv")
    rows = questions_for(HERE / "Objects.csv")
    save_questions(root, rows)
    Image.new("RGB", (128, 128)).save(root / IMAGES["ADE20K"] / "ADE_val_00000248.jpg")
    Image.new("RGB", (40, 30)).save(root / IMAGES["COCO"] / "000000135902.jpg")
    return str(root)


def test_counts(real: str) -> None:
    start = time.perf_counter()
    every = PixCVBench(real)
    print(f"loaded {len(every)} examples in {time.perf_counter() - start:.2f} s")
    assert [e.id for e in every] == [str(n) for n in range(1438)]
    assert Counter(e.tags["source"] for e in every) == {"ADE20K": 633, "COCO": 805}
    assert Counter(e.tags["task"] for e in every) == {"Count": 788, "Relation": 650}
    assert sum("(annotated by the red box) and " in e.expression for e in every) == 650
    assert [e.id for e in every if e.absent] == ["207"]
    assert all(e.pair_id is None for e in every)
    assert (len(PixCVBench(real, source="ADE20K")), len(PixCVBench(real, source="COCO"))) == (633, 805)
    assert PixCVBench(real, source="COCO")[0].id == "633"
    assert (every[0].options, every[0].answer) == (("1", "2", "0", "3"), 1)
    assert [e.id for e in every[-2:]] == ["1436", "1437"]


def test_every_red_box_is_found(real: str) -> None:
    """The table above marks the second of the two with its last synonym."""
    with (HERE / "Objects.csv").open(newline="") as stream:
        objects = {row["Id"]: row["Objects"] for row in csv.DictReader(stream)}
    for example in PixCVBench(real):
        if example.tags["task"] == "Relation":
            first, second = ast.literal_eval(objects[example.id])
            assert example.expression == f"{second} (annotated by the red box) and {first}"
        else:
            assert example.expression == objects[example.id]


def test_masks_take_the_size_of_the_image(real: str) -> None:
    data = json.loads((HERE / "ADE20K" / "FinalSegmentations.json").read_text())
    drawn = [a["segmentation"] for a in data["annotations"] if a["image_id"] == 0]
    whole = np.any([RLE.from_json(shape).decode() for shape in drawn], axis=0)
    example = PixCVBench(real)[0]
    assert whole.shape == (256, 256)
    assert example.gt_mask.size == (128, 128)  # the blank image is half as large
    assert abs(example.gt_mask.area * 4 - whole.sum()) < 0.05 * whole.sum()
    assert PixCVBench(real, "COCO")[0].gt_mask.size == (30, 40)


def test_an_image_that_is_not_there_fails_alone(real: str) -> None:
    lost = PixCVBench(real)[1]
    assert lost.gt_mask.area > 0
    with pytest.raises(FileNotFoundError):
        lost.image.load()


def test_outlines_of_several_sizes() -> None:
    left = np.zeros((4, 4), dtype=np.bool_)
    left[:, :2] = True
    halves = [CocoAnnotation("", RLE.encode(left), "x"), CocoAnnotation("", ((6, 0, 8, 0, 8, 8, 6, 8),), "x")]
    mask = CocoImage("a.jpg", None, halves).union((8, 8)).decode()
    assert mask[:, :4].all()
    assert mask[:, 6:].all()
    assert not mask[:, 4:6].any()
    tall = CocoImage("a.jpg", None, [CocoAnnotation("", ((6, 0, 8, 0, 8, 9, 6, 9),), "x")])
    assert tall.likely_size == (9, 8)
    assert CocoImage("a.jpg").union((2, 3)) == RLE.empty((2, 3))


ASK = "Considering the relative positions of the {0} (annotated by the red box) and the {1} in the image provided, "
ASK += "where is the {0} (annotated by the red box) located with respect to the {1}?"


@pytest.mark.parametrize(
    ("marked", "other", "names", "index"),
    [
        ("stairs", "wall", ("wall", "stairs, steps"), 1),
        ("coffee table", "table", ("table", "coffee table, cocktail table"), 1),
        ("table", "coffee table", ("table", "coffee table, cocktail table"), 0),
        ("Person", "train", ("train", "person"), 1),
        ("trees", "shore", ("sea", "tree"), 1),  # neither word is a name
        ("bus", "cars", ("car, auto", "bus, autobus"), 1),
        ("tree", "trees", ("tree", "tree"), 0),
    ],
)
def test_which_name_has_the_red_box(marked: str, other: str, names: tuple[str, str], index: int) -> None:
    assert highlighted(ASK.format(marked, other), names) == index


def test_expressions() -> None:
    assert refer("curtain, drape", "How many?", "") == "curtain, drape"
    assert refer("('wall', 'stairs, steps')", "Where is the wall?", "") == "wall and stairs, steps"
    question = ASK.format("stairs", "wall")
    assert refer("('wall', 'stairs, steps')", question, "") == "stairs, steps (annotated by the red box) and wall"


def write(root: Path) -> None:
    """A PixCV-Bench of small masks, a polygon in each first image."""
    (root / "CV-Bench").mkdir()
    table = [",Id,file,Objects"]
    mask = RLE.encode(np.eye(6, dtype=np.bool_)).to_json()
    start = 0
    for source, count in (("ADE20K", 633), ("COCO", 805)):
        (root / IMAGES[source]).mkdir(parents=True)
        (root / IMAGES[source] / "0.jpg").touch()
        table += [f"{start + n},{start + n},CV-Bench/{IMAGES[source]}/{n}.jpg,lamp" for n in range(count)]
        images = [{"id": n, "file_name": f"{n}.jpg"} for n in range(count)]
        shapes: list[dict[str, Any]] = [{"image_id": n, "segmentation": dict(mask)} for n in range(count)]
        shapes.append({"image_id": 0, "segmentation": [[1, 1, 3, 1, 3, 3]]})
        path = root / source / "FinalSegmentations.json"
        path.write_text(json.dumps({"images": images, "annotations": shapes}))
        start += count
    table[3] = table[3].replace("lamp", "\"('lamp', 'wall')\"")
    (root / "CV-Bench" / "Objects.csv").write_text("\n".join(table))
    save_questions(root, questions_for(root / "CV-Bench" / "Objects.csv"))


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))

    return apply


def shapes(change: Callable[[Any], object]) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        path = root / "COCO" / "FinalSegmentations.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return apply


def counts(value: object) -> Callable[[Path], None]:
    return shapes(lambda d: d["annotations"][3]["segmentation"].update(counts=value))


TABLE, LINES = "CV-Bench/Objects.csv", "CV-Bench/test.jsonl"
WRONG: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: (f / TABLE).unlink(), "has no CV-Bench/Objects.csv and no Objects.csv; give the folder"),
    (lambda f: (f / LINES).unlink(), "has no CV-Bench/test.parquet and no CV-Bench/test.jsonl"),
    (lambda f: (f / "ADE20K/FinalSegmentations.json").unlink(), "has no ADE20K/validation/FinalSegmentations.json"),
    (edit(TABLE, "Objects", "Objetcs"), "no column 'Objects'; did you mean Objetcs"),
    (edit(TABLE, "9,9,", "9,8,"), "line 11: Id 8 stands in an earlier line too"),
    (edit(TABLE, "\n1437,1437", "\n1437,1438"), "column Id: has 1438 entries, not 1438: lacks 1437 and has an unknown"),
    (edit(TABLE, "('lamp', 'wall')", "('lamp', 'wall'"), "Objects.csv, Id 2: Objects .* is no tuple of two names"),
    (edit(TABLE, "('lamp', 'wall')", "('lamp',)"), "Objects.csv, Id 2: Objects .* is no tuple of two names"),
    (edit(TABLE, "images/5.jpg,lamp", "images/5.jpg,"), "Id 5: Objects is empty"),
    (edit(TABLE, "ADE20K/validation/images/5.jpg", "LVIS/5.jpg"), "Id 5: file .* is of none of ADE20K, COCO"),
    (edit(TABLE, "images/5.jpg", "images/4.jpg"), "has 632 images of ADE20K, not 633"),
    (edit(LINES, '"answer"', '"reply"'), "test.jsonl, line 1: is no JSON object with task"),
    (edit(LINES, '"(B)"', '"(Z)"'), r"row of 0.jpg: answer '\(Z\)' is no letter of"),
    (edit(LINES, '"7.jpg"', '"6.jpg"'), "row 7: 6.jpg of ADE20K stands in an earlier row too"),
    (edit(LINES, '"7.jpg"', '"x.jpg"'), "Id 7: .* has no 2D question about 7.jpg of ADE20K"),
    (edit(LINES, '["1", "2", "0", "3"]', '"1"'), "row 0: source_filename is no text or choices no list"),
    (shapes(lambda d: d["images"][5].update(file_name="4.jpg")), "two images have the file_name '4.jpg'; remove one"),
    (shapes(lambda d: d["images"][5].update(id=4)), "two images have the id 4"),
    (shapes(lambda d: d["images"][5].update(file_name="x.jpg")), "lacks '5.jpg' and has an unknown 'x.jpg'"),
    (shapes(lambda d: d["annotations"][3].update(image_id=-1)), "annotation number 3 is of image -1"),
    (counts(""), r"annotation number 3 \(image 3\) has no readable segmentation .its `counts` are no string of COCO"),
    (counts("0"), "its runs cover 0 pixels"),
    (counts("abc"), "its `counts` are no string of COCO's, or are cut off"),
    (counts("55"), "its runs cover 10 pixels, not 6 x 6"),
    (counts("\u00e9"), "has no readable segmentation"),
    (counts(7), "has no readable segmentation"),
    (lambda f: shutil.rmtree(f / "COCO/coco/images"), "COCO/coco/images: there is no such folder"),
    (lambda f: (f / "COCO/coco/images/0.jpg").unlink(), "has none of the 805 images"),
    (lambda f: (f / "CV-Bench/test.parquet").write_bytes(b"PAR1"), "is no readable parquet file|needs pyarrow"),
]


@pytest.mark.parametrize(("damage", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_wrong_input_is_named(damage: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    write(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        PixCVBench(str(tmp_path))


def test_parquet_is_read_like_lines(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason='reading parquet needs pip install "pixfound[cvbench]"')
    parquet = importlib.import_module("pyarrow.parquet")
    write(tmp_path)
    lines = PixCVBench(str(tmp_path))[:5]
    rows = questions_for(tmp_path / TABLE)
    (tmp_path / LINES).unlink()
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "CV-Bench" / "test.parquet")
    assert PixCVBench(str(tmp_path))[:5] == lines
    short = [{name: row[name] for name in COLUMNS if name != "choices"} for row in rows]
    parquet.write_table(pyarrow.Table.from_pylist(short), tmp_path / "CV-Bench" / "test.parquet")
    with pytest.raises(UserError, match=r"test\.parquet: has no column 'choices'"):
        PixCVBench(str(tmp_path))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    (tmp_path / "CV-Bench" / "test.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r'pip install "pixfound\[cvbench\]"'):
        PixCVBench(str(tmp_path))


def test_the_annotations_are_read_without_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", refuse)
    assert len(read_drafts(tmp_path, "all", None)[0]) == 1438


def test_an_unknown_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'PixCVBench.source=LVIS: must be one of "all", "ADE20K", "COCO"'):
        PixCVBench(str(tmp_path), source="LVIS")  # type: ignore[arg-type]
