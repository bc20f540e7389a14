"""The comparison at the end of a grid is that of `pixfound-compare` on the runs of its cells."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from pixfound.apps.compare.callback import Compare
from pixfound.apps.compare.cli import main
from pixfound.apps.grid import FOLDER
from tests.support.run_folder import item, write_run


def note(grid: Path, number: int, **fields: str) -> None:
    (grid / f"cell-{number:04d}.json").write_text(json.dumps({"overrides": [], "status": "done", "why": "", **fields}))


def test_the_first_wanted_row_of_each_cell_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    grid = tmp_path / "grid"
    grid.mkdir()
    monkeypatch.setenv(FOLDER, str(grid))
    rows = ("empty", "similarity"), ("native", "empty"), ("empty", "full")
    for number, names in enumerate(rows):
        lines = [
            x
            for n in range(20)
            for x in item(str(n), None, (rng.random() < 0.5, True), {r: (rng.random(), rng.random()) for r in names})
        ]
        note(grid, number, folder=str(write_run(tmp_path / str(number), lines, "item")))
    note(grid, 3, status="failed", why="out of memory")
    config = OmegaConf.create({"seed": 7})
    Compare(["similarity", "native"]).on_multirun_end(config)
    wanted = [f"{tmp_path}/0:similarity", f"{tmp_path}/1:native", f"{tmp_path}/2:empty"]
    main([*wanted, "--seed", "7", "--json", str(tmp_path / "c.json"), "--markdown", str(tmp_path / "c.md")])
    for ending in ("json", "md"):
        assert (grid / f"comparison.{ending}").read_text() == (tmp_path / f"c.{ending}").read_text()


def test_a_single_run_is_compared_with_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    lines = item("0", None, (True, True), {"row": (0.5, 0.5)})
    note(tmp_path, 0, folder=str(write_run(tmp_path / "run", lines, "item")))
    Compare().on_multirun_end(OmegaConf.create({"seed": 0}))
    assert not list(tmp_path.glob("comparison.*"))
