"""The files that a run writes follow the schemas that ship with it."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pixfound.apps.runs import main as list_runs
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.pipeline.run_data import RunData
from pixfound.pipeline.run_folder import read_scores
from pixfound.scoring.scores import ABOUT
from tests.support.run import run, scores_of


def schema(name: str) -> Any:
    return json.loads((files("pixfound.schemas") / f"{name}.schema.json").read_text())


def test_scores_and_metrics_follow_their_schemas(models: Path, tmp_path: Path) -> None:
    asked = ["giou", "box_acc@0.5", "il_mcc", "instance_f1:mean_over_category", "points_first", "joint@0.5"]
    result = run(models, tmp_path, f"scoring.region_metrics=[{','.join(asked)}]")
    line = jsonschema.Draft202012Validator(schema("scores"))
    for score in scores_of(result):
        line.validate(score)
    metrics = json.loads((result.folder / "metrics.json").read_text())
    for row, found in metrics["metrics"]["rows"].items():
        assert list(found["region_metrics"]) == asked
        assert found["region_metrics"]["giou"]["M_dagger"] == found["M_dagger"], row
        assert row in ("nothing", "full") or found["region_metrics"]["points_first"]["M_dagger"]["count"]
    assert asked[-1] in (result.folder / "report.md").read_text()
    again = RunData.open(result.folder).scores  # read back from scores.jsonl
    assert again.measures["oracle", "ground"]["il_mcc"].shape == (len(again.masks("oracle", "ground")), 4)
    jsonschema.Draft202012Validator(schema("metrics")).validate(metrics)


def test_a_run_explains_itself_and_one_of_before_is_read(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(models, tmp_path, "seed=3")
    examples = {example.id: example for example in PixShapes(pairs=4)}
    lines = scores_of(result)
    for line in lines:
        example = examples[line["example_id"]]
        assert (line["image"], line["expression"]) == (None, example.expression)  # it is drawn, and has no file
        asked = line["row"] is None and line["kind"] != "ground"
        question = (example.question, list(example.options), example.right_answer) if asked else (None, None, None)
        assert (line["question"], line["options"], line["truth"]) == question
        assert (line["prompt"] is None) == (line["row"] is not None)
    origin = json.loads((result.folder / "provenance.json").read_text())
    (command,) = origin["commands"]
    assert "model=hf" in command["command"].split() and command["command"].endswith(" seed=3")
    assert sum(command["stages"].values()) <= command["seconds"] + 0.3
    assert abs(datetime.fromisoformat(command["date"]) - datetime.now(UTC)) < timedelta(minutes=10)
    assert origin["devices"] | {"model": "cpu", "attention.segmenter": "cpu"} == origin["devices"]
    head, *summary = (result.folder / "report.md").read_text().split("\n\n")[0:2]
    options = ("model.dtype=float32", "model.generation.max_new_tokens=8", "segmenter.path=sam", "limit=8")
    assert head == f"# hf (llava) on pixshapes, attend_segment, {', '.join(options)}, and 2 more"
    five = summary[0].splitlines()
    assert [line.split(" ")[1].rstrip(":") for line in five] == ["hf", "Answers", "Masks", "Together", "Beware"]
    row = result.metrics["rows"]["similarity"]
    shown = row["M_dagger" if row["grounding_prompt"] == "ground" else "M"]["value"]
    assert f"the row similarity has a mean IoU of {100 * shown:.1f} [" in five[2]
    assert "fewer than 10 pairs" in five[4]
    older = shutil.copytree(result.folder, result.folder.with_name("older"))
    (older / "SHA256SUMS").unlink()
    (older / "provenance.json").write_text("{}")
    config = (older / "config.yaml").read_text()
    (older / "config.yaml").write_text(
        re.sub(r"^overrides:\n(- .*\n)*", "", config, flags=re.M).replace("seed: 3", "seed: 1")
    )
    known = [{k: v for k, v in line.items() if k not in ABOUT} for line in lines]
    (older / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in known))
    assert [score.iou for score in read_scores(older)] == [line["iou"] for line in lines]
    list_runs([str(tmp_path), "--json"])
    first, second = json.loads(capsys.readouterr().out)
    assert (first["options"], second["options"]) == (["seed=3"], ["seed=1"])
    assert first["model"] == second["model"] == "hf (llava)" and second["date"] is None
    assert first["S"] == second["S"] == row["S"]["value"]
    list_runs([str(tmp_path), "--sort", "S"])
    assert "seed=3" in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"iou": 1.5}, {"kind": "opened"}, {"point": [1]}, {"more": 1}])
def test_the_schema_of_scores_is_not_empty(change: dict[str, Any], models: Path, tmp_path: Path) -> None:
    score = dict(json.loads(json.dumps(_A_SCORE)), **change)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema("scores")).validate(score)


_A_SCORE = {
    "key": "1/ground/uniform",
    "example_id": "1",
    "pair_id": None,
    "kind": "ground",
    "row": "oracle",
    "tags": {},
    "absent": False,
    "correct": None,
    "iou": 0.5,
    "shown": True,
    "choice": "candidate",
    "index": 0,
    "point": [1, 2],
    "on_target": None,
    "on_object": None,
    "chance": None,
    "response": None,
    "reason": "",
}
