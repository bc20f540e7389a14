"""The guide's benchmark, models, extractor and analysis, typed in as they stand there, run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pixfound.apps.certify.certificate import certify
from pixfound.apps.evaluation import evaluate
from tests.support.run import config_of, run, scores_of

GUIDE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()


def block(language: str, word: str) -> str:
    """The one block of code in the guide with a word in it."""
    (found,) = [b for b in re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL) if word in b]
    return str(found)


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that can be imported, with the guide's modules."""
    package = tmp_path / "newcomer"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "two_squares.py").write_text(block("python", "class TwoSquares"))
    (package / "bright.py").write_text(block("python", "class Bright"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "newcomer"]:
        del sys.modules[name]


def config(word: str) -> dict[str, Any]:
    return dict(yaml.safe_load(re.sub(r"pixfound\.\w+\.(?=two_squares|bright)", "newcomer.", block("yaml", word))))


def benchmark() -> list[str]:
    found = config("two_squares")
    return [
        f"benchmark._target_={found['_target_']}",
        "~benchmark.pairs",
        "~benchmark.seed",
        "~benchmark.level",
        f"+benchmark.size={found['size']}",
    ]


def test_the_guides_benchmark_runs(models: Path, tmp_path: Path, newcomer: Path) -> None:
    result = run(models, tmp_path / "out", *benchmark())
    assert result.metrics["examples"] == 2 * config("two_squares")["size"]
    assert all(s["iou"] is not None for s in scores_of(result) if s["row"])


def test_the_guides_model_of_one_file_runs(tmp_path: Path, newcomer: Path) -> None:
    """It answers every question about the guide's squares rightly, and draws them exactly."""
    folder = tmp_path / "conf" / "model"
    folder.mkdir(parents=True)
    (folder / "bright.yaml").write_text(yaml.safe_dump(config("bright")))
    search = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    result = evaluate(config_of(search, "model=bright", "extraction=native", f"outputs_dir={tmp_path}", *benchmark()))
    assert not result.failures
    assert result.metrics["vqa"]["A_item"]["value"] == 1
    assert {s["iou"] for s in scores_of(result) if s["row"] == "native"} == {1.0}


def test_the_guides_model_of_one_yaml_runs_and_is_certified(models: Path, tmp_path: Path) -> None:
    """With a folder in the place of OWNER/NAME, of which there are no revisions."""
    folder = tmp_path / "conf" / "model"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(block("yaml", "OWNER/NAME").replace("OWNER/NAME", str(models / "llava")))
    search = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    options = [search, "model=mine", "model.revision=null", f"outputs_dir={tmp_path}"]
    options += ["model.generation.max_new_tokens=8"]
    result = evaluate(config_of(*options, f"segmenter.path={models / 'sam'}", "limit=2"))
    assert not result.failures
    assert any(s["row"] == "oracle" and s["shown"] for s in scores_of(result))
    assert "attention" in {gate.name for gate in certify(config_of(*options)).gates}


def test_the_guides_study_outside_the_tree_runs(tmp_path: Path) -> None:
    """By the guide's own command, in a folder that has the guide's files and no other."""
    (tmp_path / "two_squares.py").write_text(block("python", "class TwoSquares"))
    (tmp_path / "centre_box.py").write_text(block("python", "class CentreBox"))
    (tmp_path / "answer_length.py").write_text(block("python", "class AnswerLength"))
    for name, word in (
        ("benchmark/two_squares", "two_squares.TwoSquares"),
        ("extraction/centre_box", "centre_box.CentreBox"),
        ("analyses/mine", "answer_length.AnswerLength"),
    ):
        file = tmp_path / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(block("yaml", word).replace("pixfound.benchmarks.two_squares", "two_squares"))
    (command,) = re.findall(r"^ {4}PYTHONPATH=\. pixfound (.*)$", GUIDE, flags=re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "pixfound", *command.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (path.parent for path in (tmp_path / "outputs" / "runs").rglob("metrics.json"))
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    assert metrics["analyses"]["answer_length"]["answers"] == metrics["examples"] == 4
    assert {"oracle", "centre_box", "random_point"} <= metrics["rows"].keys()
    assert "## Length of answers" in (folder / "report.md").read_text()
