"""Every preset of `paired_table` on small files of its documented layout, drawn here, and all of them in one run."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.benchmarks.table.paired_table import PairedTable
from pixfound.config.factory import build
from pixfound.interfaces import Benchmark
from pixfound.scoring.metric_names import find_metric
from pixfound.types import Example
from pixfound.types.masks import RLE
from tests.support.run import config_of, random_models, scores_of

CONF = Path(__file__).parents[2] / "conf/benchmark"
DRAWN = [example for example in PixShapes(pairs=2) if not example.absent][:2]
MASKS = [example.gt_mask.decode() for example in DRAWN]
SIZE = MASKS[0].shape


def png(number: int) -> bytes:
    stream = BytesIO()
    DRAWN[number].image.load().save(stream, "PNG")
    return stream.getvalue()


def box(number: int) -> list[int]:
    """The box xyxy around an object."""
    xs, ys = np.flatnonzero(MASKS[number].any(axis=0)), np.flatnonzero(MASKS[number].any(axis=1))
    return [int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1]


def xywh(number: int) -> list[int]:
    x0, y0, x1, y1 = box(number)
    return [x0, y0, x1 - x0, y1 - y0]


def corners(number: int) -> list[list[int]]:
    x0, y0, x1, y1 = box(number)
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def flat(number: int) -> list[int]:
    return [value for point in corners(number) for value in point]


def rle(number: int) -> dict[str, Any]:
    return DRAWN[number].gt_mask.to_json()


def pictures(folder: Path, suffix: str = ".png") -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(2):
        (folder / f"{number}{suffix}").write_bytes(png(number))
    return [f"{number}{suffix}" for number in range(2)]


def mask_picture(number: int) -> bytes:
    from PIL import Image

    stream = BytesIO()
    Image.fromarray((MASKS[number] * 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def image_struct(number: int) -> dict[str, Any]:
    return {"bytes": png(number), "path": f"{number}.png"}


def visual_cot(root: Path) -> None:
    names = pictures(root / "cot/gqa")
    height, width = SIZE
    rows = []
    for number, name in enumerate(names):
        fractions = [value / max(height, width) for value in box(number)]
        said = [
            "<image>\nWhat is it? Please provide the bounding box coordinate of the region that can help you.",
            fractions,
        ]
        turns = [{"from": "human", "value": said[0]}, {"from": "gpt", "value": str(fractions)}]
        turns += [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a shape"}]
        image = [f"cot/gqa/{name}", f"cot/gqa/{name}###{box(number)}"]
        rows.append({"dataset": "gqa", "split": "val", "question_id": number, "image": image, "conversations": turns})
    dump(root / "gqa.json", rows)


def gseval(root: Path) -> None:
    names = pictures(root / "unlabeled2017", ".jpg")
    rows = [
        {
            "idx": number,
            "image_path": f"unlabeled2017/{name}",
            "class_id": 4,
            "label": "x",
            "caption": "A shape.",
            "box": [value + 0.25 for value in box(number)],
            "segmentation": rle(number),
        }
        for number, name in enumerate(names)
    ]
    (root / "GroundingSuite-Eval.jsonl").write_text("\n".join(map(json.dumps, rows)))


def vizwiz_grounding(root: Path) -> None:
    names = pictures(root / "val", ".jpg")
    answers = ["red", "red", "red", "crimson", *["pink"] * 6]
    rows = {
        name: {
            "question": "What colour?",
            "answers": answers,
            "most_common_answer": "pink",
            "height": SIZE[0],
            "width": SIZE[1],
            "answer_grounding": [{"x": x, "y": y} for x, y in corners(number)],
        }
        for number, name in enumerate(names)
    }
    dump(root / "val_grounding.json", rows)


def treebench(root: Path) -> None:
    root.mkdir()
    with (root / "TreeBench.tsv").open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t")
        writer.writerow(["index", "image", "question", "A", "B", "C", "D", "answer", "category", "target_instances"])
        for number in range(2):
            image = base64.b64encode(png(number)).decode()
            writer.writerow(
                [number, image, "Which?", "a", "b", "c", "", "B", "Perception/Attributes", [box(number), [0, 0, 5, 5]]]
            )


def vstar(root: Path) -> None:
    pictures(root / "direct_attributes", ".jpg")
    for number in range(2):
        row = {"question": "Colour?", "options": ["red", "blue"], "target_object": ["ball"], "bbox": [xywh(number)]}
        dump(root / f"direct_attributes/{number}.json", row)


def multihopspatial(root: Path) -> None:
    names = pictures(root / "data/images")
    question = "Which is <POS>left</POS>? <choice>(a) one, (b) two</choice> And provide the bounding box coordinate."
    rows = [
        {
            "image_path": f"/{name}",
            "question": question,
            "answer": "(b) two",
            "bbox": xywh(number),
            "hop": 2,
            "view": "ego",
        }
        for number, name in enumerate(names)
    ]
    dump(root / "data/multihop_test_4500.json", rows)


def cafe(root: Path) -> None:
    names = pictures(root / "CAFEval2026_imgs", ".jpg")
    images, annotations = [], []
    for n, name in enumerate(names):
        about = {"file_name": name, "height": SIZE[0], "width": SIZE[1], "edit_type": "Context Conflict"}
        images += [
            {**about, "id": n + 1, "text_input": "the shape"},
            {**about, "id": 1_000_000_001 + n, "text_input": "the cat", "fp_source_id": n + 1},
        ]
        annotations.append({"id": n, "image_id": n + 1, "segmentation": rle(n), "iscrowd": 0})
    dump(root / "CAFEval2026_annotations.json", {"images": images, "annotations": annotations})


def saco_gold(root: Path) -> None:
    rows = [
        {
            "id": n,
            "image": image_struct(n),
            "expression": "shape",
            "human_1_masks": [rle(n)] if n else [],
            "human_2_masks": [rle(n), rle(n)],
            "human_3_masks": [],
            "count": 2,
        }
        for n in range(2)
    ]
    parquet(root / "saco_gold_crowded/test-00000.parquet", rows)


def rsmmvp(root: Path) -> None:
    pictures(root / "RSMMVP Images", ".jpg")
    rows = [
        "Index,Question,Options,Correct Answer",
        "0,Is it near?,(a) yes (b) no,(a)",
        "1,Is it near?,(a) yes (b) no,(b)",
    ]
    (root / "Questions.csv").write_text("\n".join(rows))


def groundingme(root: Path) -> None:
    rows = [
        {
            "image": image_struct(number),
            "id": f"g{number}",
            "description": "the shape",
            "bbox": box(number) if number else None,
            "height": SIZE[0],
            "width": SIZE[1],
            "subtask_l1": "Spatial" if number else "Rejection",
            "subtask_l2": "x",
        }
        for number in range(2)
    ]
    parquet(root / "data/test-00000-of-00001.parquet", rows)


def refcoco(root: Path) -> None:
    rows = [
        {
            "question_id": f"q{number}",
            "image": image_struct(number),
            "question": "Describe the circled area.",
            "answer": ["the shape", "that one"],
            "segmentation": [float(value) for value in flat(number)],
            "bbox": [float(value) for value in xywh(number)],
            "file_name": "x.jpg",
        }
        for number in range(2)
    ]
    parquet(root / "data/val-00000-of-00001.parquet", rows)


def grefcoco(root: Path) -> None:
    names = pictures(root / "train2014", ".jpg")
    images = [{"id": n + 10, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for n, name in enumerate(names)]
    annotations = [{"id": n + 1, "image_id": n + 10, "segmentation": [flat(n)]} for n in range(2)]
    dump(root / "instances.json", {"images": images, "annotations": annotations})
    rows = [
        {
            "ref_id": number,
            "ann_id": [[1], [-1]][number],
            "image_id": number + 10,
            "split": "val",
            "no_target": bool(number),
            "sentences": [{"sent": "the shape", "sent_id": 1}],
        }
        for number in range(2)
    ]
    dump(root / "grefs(unc).json", [*rows, {**rows[0], "split": "train", "ref_id": 9}])


def reasonseg(root: Path) -> None:
    pictures(root / "val", ".jpg")
    for number in range(2):
        shapes = [
            {"label": "target", "points": corners(number)},
            {"label": "ignore", "points": [[0, 0], [9, 0], [9, 9]]},
        ]
        shapes += [{"label": "flag", "points": [[0, 0], [1, 0], [1, 1]]}]
        dump(root / f"val/{number}.json", {"shapes": shapes, "text": ["what rolls", "other"], "is_sentence": True})


def pbench(root: Path) -> None:
    for split in ("level_0", "dense"):
        rows = [
            {"image": image_struct(n), "expression": "shapes", "masks": [rle(n)] if n else [], "count": n, "id": str(n)}
            for n in range(2)
        ]
        parquet(root / f"data/{split}-00000-of-00001.parquet", rows)


def ref_l4(root: Path) -> None:
    names = pictures(root / "images", ".jpg")
    rows = [
        {
            "id": n,
            "caption": "the shape",
            "bbox": [float(v) for v in xywh(n)],
            "file_name": name,
            "height": SIZE[0],
            "width": SIZE[1],
        }
        for n, name in enumerate(names)
    ]
    parquet(root / "ref-l4-test.parquet", rows)


def pointbench(root: Path) -> None:
    names = pictures(root / "selected_images/counting", ".jpg")
    (root / "selected_masks/counting").mkdir(parents=True)
    rows = []
    for number, name in enumerate(names):
        (root / f"selected_masks/counting/{number}.png").write_bytes(mask_picture(number))
        row = {"user_input": "Point to the shape", "category": "counting", "image_filename": name, "count": number + 1}
        rows.append({**row, "mask_filename": f"{number}.png"})
    rows.append({"user_input": "Point to it", "category": "counting", "image_filename": "0.jpg"})  # without a mask
    dump(root / "data.json", rows)


def toloka_wsdm2023(root: Path) -> None:
    names = pictures(root / "images", ".jpg")
    with (root / "test_private.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "width", "height", "left", "top", "right", "bottom", "question"])
        for number, name in enumerate(names):
            writer.writerow([f"https://host/coco/{name}", SIZE[1], SIZE[0], *box(number), "What do we look at?"])


LAYOUTS: dict[str, Callable[[Path], None]] = {
    layout.__name__: layout
    for layout in (
        *(visual_cot, gseval, vizwiz_grounding, treebench, vstar, multihopspatial, cafe, groundingme, refcoco),
        *(grefcoco, reasonseg, pbench, ref_l4, pointbench, toloka_wsdm2023, saco_gold, rsmmvp),
    )
} | {"refcoco_plus": refcoco, "refcocog": refcoco}
# examples, kinds of the first, whether any is absent, instances and boxes of the first present one, which mask it is
EXPECTED: dict[str, tuple[int, tuple[str, ...], int, int, int, str]] = {
    "visual_cot": (2, ("open", "ground"), 0, 0, 1, "box"),
    "gseval": (2, ("ground",), 0, 0, 1, "mask"),
    "vizwiz_grounding": (2, ("open", "ground"), 0, 0, 0, "box"),
    "treebench": (2, ("open", "choice", "ground"), 0, 2, 2, "more"),
    "vstar": (2, ("open", "choice", "ground"), 0, 1, 1, "box"),
    "multihopspatial": (2, ("open", "choice", "ground"), 0, 0, 1, "box"),
    "cafe": (4, ("ground",), 2, 1, 0, "mask"),
    "saco_gold": (2, ("ground",), 1, 1, 0, "mask"),
    "rsmmvp": (2, ("open", "choice"), 0, 0, 0, "none"),
    "groundingme": (2, ("ground",), 1, 0, 1, "box"),
    "refcoco": (4, ("ground",), 0, 0, 1, "box"),
    "refcoco_plus": (4, ("ground",), 0, 0, 1, "box"),
    "refcocog": (4, ("ground",), 0, 0, 1, "box"),
    "grefcoco": (2, ("ground",), 1, 1, 0, "box"),
    "reasonseg": (2, ("ground",), 0, 0, 0, "box"),
    "pbench": (4, ("ground",), 2, 1, 0, "mask"),
    "ref_l4": (2, ("ground",), 0, 0, 1, "box"),
    "pointbench": (2, ("ground",), 0, 0, 0, "mask"),
    "toloka_wsdm2023": (2, ("ground",), 0, 0, 1, "box"),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PairedTable]:
    found = {}
    for name, layout in LAYOUTS.items():
        root = tmp_path_factory.mktemp("presets") / name
        layout(root)
        config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
        if config.pop("defaults", None):
            config = {**yaml.safe_load((CONF / "refcoco.yaml").read_text()), **config}
        found[name] = build({**config, "root": str(root)}, "benchmark", PairedTable).built
        for metric in config["official_metrics"]:
            find_metric(metric)
    return found


def test_official_metrics_are_those_of_the_preset() -> None:
    config = config_of("benchmark=refcoco_plus", "benchmark.root=x", "scoring=official")
    assert config["scoring"]["region_metrics"] == config["benchmark"]["official_metrics"]
    assert config["benchmark"]["download"]["hub"] == "lmms-lab-encoder/RefCOCOplus"


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_preset_reads_its_layout(name: str, tables: dict[str, PairedTable]) -> None:
    table = tables[name]
    count, kinds, absent, instances, boxes, region = EXPECTED[name]
    assert (len(table), len(table.faults)) == (count, int(name == "pointbench"))
    assert sum(example.absent for example in table) == absent
    assert table[0].kinds == kinds
    present = next(example for example in table if not example.absent)
    assert (len(present.instances), len(present.boxes)) == (instances, boxes)
    number = next(n for n in range(2) if present.image.load().tobytes() == DRAWN[n].image.load().tobytes())
    expected = RLE.from_box(tuple(box(number)), SIZE).decode() if region == "box" else MASKS[number]
    if region == "none":
        expected = np.zeros(SIZE, np.bool_)
    if region == "more":  # a second box
        expected = RLE.from_box(tuple(box(number)), SIZE).decode().copy()
        expected[:5, :5] = True
    assert (present.gt_mask.decode() == expected).all()


def test_what_presets_say_besides(tables: dict[str, PairedTable]) -> None:
    assert tables["vizwiz_grounding"][0].right_answer == "pink"
    assert len(tables["vizwiz_grounding"][0].answers) == 10
    assert tables["treebench"][0].answer == 1
    assert tables["treebench"][0].options == ("a", "b", "c")
    for example in tables["vstar"]:
        assert example.options[example.answer or 0] == "red"
    assert [(e.question, e.options) for e in tables["multihopspatial"]] == [("Which is left?", ("one", "two"))] * 2
    assert [e.pair_id for e in tables["cafe"]] == ["0.jpg", "0.jpg", "1.jpg", "1.jpg"]
    assert [(e.question, e.answer, e.pair_id) for e in tables["rsmmvp"]] == [
        ("Is it near?", n, "Questions-0") for n in (0, 1)
    ]
    assert [len(parts) for parts in tables["saco_gold"][1].other_instances] == [2, 0]
    assert [e.expression for e in tables["cafe"]][:2] == ["the shape", "the cat"]
    assert [e.objects for e in tables["cafe"]] == [(mask,) for mask in (e.gt_mask for e in DRAWN) for _ in range(2)]
    assert tables["grefcoco"][0].tags == {"split": "val"}
    assert tables["reasonseg"][0].ignore is not None
    assert {e.tags["split"] for e in tables["pbench"]} == {"level_0", "dense"}
    assert [e.count for e in tables["pointbench"]] == [1, 2]
    assert tables["gseval"][0].boxes[0][0] == box(0)[0] + 0.25


class AllPresets(Benchmark):
    """The examples of all presets, the names of these before their ids; filled by the test."""

    filled: list[Example]

    def __init__(self) -> None:
        super().__init__(type(self).filled)


def test_all_presets_go_through_the_pipeline(tables: dict[str, PairedTable], models: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    AllPresets.filled = [
        replace(e, id=f"{name}/{e.id}", pair_id=e.pair_id and f"{name}/{e.pair_id}", tags={"preset": name})
        for name, table in tables.items()
        for e in table
    ]
    overrides = [
        *random_models(models),
        f"outputs_dir={tmp_path}",
        "limit=100",
        "batch_size=16",
        "model.generation.max_new_tokens=2",
    ]
    config = {**config_of(*overrides), "benchmark": {"_target_": "tests.benchmarks.test_presets.AllPresets"}}
    result = evaluate(config)
    assert not result.failures
    scored = {score["example_id"].partition("/")[0] for score in scores_of(result) if score["iou"] is not None}
    assert scored == set(LAYOUTS) - {"rsmmvp"}
    answered = {s["example_id"].partition("/")[0] for s in scores_of(result) if s["kind"] == "choice" and s["response"]}
    assert answered == {"treebench", "vstar", "multihopspatial", "rsmmvp"}


def test_questions_without_regions_have_no_figures_of_masks(models: Path, tmp_path: Path) -> None:
    rsmmvp(tmp_path / "data")
    overrides = [*random_models(models), f"outputs_dir={tmp_path}", "model.generation.max_new_tokens=2"]
    result = evaluate(
        config_of("benchmark=rsmmvp", f"benchmark.root={tmp_path / 'data'}", "extraction=trivial", *overrides)
    )
    assert not result.failures
    assert [(score["kind"], score["row"]) for score in scores_of(result)] == 2 * [("open", None), ("choice", None)]
    assert (result.metrics["absent"], list(result.metrics["rows"])) == (0, ["empty", "full"])
    assert {result.metrics["rows"][row]["M_dagger"]["value"] for row in ("empty", "full")} == {None}


def test_every_preset_is_here_and_has_a_card() -> None:
    """Each names its licence, size and source, and its card what it was verified on."""
    texts = {path.stem: path.read_text() for path in CONF.glob("*.yaml")}
    presets = {n for n, text in texts.items() if "PairedTable" in text or "- refcoco\n" in text} - {
        "paired_table",
        "paired_coco",
    }
    assert presets == set(LAYOUTS)
    for name in presets:
        download = yaml.safe_load(texts[name])["download"]
        assert download["licence"]
        assert download["size"]
        assert "sha256" in download, name  # null where it is not known
        assert "hub" in download or "note" in download
        card = (CONF.parents[1] / f"docs/benchmarks/{name}.md").read_text()
        for row in ("asks", "size", "from", "licence", "official metric", "ours", "known errors", "verified on"):
            assert f"\n| {row} | " in card, (name, row)
        assert ("layout not verified" in texts[name]) == ("layout not verified" in card), name
