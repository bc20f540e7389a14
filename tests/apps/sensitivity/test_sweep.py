"""One sweep over variations through the real command, with its analysis at the end and by the second command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.forked import run_forked
from tests.support.run import QUIET, config_of, random_models

VARIATIONS = "none,vqa_t1,ground_t1,ground_t7,spelling_0,mask_out_0,mask_out_1"
IDS = 4


@pytest.fixture(scope="module")
def sweep(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(outputs of the sweep, what it printed)."""
    folder = tmp_path_factory.mktemp("sweep")
    run = [
        *random_models(models),
        "extraction=nulls",
        "model.capture=none",
        f"limit={IDS}",
        *QUIET,
        f"outputs_dir={folder / 'out'}",
    ]
    # a finished run of another study in the same folder, which the analysis must leave out
    other = ["benchmark=varied", "names.benchmark=pixshapes_varied", "prompts.ground=lisa"]
    for arguments in (other, ["-m", "experiment=sensitivity", f"variation={VARIATIONS}"]):
        done = run_forked(*arguments, *run, cwd=folder)
        assert done.returncode == 0, done.stderr
    assert "no analysis" not in done.stderr
    assert "raised" not in done.stderr
    return folder / "out", done.stdout


def answered(outputs: Path) -> dict[str, int]:
    """How many generations of each kind of prompt are stored."""
    counts: dict[str, int] = {}
    for journal in outputs.glob("stages/generate/*/journal-*.jsonl"):
        for line in journal.read_text().splitlines():
            kind = json.loads(line)["key"].split("/")[1]
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def test_every_variation_is_a_run_and_is_analysed(sweep: tuple[Path, str]) -> None:
    outputs, printed = sweep
    found = json.loads((outputs / "sensitivity/pixshapes_varied/sensitivity.json").read_text())
    subject: Any = found["subjects"]["hf"]
    assert sorted(subject["variations"]) == sorted(VARIATIONS.split(","))
    assert list(subject["families"]) == ["ground", "mask_out", "spelling", "vqa", "all"]
    for name, cell in subject["variations"].items():
        metrics = json.loads((Path(cell["run"]) / "metrics.json").read_text())["metrics"]
        for key, figure in cell["figures"].items():
            figure_name, _, row = key.partition(".")
            own = metrics["rows"][row][figure_name] if row else metrics["vqa"][figure_name]
            assert figure["value"] == pytest.approx(own["value"]), f"{name} {key} is not the run's own"
    assert "what the variations of a family do" in printed
    assert f"report: {outputs / 'sensitivity/pixshapes_varied/sensitivity.md'}" in printed


def test_cells_share_what_a_variation_leaves_alone(sweep: tuple[Path, str]) -> None:
    outputs, _ = sweep
    present = 3  # of the four examples; the picture of an absent object is not varied
    assert answered(outputs) == {  # as it is, misspelt, in other wordings, and under two mask-outs
        "open": IDS * (1 + 1 + 1) + 2 * present,
        "choice": IDS * (1 + 1 + 1) + 2 * present,
        "ground": IDS * (1 + 1 + 2) + 2 * present + IDS,  # the other study's
    }


def test_the_second_command_finds_the_same_without_torch(sweep: tuple[Path, str], tmp_path: Path) -> None:
    outputs, _ = sweep
    before = json.loads((outputs / "sensitivity/pixshapes_varied/sensitivity.json").read_text())
    runs = [cell["run"] for cell in before["subjects"]["hf"]["variations"].values()]
    code = (
        "import sys\nfrom pixfound.apps.sensitivity.cli import main\nmain(sys.argv[1:])\n"
        "heavy = {'torch', 'transformers', 'wandb', 'accelerate'} & set(sys.modules)\nassert not heavy, heavy"
    )
    command = [sys.executable, "-c", code, *runs, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "sensitivity.json").read_text()) == before


def test_every_variation_of_the_experiment_composes() -> None:
    from hydra import compose, initialize_config_module
    from hydra.core.global_hydra import GlobalHydra

    from pixfound.config.factory import build
    from pixfound.interfaces import Benchmark
    from pixfound.prompts.builder import Prompts

    GlobalHydra.instance().clear()
    with initialize_config_module("pixfound.conf", version_base="1.3"):
        config = compose("config", overrides=["experiment=sensitivity"], return_hydra_config=True)
    names = [name.strip() for name in config.hydra.sweeper.params.variation.split(",")]
    assert len(names) == len(set(names)) == 1 + 9 + 6 + 3 * 10
    texts = set()
    whole = config_of("experiment=sensitivity", "variation=crop_1", "benchmark.of.pairs=1")
    assert whole["benchmark"]["variation"] == whole["prompts"]["variation"] == "crop_1"
    assert whole["names"]["benchmark"] == "pixshapes_varied"
    for name in names:
        example = build({**whole["benchmark"], "variation": name}, "benchmark", Benchmark).built[0]
        prompts = build({**whole["prompts"], "variation": name}, "prompts", Prompts).built
        kinds = ("open", "choice", "ground")
        texts.add((example.image.digest(), *(prompts.prompt(example, kind).text for kind in kinds)))
    assert len(texts) > 1 + 9 + 6 + 2 * 10 - 5  # each gives another input, but for a few crops of small things
