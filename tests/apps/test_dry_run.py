"""`dry_run=true`: the plan of cells, without torch, and with what a machine lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pixfound.apps import dry_run
from tests.support.run import config_of

ROOT = Path(__file__).parents[2]
CELLS = sorted(path.stem for path in (ROOT / "experiments/paper").iterdir())
CODE = """
import sys
from pixfound.apps.evaluate import main
main()
assert not {"torch", "transformers"} & set(sys.modules)
"""


def test_a_grid_is_planned_without_torch(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub/models--facebook--sam-vit-huge/snapshots/c0"
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).touch()
    (tmp_path / "hub/models--facebook--sam-vit-huge/refs").mkdir()
    (tmp_path / "hub/models--facebook--sam-vit-huge/refs/main").write_text("c0")
    line = ["-m", "experiment=paper_pixmmvp", "dry_run=true", "experiment/paper=lisa,cambrian_box,omg_llava"]
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "OPENAI_API_KEY": ""}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *line],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 100
    assert "facebook/sam-vit-huge                    main       2.6     no   yes" in done.stdout
    assert "7 of 8 weights: the runs fetch 46 GB" in done.stdout
    assert "OPENAI_API_KEY" in done.stdout and "cells 0004-0005" in done.stdout
    cells = json.loads(next((tmp_path / "outputs").glob("multirun/*/plan.json")).read_text())
    assert [c["plan"]["names"]["scoring"] for c in cells] == ["reference", "default"] * 3
    assert len(cells[0]["plan"]["weights"]) == 3 and len(cells[2]["plan"]["weights"]) == 6
    assert cells[4]["plan"]["memory_gb"] == 0 and not (tmp_path / "outputs/runs").exists()


@pytest.mark.parametrize("cell", [cell for cell in CELLS if not cell.endswith("_box")])
def test_every_weight_of_the_papers_cells_is_known(cell: str) -> None:
    config = config_of("experiment=paper_pixmmvp", f"experiment/paper={cell}")
    found = dry_run.plan(config)
    assert all(one["gb"] and one["gated"] is False for one in found["weights"])
    assert found["seconds"] and bool(found["weights"]) == (
        config["model"]["_target_"].rpartition(".")[2] != "Precomputed"
    )


def test_time_and_memory_of_a_cell_by_hand() -> None:
    """LLaVA-1.5 7B in half precision: 2 x 7.063e9 x 700 operations a prompt, 14.126 GB read for each 16 tokens."""
    found = dry_run.plan(config_of("experiment=paper_pixmmvp", "experiment/paper=llava_7b", "limit=10"))
    spent = {what.split(" {")[0].split(" [")[0]: seconds for what, seconds in found["seconds"].items()}
    reading, writing = 2 * 7.063e9 * 700 / 124.8e12, 14.126e9 / 1e12 / 16
    assert spent["generate open"] == pytest.approx(10 * (reading + 100 * writing))
    assert spent["generate choice"] == pytest.approx(10 * (reading + 5 * writing))
    assert spent["judge"] == pytest.approx(10 * 5 / 4)  # an answer, and two questions about candidates of two prompts
    assert found["memory_gb"] == pytest.approx(1.2 * (14.126 + 4 * 0.641))


def test_the_grids_have_every_cell() -> None:
    for name in ("paper_pixmmvp", "paper_pixcvbench"):
        params = yaml.safe_load((ROOT / f"experiments/{name}.yaml").read_text())["hydra"]["sweeper"]["params"]
        assert sorted(cell.strip() for cell in params["experiment/paper"].split(",")) == CELLS
