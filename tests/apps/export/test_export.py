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
from tests.support.predictions import write_lines
from tests.support.run import QUIET, config_of, run, scores_of


@pytest.fixture(scope="module")
def exported(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("export")
    result = run(models, folder / "outputs", "scoring.region_metrics=[giou,il_mcc]")
    for format, name in (("coco", "masks.json"), ("lmms-eval", "lmms.jsonl"), ("vlmevalkit", "vlm.tsv")):
        main([str(result.folder), "--format", format, "--row", "oracle", "--to", str(folder / name)])
    return result, folder


def values(result: Result, name: str, kind: str, row: str | None) -> dict[str, Any]:
    return {line["example_id"]: line[name] for line in scores_of(result) if (line["kind"], line["row"]) == (kind, row)}


def again(exported: tuple[Result, Path], *overrides: str) -> Result:
    """The same benchmark, with predictions from a file."""
    result, folder = exported
    given = ["model=precomputed", *QUIET, "scoring.resamples=100", f"outputs_dir={folder / 'again'}"]
    config = config_of(*given, *overrides)
    return evaluate({**config, "benchmark": result.config["benchmark"], "limit": result.config["limit"]})


def test_masks_come_back_as_they_were_and_other_readers_take_them(exported: tuple[Result, Path]) -> None:
    result, folder = exported
    back = again(exported, f"model.masks.ground={folder / 'masks.json'}", "extraction=precomputed_masks")
    assert values(back, "iou", "ground", "masks") == values(result, "iou", "ground", "oracle")
    entries = json.loads((folder / "masks.json").read_text())
    truth = COCO()
    sizes = {entry["image_id"]: entry["segmentation"]["size"] for entry in entries}
    images = [{"id": id, "height": height, "width": width} for id, (height, width) in sizes.items()]
    truth.dataset = {"images": images, "annotations": [], "categories": [{"id": 1}]}
    truth.createIndex()
    loaded = truth.loadRes(str(folder / "masks.json"))
    areas = values(result, "area", "ground", "oracle")
    assert {entry["image_id"] for entry in entries if not entry["score"]} == {
        id for id, area in areas.items() if not area
    }
    main([str(result.folder), "--format", "fiftyone", "--row", "oracle", "--to", str(folder / "fo.json")])
    boxed = {entry["image_id"]: entry for entry in json.loads((folder / "fo.json").read_text())}
    assert set(boxed) == {id for id, area in areas.items() if area}
    for annotation in loaded.anns.values():
        mask = loaded.annToMask(annotation)
        assert mask.mean() == pytest.approx(areas[annotation["image_id"]])
        assert annotation["area"] == mask.sum()
        if mask.any():  # FiftyOne cuts the mask out of its box
            x, y, width, height = boxed[annotation["image_id"]]["bbox"]
            assert mask[y : y + height, x : x + width].sum() == mask.sum()
            assert mask[y].any() and mask[:, x].any()


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
    benchmark = build(result.config["benchmark"], "benchmark", Benchmark).built[: result.config["limit"]]
    boxes = {example.id: example.gt_mask.box for example in benchmark}
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
