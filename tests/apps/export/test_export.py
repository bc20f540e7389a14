"""A run in the files of other programs, read back by `model=precomputed` and by the programs' own readers."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pycocotools.coco import COCO

from pixfound.apps.evaluation import evaluate
from pixfound.apps.export.cli import main
from pixfound.config.factory import build
from pixfound.interfaces import Benchmark
from pixfound.pipeline.results import Result
from pixfound.types import Example
from pixfound.types.masks import RLE
from tests.support.predictions import shifted, write_lines
from tests.support.run import QUIET, config_of, run, scores_of


@pytest.fixture(scope="module")
def exported(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("export")
    result = run(models, folder / "outputs", "scoring.region_metrics=[giou,il_mcc]")
    for format, name in (("lmms-eval", "lmms.jsonl"), ("vlmevalkit", "vlm.tsv")):
        main([str(result.folder), "--format", format, "--row", "oracle", "--to", str(folder / name)])
    return result, folder


def values(result: Result, name: str, kind: str, row: str | None) -> dict[str, Any]:
    return {line["example_id"]: line[name] for line in scores_of(result) if (line["kind"], line["row"]) == (kind, row)}


def examples_of(result: Result) -> list[Example]:
    return build(result.config["benchmark"], "benchmark", Benchmark).built[: result.config["limit"]]


def again(exported: tuple[Result, Path], *overrides: str) -> Result:
    """The same benchmark, with predictions from a file."""
    result, folder = exported
    given = ["model=precomputed", *QUIET, "scoring.resamples=100", f"outputs_dir={folder / 'again'}"]
    config = config_of(*given, *overrides)
    return evaluate({**config, "benchmark": result.config["benchmark"], "limit": result.config["limit"]})


def test_masks_come_back_as_they_were_and_other_readers_take_them(exported: tuple[Result, Path]) -> None:
    """One instance, two, or none in each example, with scores: what is exported is what was given."""
    folder = exported[1]
    examples = examples_of(exported[0])
    given = []
    for number, example in enumerate(examples):
        height, width = example.gt_mask.size
        corner = RLE.from_box((width - 9, height - 7, width, height), (height, width))
        first = corner if example.absent else shifted(example.gt_mask, 2)
        masks = [(first, 0.5 + number / 100), (RLE.full((height, width)), 1.0)][: number % 3]
        for mask, score in masks or [(RLE.empty((height, width)), 0.0)]:
            entry = {"image_id": example.id, "category_id": 1, "segmentation": RLE.encode(mask.decode()).to_json()}
            given.append({**entry, "score": score})
    (folder / "given.json").write_text(json.dumps(given))
    result = again(exported, f"model.masks.ground={folder / 'given.json'}", "extraction=precomputed_masks")
    for format, name in (("coco", "masks.json"), ("fiftyone", "fo.json")):
        main([str(result.folder), "--format", format, "--row", "masks", "--to", str(folder / name)])
    entries = json.loads((folder / "masks.json").read_text())
    assert [{**e, "segmentation": RLE.from_coco(e["segmentation"]).to_json()} for e in entries] == given
    back = again(exported, f"model.masks.ground={folder / 'masks.json'}", "extraction=precomputed_masks")
    assert values(back, "iou", "ground", "masks") == values(result, "iou", "ground", "masks")

    truth = COCO()
    images = [{"id": e.id, "height": e.gt_mask.size[0], "width": e.gt_mask.size[1]} for e in examples]
    truth.dataset = {"images": images, "annotations": [], "categories": [{"id": 1}]}
    truth.createIndex()
    loaded = list(truth.loadRes(str(folder / "masks.json")).anns.values())
    assert [annotation["area"] for annotation in loaded] == [RLE.from_coco(e["segmentation"]).area for e in entries]
    shown = [truth.annToMask(annotation) for annotation in loaded if annotation["area"]]
    boxed = json.loads((folder / "fo.json").read_text())
    assert len(boxed) == len(shown) == sum(entry["score"] > 0 for entry in entries) > 5
    for entry, mask in zip(boxed, shown, strict=True):  # FiftyOne cuts the mask out of its box
        x, y, width, height = map(int, entry["bbox"])
        inside = mask[y : y + height, x : x + width]
        assert inside.sum() == mask.sum() and inside[[0, -1]].any(1).all() and inside[:, [0, -1]].any(0).all()


@pytest.mark.parametrize("name", ["lmms.jsonl", "vlm.tsv", "vlm.json"])
def test_answers_come_back_as_they_were(exported: tuple[Result, Path], name: str) -> None:
    result, folder = exported
    if name == "vlm.json":  # PRED_FORMAT=json
        with (folder / "vlm.tsv").open(newline="") as stream:
            (folder / name).write_text(json.dumps(list(csv.DictReader(stream, delimiter="\t"))))
    back = again(exported, f"model.answers.choice={folder / name}", "extraction=trivial")
    for what in ("response", "correct"):
        assert values(back, what, "choice", None) == values(result, what, "choice", None)


def test_boxes_in_the_answers_of_a_harness_are_read_and_segmented(exported: tuple[Result, Path]) -> None:
    result, folder = exported
    boxes = {example.id: example.gt_mask.box for example in examples_of(result)}
    lines = [
        {"doc_id": n, "doc": {"id": id}, "filtered_resps": f"At {list(box or ())}"}
        for n, (id, box) in enumerate(boxes.items())
    ]
    path = write_lines(folder / "boxes.jsonl", lines)
    format = "extraction.extractors.text_box.format=list_1000"
    given = ["extraction=text_box", format, "segmenter=tiny"]
    given += ["scoring.region_metrics=[written_box_iou,written_box_iou:skip_missing]"]
    back = again(exported, f"model.answers.ground={path}", *given)
    readings = back.metrics["analyses"]["coordinate_audit"]["text_box"]
    assert readings["better"] == "pixels" and readings["readings"]["pixels"]["iou"]["value"] == 1.0
    assert readings["with_box"] == sum(box is not None for box in boxes.values())
    row = back.metrics["rows"]["text_box"]
    assert row["M_dagger"]["count"] == row["region_metrics"]["written_box_iou"]["M_dagger"]["count"] == len(boxes)
    assert row["region_metrics"]["written_box_iou:skip_missing"]["M_dagger"]["count"] == readings["with_box"]


def test_the_block_of_a_model_card(exported: tuple[Result, Path], capsys: pytest.CaptureFixture[str]) -> None:
    result, _ = exported
    main([str(result.folder), "--format", "model-card", "--row", "oracle"])
    text = capsys.readouterr().out
    assert text.startswith("---\n") and text.endswith("\n---\n")
    (entry,) = yaml.safe_load(text.strip("-\n"))["model-index"]
    found: Mapping[str, Any] = {m["type"]: m for r in entry["results"] for m in r["metrics"]}
    figure = result.metrics["rows"]["oracle"]["region_metrics"]["giou"]["M_dagger"]
    assert found["giou"]["value"] == round(100 * figure["value"], 2) == found["M_dagger"]["value"]
    assert found["giou"]["args"]["count"] == figure["count"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "coco", "--row", "oracl"], "no such row; did you mean oracle"),
        (["--format", "coco"], "not a finished"),
    ],
)
def test_mistakes_are_one_line(
    exported: tuple[Result, Path], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported[0].folder if "--row" in arguments else exported[1]
    with pytest.raises(SystemExit) as end:
        main([str(folder), *arguments])
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.startswith("pixfound-export: ") and message in said and said.count("\n") == 1


def test_what_is_no_file_of_a_harness_is_said(exported: tuple[Result, Path]) -> None:
    from pixfound.errors import UserError

    folder = exported[1]
    (folder / "odd.json").write_text('[{"index": "1"}]')
    for name, message in (
        ("odd.json", "row 1: has neither text"),
        ("a.xlsx", "PRED_FORMAT=tsv"),
        ("no.tsv", "cannot be"),
    ):
        with pytest.raises(UserError, match=message):
            again(exported, f"model.answers.choice={folder / name}", "extraction=trivial")
