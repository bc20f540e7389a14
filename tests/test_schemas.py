"""The files that a run writes follow the schemas that ship with it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pixfound.pipeline.run_data import RunData
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
