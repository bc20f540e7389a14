"""Folders of runs, from a folder above them, a grid's folder, and a comparison's JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixfound.errors import UserError
from pixfound.pipeline.run_folder import find_runs


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "runs" / name for name in ("a", "b", "c")]
    for folder in folders:
        (folder / "wandb" / "files").mkdir(parents=True)
        for place in (folder, folder / "wandb" / "files"):  # the tracker's copy is no run
            (place / "metrics.json").write_text("{}")
    return folders


def test_runs_below_a_folder_and_those_that_files_name(runs: list[Path], tmp_path: Path) -> None:
    assert find_runs([tmp_path, runs[0]]) == runs
    (grid := tmp_path / "multirun" / "1f").mkdir(parents=True)
    cells = [{"folder": str(runs[2])}, {"status": "failed"}, {"folder": str(runs[0])}]
    (grid / "grid.json").write_text(json.dumps(cells))
    assert find_runs([grid]) == [runs[2], runs[0]]
    (tmp_path / "pair.json").write_text(json.dumps({"contestants": [{"folder": str(runs[1])}]}))
    assert find_runs([tmp_path / "pair.json", grid]) == [runs[1], runs[2], runs[0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "neither a folder of runs nor the JSON"),
        ('{"rows": []}', "neither a folder of runs nor the JSON"),
        ('[{"folder": "gone"}]', "names gone, where no finished run is; start the command where"),
    ],
)
def test_other_files_are_told(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=message):
        find_runs([tmp_path / "a.json"])
