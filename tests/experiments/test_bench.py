"""The benchmark runs at its smallest, and checks that both ways give the same before it times them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_figure_is_a_ratio_against_a_named_baseline(tmp_path: Path) -> None:
    small = ["--layers", "1", "--width", "64", "--tokens", "2", "--images", "1", "--repeats", "1", "--side", "64"]
    line = [sys.executable, "-m", "experiments.performance.bench", *small, "--out", str(tmp_path / "bench.json")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert len(rows) >= 5
    for row in rows:
        assert " vs " in row["name"]
        assert row["ratio"] > 0
        assert {"ours", "baseline", "unit", "higher_is_better", "machine", "ratio_min", "ratio_max"} <= set(row)
