"""The reader of tables: every kind of file and of column, and each fault with its place and its cure."""

from __future__ import annotations

import base64
import csv
import json
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pixfound.benchmarks.image_sources import ImageFile
from pixfound.benchmarks.table.paired_table import PairedTable
from pixfound.benchmarks.table.region_columns import box_mask
from pixfound.benchmarks.table.rows import read_rows
from pixfound.benchmarks.table.texts import split_options
from pixfound.errors import UserError
from pixfound.pipeline.images import load
from pixfound.types.masks import RLE
from tests.apps.data.test_prepare import command
from tests.support.hub_server import COMMIT, HubServer, Repo

SIZE = (30, 40)  # (H, W) of every picture
BOX = [10, 5, 30, 20]  # xyxy
MASK = np.zeros(SIZE, np.bool_)
MASK[5:20, 10:30] = True
ROW: dict[str, Any] = {
    "image": "a.png",
    "question": "Is it red?",
    "options": "(a) yes (b) no",
    "answer": "b",
    "expression": "the door",
    "region": BOX,
}
COLUMNS: dict[str, Any] = {
    "image": "image",
    "question": "question",
    "options": "options",
    "answer": "answer",
    "expression": "expression",
    "region": "region",
}


def png(colour: str = "red") -> bytes:
    stream = BytesIO()
    Image.new("RGB", SIZE[::-1], colour).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "b.png").write_bytes(png("blue"))
    Image.fromarray((MASK * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    Image.fromarray(MASK.astype(np.uint8)).save(tmp_path / "dark.png")
    return tmp_path


def read(
    folder: Path, *rows: Mapping[str, Any], columns: Mapping[str, Any] | None = None, **options: Any
) -> PairedTable:
    """A benchmark of JSON rows, whose columns replace those of `COLUMNS`."""
    (folder / "rows.json").write_text(json.dumps(list(rows)))
    return PairedTable(**{"rows": str(folder / "rows.json"), "columns": {**COLUMNS, **(columns or {})}, **options})


def write(folder: Path, kind: str) -> str:
    rows = [ROW, {**ROW, "image": "b.png", "answer": "a"}]
    texts = [{**row, "region": json.dumps(row["region"])} for row in rows]
    path = folder / f"rows.{kind}"
    if kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind in ("csv", "tsv"):
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(ROW), delimiter="," if kind == "csv" else "\t")
            writer.writeheader()
            writer.writerows(texts)
    return str(path)


@pytest.mark.parametrize("kind", ["json", "jsonl", "parquet", "csv", "tsv"])
def test_every_kind_of_file_gives_the_same_examples(kind: str, folder: Path) -> None:
    first, second = PairedTable(write(folder, kind), COLUMNS)
    assert (first.id, first.question, first.options, first.answer) == ("0", "Is it red?", ("yes", "no"), 1)
    assert (second.id, second.answer, second.expression) == ("1", 0, "the door")
    assert (first.gt_mask.decode() == MASK).all()
    assert first.boxes == (tuple(map(float, BOX)),)
    assert load(second).getpixel((0, 0)) == (0, 0, 255)
    assert second.image.digest() == ImageFile(str(folder / "b.png")).digest()


def test_nested_json_folders_and_files_of_one_row(folder: Path) -> None:
    (folder / "x").mkdir()
    (folder / "x/b.json").write_text(json.dumps({**ROW, "data": {"rows": [ROW]}}))
    (folder / "x/b.jpg").write_bytes(png())
    columns = {**COLUMNS, "image": {"column": "@stem", "suffixes": [".png", ".jpg"]}, "tags": ["@folder"]}
    (one,) = PairedTable(str(folder / "**/*.json"), {**columns, "id": "@stem"})
    assert (one.id, one.tags, load(one).size) == ("x/b", {"folder": "x"}, SIZE[::-1])
    (two,) = PairedTable(str(folder / "x/b.json"), COLUMNS, inside="data.rows", images=str(folder))
    assert two.image.digest() == ImageFile(str(folder / "a.png")).digest()
    (folder / "rows.json").write_text(json.dumps({"a.png": {**ROW}, "b.png": {**ROW}}))
    keyed = PairedTable(str(folder / "rows.json"), {**COLUMNS, "image": "@key", "id": "@key"}, where={"answer": ["b"]})
    assert [example.id for example in keyed] == ["a.png", "b.png"]
    (folder / "metadata.jsonl").write_text(json.dumps({**ROW, "file_name": "b.png"}))
    (three,) = PairedTable(str(folder), {**COLUMNS, "image": "file_name"})
    assert load(three).getpixel((0, 0)) == (0, 0, 255)


def test_parquet_with_pictures_is_read_without_decoding_one(tmp_path: Path) -> None:
    """1,000 rows, also bytes that are no picture but for their head; each is loaded from its own row group."""
    stream = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)).save(stream, "PNG")
    large, rows = stream.getvalue(), []
    for number in range(1000):
        content = png("blue") if number == 501 else large[: len(large) // 2]  # cut off: it cannot be decoded
        rows.append({**ROW, "picture": {"bytes": content, "path": "x.png"}})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet", row_group_size=100)
    began = time.process_time()  # of this process, whatever else the machine does
    table = PairedTable(str(tmp_path / "r.parquet"), {**COLUMNS, "image": {"column": "picture", "form": "bytes"}})
    digests = {example.image.digest() for example in table}
    assert time.process_time() - began < 2
    assert (len(table), len(digests), table[0].gt_mask.size) == (1000, 2, (120, 160))
    assert load(table[501]).getpixel((0, 0)) == (0, 0, 255)
    with pytest.raises(OSError, match="truncated"):
        load(table[0])


def test_pictures_in_base64_name_each_other(folder: Path) -> None:
    text = base64.b64encode(png("blue")).decode()
    rows = [{**ROW, "index": 7, "image": text}, {**ROW, "index": 8, "image": "7"}]
    image = {"column": "image", "form": "base64", "index": "index"}
    assert [load(one).getpixel((0, 0)) for one in read(folder, *rows, columns={"image": image})] == [(0, 0, 255)] * 2
    data_url = read(folder, {**ROW, "image": f"data:image/png;base64,{text}"}, columns={"image": {"form": "base64"}})
    assert load(data_url[0]).size == SIZE[::-1]


def test_a_box_is_the_mask_of_its_pixels() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        height, width = rng.integers(1, 60, 2).tolist()
        x0, y0 = int(rng.integers(0, width)), int(rng.integers(0, height))
        x1, y1 = int(rng.integers(x0 + 1, width + 1)), int(rng.integers(y0 + 1, height + 1))
        pixels = np.zeros((height, width), np.bool_)
        pixels[y0:y1, x0:x1] = True
        assert RLE.from_box((x0, y0, x1, y1), (height, width)) == RLE.encode(pixels)
    assert box_mask((2.4, 2.5, 2.6, 4.6), (9, 9)).decode().nonzero() == (pytest.approx([3, 4]), pytest.approx([2, 2]))


SQUARE = 40  # side of the square around the picture, which lies 5 pixels below its top


@pytest.mark.parametrize(
    ("region", "spec"),
    [
        ([10, 5, 20, 15], {"order": "xywh"}),
        ([0.25, 5 / 30, 0.75, 20 / 30], {"scale": "0-1"}),
        ([250, 500 / 3, 750, 2000 / 3], {"scale": "0-1000"}),
        ([10 / SQUARE, 10 / SQUARE, 30 / SQUARE, 25 / SQUARE], {"scale": "0-1", "frame": "square"}),
        ("a.png###[10, 5, 30, 20]", {"match": "###(.*)"}),
        ([[10, 5, 20, 20], [20, 5, 30, 20]], {}),
        ([10, 5, 30, 5, 30, 20, 10, 20], {"form": "polygon"}),
        ([[10, 5], [30, 5], [30, 20], [10, 20]], {"form": "polygon"}),
        ([{"x": 10, "y": 5}, {"x": 30, "y": 5}, {"x": 30, "y": 20}, {"x": 10, "y": 20}], {"form": "polygon"}),
        ([[10, 5, 20, 5, 20, 20, 10, 20], [20, 5, 30, 5, 30, 20, 20, 20]], {"form": "polygon"}),
        ([[[10, 5], [30, 5], [30, 20], [10, 20]]], {"form": "polygon"}),
        ([0.25, 5 / 30, 0.75, 5 / 30, 0.75, 20 / 30, 0.25, 20 / 30], {"form": "polygon", "scale": "0-1"}),
        (RLE.encode(MASK).to_json(), {"form": "rle"}),
        ([RLE.encode(MASK).to_json()], {"form": "rle"}),
        ("mask.png", {"form": "mask"}),
        ("dark.png", {"form": "mask", "inside": "nonzero"}),
        ({"x": 10, "y": 5, "width": 20, "height": 15}, {"order": "xywh"}),
        ([{"xmin": 10, "ymin": 5, "xmax": 30, "ymax": 20}], {}),
        (["mask.png"], {"form": "mask"}),
        ([1], {"form": "annotations"}),
        ("1 2", {"form": "annotations"}),
    ],
)
def test_every_region_is_the_same_mask(region: Any, spec: dict[str, Any], folder: Path) -> None:
    annotations = [{"id": i, "image_id": 5, "segmentation": RLE.encode(MASK).to_json()} for i in (1, 2)]
    image = {"id": 5, "file_name": "a.png", "height": SIZE[0], "width": SIZE[1]}
    (folder / "coco.json").write_text(json.dumps({"images": [image], "annotations": annotations}))
    coco = str(folder / "coco.json") if spec.get("form") == "annotations" else None
    (one,) = read(folder, {**ROW, "region": region}, columns={"region": {"column": "region", **spec}}, annotations=coco)
    assert (one.gt_mask.decode() == MASK).all()


def test_instances_boxes_and_pixels_to_ignore(folder: Path) -> None:
    small = [15, 10, 18, 10, 18, 14, 15, 14]
    row = {
        **ROW,
        "shapes": [{"label": "target", "p": [10, 5, 30, 5, 30, 20, 10, 20]}, {"label": "ignored", "p": small}],
    }
    columns = {
        "region": {"column": "shapes.[label=target].p", "form": "polygon", "several": "instances"},
        "ignore": {"column": "shapes.[label~ignore].p", "form": "polygon"},
        "boxes": "region",
    }
    (one,) = read(folder, row, columns=columns)
    assert one.ignore is not None
    assert (one.ignore.area, one.gt_mask.area, one.instances) == (12, 300 - 12, (one.gt_mask,))
    assert one.boxes == ((10.0, 5.0, 30.0, 20.0),)
    two = read(
        folder, {**ROW, "region": [BOX, [0, 0, 2, 2]]}, columns={"region": {"column": "region", "several": "instances"}}
    )
    assert [part.area for part in two[0].instances] == [300, 4]
    assert two[0].gt_mask.area == 304


@pytest.mark.parametrize(
    ("row", "absent"),
    [
        ({"region": None}, {"when": ["null"]}),
        ({"region": None}, {"when": [None, "empty"]}),
        ({"region": []}, {"when": ["empty"]}),
        ({"region": ""}, {"when": ["empty"]}),
        ({"region": "null"}, {"when": ["null"]}),
        ({"region": [0, 0, 0, 0]}, {"when": ["zeros"]}),
        ({"gone": "yes"}, {"column": "gone"}),
        ({"gone": "TRUE"}, {"column": "gone"}),
        ({"gone": 2}, {"column": "gone", "values": [2]}),
    ],
)
def test_what_is_absent_says_so(row: dict[str, Any], absent: dict[str, Any], folder: Path) -> None:
    (one,) = read(folder, {**ROW, **row}, columns={"absent": absent})
    assert one.absent
    assert one.gt_mask.size == SIZE


def test_a_negative_expression_is_a_pair(folder: Path) -> None:
    columns = {"question": None, "options": None, "answer": None, "absent": {"expression": "question"}, "id": "image"}
    there, gone = read(folder, ROW, columns=columns)
    assert (there.pair_id, gone.pair_id, gone.expression) == ("a.png", "a.png", "Is it red?")
    assert (there.kinds, gone.kinds, there.absent, gone.absent) == (("ground",), ("ground",), False, True)


def test_a_pair_of_one_is_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(folder, *({**ROW, "pair": pair} for pair in "aab"), columns={"pair": "pair"})
    assert caplog.messages == [f"1 pairs have one example alone; the first: {folder / 'rows.json'}, entry 2"]


def test_texts_options_and_answers(folder: Path) -> None:
    row = {**ROW, "A": "red", "B": "blue", "C": None, "D": "", "answer": "blue", "question": "<q>Which one?</q>"}
    columns = {
        "question": {"column": "question", "remove": "</?q>"},
        "options": {"columns": ["A", "B", "C", "D"]},
        "answer": {"column": "answer", "form": "text"},
        "expression": {"template": "the one that is {answer}, {A} or not: {question}"},
        "id": {"template": "x-{@number}"},
    }
    (one,) = read(folder, row, columns=columns)
    assert (one.id, one.question, one.options, one.answer) == ("x-0", "Which one?", ("red", "blue"), 1)
    assert one.expression == "the one that is blue, red or not: Which one?"
    inside = {**ROW, "question": "Which? <choice>(a) red, (b) blue</choice>", "answer": "(b) blue"}
    (two,) = read(
        folder,
        inside,
        columns={"question": {"column": "question", "remove": "</?choice>"}, "options": {"inside": True}},
    )
    assert (two.question, two.options, two.answer) == ("Which?", ("red", "blue"), 1)
    first = {"options": {"column": "options", "shuffle": 3}, "answer": {"form": "first"}}
    rows = [{**ROW, "options": ["right", "wrong", "worse"]}] * 30
    found = read(folder, *rows, columns=first)
    assert {example.options[example.answer or 0] for example in found} == {"right"}
    assert {example.answer for example in found} == {0, 1, 2}
    (index,) = read(folder, {**ROW, "answer": 2}, columns={"answer": {"column": "answer", "form": "index", "start": 1}})
    assert index.answer == 1
    either = {"options": {"columns": ["A?", "B?"], "column": "all?"}, "answer": "answer"}
    both = read(folder, {**ROW, "A": "red", "B": "blue"}, {**ROW, "all": "A. red\nB. blue"}, columns=either)
    assert {example.options for example in both} == {("red", "blue")}
    free = {"options": None, "answer": {"column": "answer", "form": "text", "grading": "vqa"}}
    (three,) = read(folder, {**ROW, "answer": ["red", "red", "pink"]}, columns=free)
    assert (three.answers, three.grading, three.kinds) == (("red", "red", "pink"), "vqa", ("open", "ground"))
    (texts,) = read(folder, {**ROW, "answer": "['red', 'blue']"}, columns=free)  # as a cell of a CSV file has them
    assert texts.answers == ("red", "blue")
    (named,) = read(folder, {**ROW, "options": {"B": "no", "A": "yes", "C": None}, "answer": "B. no"})
    assert (named.options, named.answer) == (("yes", "no"), 1)
    mixed = [{**ROW, "answer": "no"}, {**ROW, "answer": "red", "options": None}, {"image": "a.png"}]
    mixed[2] |= {"expression": "it", "region": BOX}  # without the other keys
    found = read(folder, *mixed, columns={"answer": {"column": "answer", "form": "text"}})
    assert [(e.answer, e.answers, len(e.kinds)) for e in found] == [(1, (), 3), (None, ("red",), 2), (None, (), 1)]
    each = read(folder, {**ROW, "expression": ["it", "that"]}, columns={"id": "image"})
    assert [(example.id, example.expression) for example in each] == [("a.png-0", "it"), ("a.png-1", "that")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What? A. red\nB. blue", ("What?", ("red", "blue"))),
        ("(A) red (B) blue (C) a (B) one", ("", ("red", "blue", "a (B) one"))),
        ("Is this a. thing?", ("Is this a. thing?", ())),
        ("A) 1\nB) 2\nC) 3", ("", ("1", "2", "3"))),
        ("Who?\n(A) A. Smith\n(B) B. Jones", ("Who?", ("A. Smith", "B. Jones"))),
        ("Which? A) a b) thing B) c", ("Which?", ("a b) thing", "c"))),
        ("[A] U.S. [B] U.K.", ("", ("U.S.", "U.K."))),
    ],
)
def test_options_in_a_text(text: str, found: tuple[str, tuple[str, ...]]) -> None:
    assert split_options(text) == found


FAULTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {"region": [30, 5, 10, 20]},
        {},
        r"column `region`: \[30, 5, 10, 20\] is a box without extent.*swapped corners; it would fit with order=xywh",
    ),
    ({"region": [100, 500, 750, 800]}, {}, "lies outside the image of 40 x 30 pixels; it would fit with scale=0-1000"),
    ({"region": [0.5, 2, 0.4, 0.9]}, {}, "is a box without extent, or with swapped corners; put its corners right"),
    ({"region": [1, 2, 3]}, {}, r"column `region`: .* is no box of four numbers"),
    ({"region": [1, 2, "x", 4]}, {}, "is no box of four numbers; give numbers"),
    ({"region": None}, {}, "column `region` says no region; .*absent.when="),
    (
        {"region": {"size": [30, 40], "counts": [1, 2]}},
        {"region": {"column": "region", "form": "rle"}},
        "is no rle of this image .its runs cover 3 pixels, not 30 x 40",
    ),
    (
        {"region": {"size": [40, 30], "counts": [1200]}, "h": 30, "w": 40},
        {"region": {"column": "region", "form": "rle"}, "size": {"height": "h", "width": "w"}},
        r"the mask is of size \(40, 30\), the image of \(30, 40\)",
    ),
    ({"region": "gone.png"}, {"region": {"column": "region", "form": "mask"}}, "is no mask of this image .*gone.png"),
    (
        {"region": [90, 90, 95, 90, 95, 95]},
        {"region": {"column": "region", "form": "polygon"}},
        "no polygon lies in the image",
    ),
    (
        {"region": RLE.empty(SIZE).to_json()},
        {"region": {"column": "region", "form": "rle"}},
        "column `region` holds no pixel; .*absent.when=.empty",
    ),
    (
        {"region": "dark.png"},
        {"region": {"column": "region", "form": "mask"}},
        "its levels go up to 1; benchmark.columns.region.inside=nonzero",
    ),
    (
        {"region": "mask.png", "h": 10, "w": 10, "image": "not here.png"},
        {"region": {"column": "region", "form": "mask"}, "size": {"height": "h", "width": "w"}},
        "it is 40 x 30 pixels, the image 10 x 10",
    ),
    (
        {"h": 40, "w": 30},
        {"size": {"height": "h", "width": "w"}},
        "column `image`: 'a.png' is of 40 x 30 pixels, the table says 30 x 40; it is turned",
    ),
    ({"answer": "c"}, {}, r"column `answer`: 'c' is no letter of the options \['yes', 'no'\]"),
    ({"answer": "no"}, {}, "'no' is no letter of the options .*answer.form=text"),
    ({"answer": "a yes man"}, {}, "'a yes man' is no letter of the options .*; put it right$"),
    (
        {"answer": "  "},
        {"options": None, "answer": {"column": "answer", "form": "text"}},
        "column `answer`: '  ' has no answer",
    ),
    ({"options": "(b) no (a) yes"}, {}, "column `options`: .*is no `.a. yes .b. no` in this order"),
    ({"options": "yes|yes"}, {}, "the options A and B are equal"),
    ({"question": " "}, {}, "the question is empty"),
    ({"options": None}, {}, "column `options` holds no options; answers in words"),
    ({"expression": None}, {}, "column `expression` holds no expression"),
    ({"image": "../a.png"}, {}, "column `image`: '../a.png' leads out of the folder"),
    ({"image": None}, {}, "column `image` is no picture as file; .*image.form"),
    ({"image": "x"}, {"image": {"column": "image", "form": "base64"}}, "column `image` is no base64"),
    ({}, {"question": "questoin"}, "there is no column `questoin`; did you mean question"),
    ({}, {"question": {"column": "question", "match": "#(.*)"}}, "column `question`: 'Is it red.' does not match"),
    ({"size": "40,30"}, {"size": "size"}, "column `size`: .*is no size in pixels"),
    ({}, {"id": {"template": "same"}, "expression": {"template": ""}}, "the expression is empty"),
]


@pytest.mark.parametrize(("row", "columns", "message"), FAULTS, ids=[message[-40:] for *_, message in FAULTS])
def test_a_fault_names_row_column_value_and_cure(
    row: dict[str, Any], columns: dict[str, Any], message: str, folder: Path
) -> None:
    with pytest.raises(UserError, match=rf"rows.json, entry 0: .*{message}"):
        read(folder, {**ROW, **row}, columns=columns)
    if row and not columns:
        left = read(folder, ROW, {**ROW, **row}, unusable="leave_out")
        assert ([example.id for example in left], len(left.faults)) == (["0"], 1)
        assert left.faults[0][0].endswith("rows.json, entry 1")
        assert list(left.left_out) == ["1"]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"id": "image"}, {}, "entry 1: the id 'a.png' stands in an earlier row too .*entry 0"),
        ({"pair": "image"}, {}, "entry 2: the pair 'a.png' has two examples already, .*entry 0 and .*entry 1"),
        (
            {"region": {"colum": "x"}},
            {},
            "benchmark.columns.region.colum: there is no such option; did you mean column",
        ),
        ({"region": {"form": "boxes"}}, {}, "benchmark.columns.region.form=boxes: must be one of .*did you mean box"),
        ({"region": None}, {}, "benchmark.columns.region: every example needs one"),
        ({"answer": None}, {}, "benchmark.columns.answer: a question needs an answer"),
        ({"question": None}, {}, "benchmark.columns.question: options and answers need a question"),
        ({}, {"images": "nowhere"}, "benchmark.images=nowhere: there is no such folder"),
        ({"image": "question"}, {}, "has none of the 3 images .the first is Is it red"),
        ({}, {"rows": "nowhere.json"}, "benchmark.rows=nowhere.json: there is no such file"),
        ({}, {"rows": "hf://datasets/x"}, "give it as hf://datasets/OWNER/NAME/PATTERN"),
    ],
)
def test_faults_of_the_whole(columns: dict[str, Any], options: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(UserError, match=message):
        read(folder, ROW, ROW, ROW, columns=columns, **options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "is no JSON"),
        ("a.json", "[1]", "entry 0: is 1, and no object of columns"),
        ("a.json", '"x"', "holds neither a list nor an object of rows"),
        ("a.jsonl", "{}\n[]", "line 2: is no JSON object"),
        ("a.parquet", "x", "is no Parquet file"),
        ("a.csv", "image,answer\n", "no column 'expression'"),
        ("a.txt", "x", "is none of .parquet, .json"),
    ],
)
def test_files_that_are_no_tables(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        list(read_rows(str(tmp_path / name), ["image", "expression"]))


def test_rows_on_the_hub(tmp_path: Path) -> None:
    stream = BytesIO()
    rows = [{**ROW, "picture": {"bytes": png(), "path": "x.png"}}]
    pq.write_table(pa.Table.from_pylist(rows), stream)
    columns = "{image: {column: picture, form: bytes}, question: question, options: options, answer: answer"
    columns += ", expression: expression, region: region}"
    files = {"data/test-0.parquet": stream.getvalue(), "other.bin": b"x"}
    with HubServer({"some/set": Repo(files, revisions=("v.1", COMMIT))}) as hub:
        source = "benchmark.rows=hf://datasets/some/set@v%2E1/data/*.parquet"
        done = command("check", "benchmark=paired_table", source, f"benchmark.columns={columns}", endpoint=hub.url)
        assert done.returncode == 0, done.stderr
        assert "1 examples, 1 pictures, no problems" in done.stdout
        assert not hub.gets["other.bin"]
        gone = command("check", "benchmark=paired_table", source.replace("some", "no"), endpoint=hub.url)
        assert "hf://datasets/no/set@v%2E1/data/*.parquet: cannot be downloaded" in gone.stderr
