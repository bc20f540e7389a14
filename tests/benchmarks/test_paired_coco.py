"""A benchmark of one's own, made from PixShapes and read back; and every way to get it wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from pixfound.benchmarks.annotations import parse_options
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.benchmarks.table.paired_table import PairedTable
from pixfound.config.factory import build
from pixfound.errors import UserError
from pixfound.pipeline.images import load
from pixfound.types.masks import RLE
from tests.support.run import run, scores_of

COLUMNS = ["id", "image", "question", "options", "answer", "expression", "pair_id", "annotations", "category"]


def paired_coco(**arguments: str) -> PairedTable:
    """The preset over some files."""
    preset = OmegaConf.load(Path(__file__).parents[2] / "conf/benchmark/paired_coco.yaml")
    config = OmegaConf.to_container(OmegaConf.merge(preset, arguments), resolve=True)
    assert isinstance(config, dict)
    return build({str(name): value for name, value in config.items()}, "benchmark", PairedTable).built


def write(folder: Path, pairs: int = 2) -> dict[str, str]:
    """PixShapes as COCO JSON, CSV and PNG files; returns the constructor's arguments."""
    (folder / "images").mkdir(parents=True)
    images, annotations, rows = [], [], []
    for number, example in enumerate(PixShapes(pairs=pairs)):
        name = f"{example.id}.png"
        example.image.load().save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "height": 128, "width": 128})
        referred = []
        for mask in example.objects:
            annotations.append({"id": len(annotations), "image_id": number, "segmentation": mask.to_json()})
            if (mask.decode() & example.gt_mask.decode()).any():
                referred.append(str(len(annotations) - 1))
        options = " ".join(f"({'ab'[i]}) {option}" for i, option in enumerate(example.options))
        answer = f"({'ab'[example.answer]})"
        fields = [example.id, name, example.question, options, answer, f" {example.expression}", example.pair_id]
        rows.append([*fields, " ".join(referred), example.tags["category"]])
    (folder / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    with (folder / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return {
        "annotations": str(folder / "coco.json"),
        "questions": str(folder / "table.csv"),
        "images": str(folder / "images"),
    }


def test_what_was_written_is_read(tmp_path: Path) -> None:
    read, original = paired_coco(**write(tmp_path)), PixShapes(pairs=2)
    assert len(read) == len(original)
    for a, b in zip(read, original, strict=True):
        assert (a.id, a.question, a.options, a.answer, a.expression) == (
            b.id,
            b.question,
            b.options,
            b.answer,
            b.expression,
        )
        assert (a.pair_id, a.tags, a.gt_mask) == (b.pair_id, b.tags, b.gt_mask)
        assert set(a.objects) == set(b.objects)
        assert a.image.load().tobytes() == b.image.load().tobytes()


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16")])
def test_a_table_that_excel_saved(separator: str, encoding: str, tmp_path: Path) -> None:
    """With semicolons or as Unicode text, lines within a cell, and cells that were used once beside and below it."""
    arguments = write(tmp_path)
    expected = list(paired_coco(**arguments))
    rows = list(csv.reader((tmp_path / "table.csv").open()))
    rows[1][COLUMNS.index("question")] = expected[0].question.replace(" ", "\n")
    with (tmp_path / "table.csv").open("w", newline="", encoding=encoding) as stream:
        writer = csv.writer(stream, delimiter=separator)
        writer.writerows([*([*row, "", ""] for row in rows), [""] * len(rows[0])])
    read = list(paired_coco(**arguments))
    assert read[1:] == expected[1:]
    assert read[0].question.split("\n") == expected[0].question.split()


def test_polygons_and_uncompressed_counts(tmp_path: Path) -> None:
    arguments = write(tmp_path)
    data = json.loads((tmp_path / "coco.json").read_text())
    data["annotations"][0]["segmentation"] = [[10, 10, 20, 10, 20, 30, 10, 30]]
    data["annotations"][1]["segmentation"] = {"size": [128, 128], "counts": [256, 128, 128 * 125]}
    (tmp_path / "coco.json").write_text(json.dumps(data))
    del data["images"][0]["height"]  # then it is the picture's
    (tmp_path / "coco.json").write_text(json.dumps(data))
    first, second = paired_coco(**arguments)[0].objects[:2]
    assert first.decode()[10:30, 10:20].all()
    assert first.area == 200
    assert second.decode()[:, 2].all()
    assert second.area == 128


def in_order(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: data[name] for name in names if name in data}


@pytest.mark.parametrize(
    "change",
    [
        lambda data: in_order(data, "annotations", "images"),
        lambda data: {"info": {"images": [1]}, "licenses": [], **in_order(data, "annotations", "images"), "x": [[]]},
        lambda data: {"images": data["images"][::-1], "annotations": data["annotations"]},
        lambda data: data | {"annotations": [a | {"area": float("nan"), "bbox": [1e400]} for a in data["annotations"]]},
        lambda data: data | {"annotations": [a | {"image_id": float(a["image_id"])} for a in data["annotations"]]},
        lambda data: (
            data
            | {"images": [i | {"id": f"{i['id']}"} for i in data["images"]]}
            | {"annotations": [a | {"image_id": f"{a['image_id']}"} for a in data["annotations"]]}
        ),
    ],
    ids=[
        "annotations first",
        "between others",
        "images in another order",
        "no strict JSON",
        "1.0 is 1",
        "ids in words",
    ],
)
def test_any_order_and_any_ids(change: Callable[[dict[str, Any]], dict[str, Any]], tmp_path: Path) -> None:
    arguments = write(tmp_path)
    expected = list(paired_coco(**arguments))
    data = json.loads((tmp_path / "coco.json").read_text())
    (tmp_path / "coco.json").write_text(json.dumps(change(data)))
    assert list(paired_coco(**arguments)) == expected


def test_without_ids_of_annotations_all_of_the_image_is_meant(tmp_path: Path) -> None:
    arguments = write(tmp_path)
    expected = paired_coco(**arguments)[1].objects
    table(lambda rows: [row.pop(COLUMNS.index("annotations")) for row in rows])(tmp_path)
    example = paired_coco(**arguments)[1]
    assert example.objects == ()
    assert (example.gt_mask.decode() == np.any([mask.decode() for mask in expected], axis=0)).all()


def test_what_is_absent_says_so(tmp_path: Path) -> None:
    """By an empty cell, or an RLE of no pixel. What is not referred to may be outlined as it likes."""
    arguments = write(tmp_path)
    set_cell(1, "annotations", "")(tmp_path)
    set_cell(2, "annotations", "4")(tmp_path)
    annotations(lambda d: d["annotations"][0].update(segmentation=[]))(tmp_path)
    nothing = RLE.empty((128, 128)).to_json()
    annotations(lambda d: d["annotations"].append({"id": 4.0, "image_id": 1, "segmentation": nothing}))(tmp_path)
    annotations(lambda d: [d["annotations"].remove(a) for a in d["annotations"][3:-1] if a["id"] == 4] and None)(
        tmp_path
    )
    first, second = paired_coco(**arguments)[:2]
    assert first.absent and second.absent
    assert all(mask.area for mask in first.objects)


def test_a_run_over_files(models: Path, tmp_path: Path) -> None:
    arguments = write(tmp_path / "data")
    (tmp_path / "data/images/0001a.png").unlink()
    overrides = [f"benchmark.{name}={value}" for name, value in arguments.items()]
    result = run(models, tmp_path / "out", "benchmark=paired_coco", *overrides)
    lost = {s["example_id"] for s in scores_of(result) if "failed: " in s["reason"]}
    assert lost == {"0001a"}
    assert "FileNotFoundError" in " ".join(result.failures)


def test_masks_of_a_turned_photo_name_its_exif(tmp_path: Path) -> None:
    arguments = write(tmp_path, pairs=1)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (96, 128)).save(tmp_path / "images/0000a.png", exif=exif)
    annotations(lambda d: d["images"][0].update(height=96, width=128))(tmp_path)
    annotations(lambda d: [a.update(segmentation=[[9, 9, 90, 9, 9, 90]]) for a in d["annotations"]])(tmp_path)
    with pytest.raises(UserError, match=r"is of 96 x 128 pixels, .* EXIF orientation turns it: benchmark.exif=turned"):
        paired_coco(**arguments)
    assert load(paired_coco(**arguments, exif="turned")[0]).size == (128, 96)
    annotations(lambda d: d["images"][0].update(height=128, width=96))(tmp_path)
    assert load(paired_coco(**arguments)[0]).size == (96, 128)
    with pytest.raises(UserError, match=r"is of 128 x 96 pixels, .* EXIF orientation turns it: benchmark.exif=stored"):
        paired_coco(**arguments, exif="turned")
    annotations(lambda d: d["images"][0].update(height=128, width=95))(tmp_path)
    with pytest.raises(UserError, match=r"is of 96 x 128 pixels, the table says 95 x 128; get the right one"):
        paired_coco(**arguments)
    with pytest.raises(UserError, match=r'benchmark.exif=upright: must be one of "stored", "turned"'):
        paired_coco(**arguments, exif="upright")


@pytest.mark.parametrize(
    ("text", "options"),
    [("(a) Open (b) Closed", ("Open", "Closed")), ("yes|no", ("yes", "no")), ("(a) 1 (b) 2 (c) 3", ("1", "2", "3"))],
)
def test_options(text: str, options: tuple[str, ...]) -> None:
    assert parse_options(text) == options


def table(change: Callable[[list[list[str]]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        rows = list(csv.reader((folder / "table.csv").open()))
        change(rows)
        with (folder / "table.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)

    return apply


def annotations(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        data = json.loads((folder / "coco.json").read_text())
        change(data)
        (folder / "coco.json").write_text(json.dumps(data))

    return apply


def empty_folder(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.unlink()


def no_folder(folder: Path) -> None:
    (folder / "images").rename(folder / "elsewhere")


def set_cell(row: int, column: str, value: str) -> Callable[[Path], None]:
    return table(lambda rows: rows[row].__setitem__(COLUMNS.index(column), value))


without_ids = table(lambda rows: [row.pop(COLUMNS.index("annotations")) for row in rows] and None)


def outline(segmentation: Any) -> Callable[[Path], None]:
    """Of the object that the first line refers to."""

    def change(data: Any) -> None:
        data["annotations"][0]["segmentation"] = segmentation
        data["images"].append({"id": "x", "file_name": "x.png", "height": 128, "width": 128})

    def apply(folder: Path) -> None:
        annotations(change)(folder)
        set_cell(1, "annotations", "0")(folder)

    return apply


WRONG: list[tuple[Callable[[Path], object], str]] = [
    (empty_folder, r"benchmark.images=.*/images: has none of the 4 images \(the first is 0000a.png\)"),
    (no_folder, "benchmark.images=.*/images: there is no such folder"),
    (lambda f: (f / "coco.json").unlink(), "benchmark.annotations=.* cannot be read"),
    (lambda f: (f / "coco.json").write_text("{"), "is no JSON file"),
    (lambda f: (f / "coco.json").write_text("[]"), "has no list `images`"),
    (lambda f: (f / "coco.json").write_text("12"), "has no list `images`"),
    (lambda f: (f / "coco.json").write_text('{"annotations": []}'), "has no list `images`"),
    (
        lambda f: (f / "coco.json").write_bytes(b'{"images": [], "\xff": 1}'),
        "is no JSON file .*byte 0xff in position 16",
    ),
    (lambda f: (f / "coco.json").write_text('{"images": [], "info" 1}'), "no JSON file .*Expecting ':'.*column 23"),
    (annotations(lambda d: d.update(images={})), "has no list `images`"),
    (annotations(lambda d: d.update(annotations=None)), "has no list `annotations`"),
    (annotations(lambda d: d["images"].append("0000a.png")), "image number 4 has no readable id, file_name or size"),
    (annotations(lambda d: d["annotations"].append(7)), "annotation number 13 is 7, not an object"),
    (annotations(lambda d: d["annotations"][0].update(image_id="0")), "annotation 0 is of image '0', which is not"),
    (annotations(lambda d: d["images"][0].update(height="abc")), "invalid literal for int"),
    (
        annotations(lambda d: d["annotations"][0].update(image_id=99)),
        "annotation 0 is of image 99, which is not listed",
    ),
    (annotations(lambda d: d["annotations"][0].update(segmentation={})), "annotation 0 has no readable segmentation"),
    (
        annotations(lambda d: d["annotations"][0].update(segmentation=RLE.empty((64, 64)).to_json())),
        r"annotation 0 has no readable segmentation \(.*the image of \(128, 128\)",
    ),
    (lambda f: (f / "table.csv").unlink(), "benchmark.rows=.*table.csv: there is no such file"),
    (table(lambda rows: rows[0].__setitem__(2, "questoin")), "no column 'question'; did you mean questoin"),
    (
        table(lambda rows: rows[2].append("more")),
        "line 3: has 10 fields, the header 9; put quotes around values with commas",
    ),
    (
        lambda f: (f / "table.csv").write_bytes(b"id,image\n\xff"),
        "table.csv: is no text .*position 9.*; save it as CSV in UTF-8",
    ),
    (
        outline({"size": [128, 128], "counts": "abc"}),
        "annotation 0 has .*are cut off.; outline the object again",
    ),
    (
        outline({"size": [128, 128], "counts": "529"}),
        "annotation 0 has no readable .*its runs cover 16 pixels, not 128",
    ),
    (outline({"size": [128, 128], "counts": [1, 2]}), "annotation 0 has no readable .*its runs cover 3 pixels"),
    (outline({"size": [128, 128]}), "annotation 0 has no readable segmentation .its `counts` must be"),
    (outline([[0, 0, float("nan"), 9, 9, 9]]), "annotation 0 has no readable segmentation .*nan is none"),
    (outline([[0, 0, float("inf"), 9, 9, 9]]), "annotation 0 has no readable segmentation .*inf is none"),
    (outline([0, 0, 9, 0, 9, 9]), "annotation 0 has no readable segmentation .*stands in a list of such, not 0"),
    (outline([[200, 0, 300, 0, 300, 9]]), "annotation 0 has no readable .*no polygon lies in the image of 128 x 128"),
    (
        annotations(lambda d: d["annotations"][0].pop("segmentation")),
        "annotation 0 has no readable segmentation .it has",
    ),
    (
        outline([]),
        "line 2: column `annotations`: '0' .*annotation 0 outlines no pixel of it.; .* or none where the object is abs",
    ),
    (outline([[5, 5, 5.1, 5, 5.1, 5.1]]), "line 2: column `annotations`: '0' .*annotation 0 outlines no"),
    (annotations(lambda d: d["annotations"][1].update(id=0)), "two annotations have the id 0; ids must be unique"),
    (annotations(lambda d: d["annotations"][1].update(id="0")), "two annotations have the id 0; ids must be unique"),
    (
        annotations(lambda d: d["annotations"][1].pop("id")),
        "annotation number 1 .image 0. has no id; give it a number",
    ),
    (annotations(lambda d: d["images"][1].update(id=0)), "two images have the id 0; ids must be unique"),
    (
        annotations(lambda d: d["images"][1].update(file_name="0000a.png")),
        "have the file_name '0000a.png'; remove one",
    ),
    (annotations(lambda d: d["images"][0].update(height=0)), "image number 0 has no readable .*both at least 1"),
    (
        set_cell(3, "pair_id", "0000"),
        "line 4: the pair '0000' has two examples already, .*line 2 and .*line 3; give this one",
    ),
    (set_cell(2, "question", " "), "line 3: example 0000b: the question is empty; put it right in the table"),
    (set_cell(2, "expression", ""), "line 3: example 0000b: the expression is empty"),
    (set_cell(2, "options", "yes|"), "line 3: example 0000b: option B is empty"),
    (set_cell(2, "options", "(a) (b) no"), "line 3: example 0000b: option A is empty"),
    (set_cell(2, "options", "(a) Yes. (b)  yes"), "line 3: example 0000b: the options A and B are equal .'yes'"),
    (set_cell(2, "options", "(b) no (a) yes"), "line 3: column `options`: .* is no `.a. yes .b. no` in this order"),
    (set_cell(2, "options", "is it (a) yes (b) no"), "line 3: column `options`: .* is no `.a. yes"),
    (set_cell(2, "options", "|".join(map(str, range(60)))), "line 3: example 0000b: a question needs 2 to 26 .*not 60"),
    (
        lambda f: (outline([[1, 1, 9, 1, 9, 9]])(f), set_cell(1, "image", "x.png")(f), without_ids(f)),
        "line 2: column `annotations` says no region; where the object is absent an empty cell .* says so",
    ),
    (set_cell(2, "answer", "c"), "line 3: column `answer`: 'c' is no letter of the options"),
    (set_cell(2, "options", "yes"), "line 3: column `options`: 'yes' is no `.a. yes .b. no`"),
    (set_cell(2, "id", "0000a"), "line 3: the id '0000a' stands in an earlier row too .*line 2"),
    (set_cell(2, "image", "0000c.png"), "line 3: column `image`: '0000c.png' is not in .*; did you mean 0000"),
    (
        lambda f: (
            set_cell(1, "image", "../secret.png")(f),
            annotations(lambda d: d["images"][0].update(file_name="../secret.png"))(f),
        ),
        "'../secret.png' leads out of",
    ),
    (set_cell(2, "annotations", "77"), "line 3: column `annotations`: '77' .*77 does not belong to this image"),
]


@pytest.mark.parametrize(("damage", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_wrong_input_is_named(damage: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    arguments = write(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        paired_coco(**arguments)
