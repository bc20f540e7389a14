"""The guide's first benchmark, typed in as it stands there, runs: one file and one YAML."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.run import run, scores_of

GUIDE = Path(__file__).parents[1] / "CONTRIBUTING.md"


def test_the_guides_benchmark_runs(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GUIDE.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    yaml_block = next(b for b in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL) if "two_squares" in b)
    config = yaml.safe_load(yaml_block)
    package = tmp_path / "newcomer"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "two_squares.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    target = config["_target_"].replace("pixfound.benchmarks", "newcomer")
    overrides = [
        f"benchmark._target_={target}",
        "~benchmark.pairs",
        "~benchmark.seed",
        f"+benchmark.size={config['size']}",
    ]
    result = run(models, tmp_path / "out", *overrides)
    assert result.metrics["examples"] == 2 * config["size"]
    assert all(s["iou"] is not None for s in scores_of(result) if s["row"])
    sys.modules.pop("newcomer.two_squares", None)
