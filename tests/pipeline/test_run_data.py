"""A finished run read back by its folder gives what the run has written, by independent readers of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixfound.apps.evaluation import evaluate
from pixfound.errors import UserError
from pixfound.pipeline.results import Result
from pixfound.pipeline.run_data import RunData
from pixfound.types.masks import iou
from tests.support.run import config_of, scores_of


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The embedded model: one with random weights says nothing that phrases are found in."""
    outputs = tmp_path_factory.mktemp("outputs")
    return evaluate(config_of("limit=8", "scoring.resamples=100", f"outputs_dir={outputs}"))


@pytest.fixture(scope="module")
def data(finished: Result) -> RunData:
    return RunData.open(finished.folder)


@pytest.fixture(scope="module")
def lines(finished: Result) -> dict[Any, Any]:
    return {(s["example_id"], s["kind"], s["row"]): s for s in scores_of(finished)}


def test_the_scores_are_those_of_the_file(finished: Result, data: RunData, lines: dict[Any, Any]) -> None:
    made = [score.to_json() for item in data.examples for score in data.scores_of(item)]
    assert json.loads(json.dumps(made)) == list(lines.values())
    assert data.scores.count == len(lines)
    assert [s.row for s in data.answer_scores(data.examples[0])] == [None] * 3
    ious = data.scores.masks("oracle", "ground")["iou"]
    assert ious.tolist() == [lines[item.id, "ground", "oracle"]["iou"] for item in data.examples]


def test_the_records_of_each_stage(finished: Result, data: RunData, lines: dict[Any, Any]) -> None:
    maps = 0
    for item in data.examples:
        assert data.answer(item, "choice").text == lines[item.id, "choice", None]["response"]  # type: ignore[union-attr]
        assert data.answer(item, "open").attention is None  # type: ignore[union-attr]
        assert data.generation(item, "open").attention is not None  # type: ignore[union-attr]
        for row, (extractor, _) in data.parts.rows.items():
            line = lines[item.id, "ground", row]
            choice, mask = data.choice(item, "ground", row), data.mask(item, "ground", row)
            assert choice is not None and mask is not None
            assert (choice.kind, choice.index) == (line["choice"], line["index"])
            if choice.kind != "missing":
                assert iou(mask, item.example.gt_mask) == pytest.approx(line["iou"])
            chosen = data.chosen(item, "ground", row)
            assert (chosen is None) == (choice.index is None)
            if chosen is not None and choice.index is not None:
                assert chosen == data.candidates(item, "ground", extractor)[choice.index]  # type: ignore[index]
            heat = data.attention(item, "ground", row)
            if heat is not None and chosen is not None and chosen.point is not None:
                maps += 1
                x, y = chosen.point
                assert heat.shape == item.example.gt_mask.size
                assert heat[int(y), int(x)] == heat.max(), "the point is the peak of the map"
                assert np.shape(data.attention(item, "ground", row, (10, 20))) == (10, 20)
    assert maps


def test_what_was_not_asked_is_none(data: RunData) -> None:
    item = data.examples[0]
    assert data.candidates(item, "choice", "attention") is None
    assert data.choice(item, "choice", "oracle") is None
    assert data.mask(item, "choice", "oracle") is None
    assert data.attention(item, "choice", "oracle") is None


def test_a_run_of_other_examples_is_refused(tmp_path: Path, finished: Result) -> None:
    other = tmp_path / "outputs" / "runs" / "moved"
    (tmp_path / "outputs" / "stages").mkdir(parents=True)
    other.mkdir(parents=True)
    for name in ("metrics.json", "scores.jsonl"):
        (other / name).write_bytes((finished.folder / name).read_bytes())
    config = (finished.folder / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("limit: 8", "limit: 6"))
    with pytest.raises(UserError, match=r"moved: its records are gone, or its data"):
        RunData.open(other)
    (other / "config.yaml").unlink()
    with pytest.raises(UserError, match=r"config.yaml: cannot be read .* run the evaluation again"):
        RunData.open(other)
