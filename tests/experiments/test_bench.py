"""The benchmark runs at its smallest, and checks that both ways give the same before it times them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_figure_is_a_ratio_against_a_named_baseline(tmp_path: Path) -> None:
    small = ["--layers", "1", "--width", "64", "--least", "1", "--tokens", "2", "--images", "1", "--repeats", "1"]
    small += ["--side", "128", "--batches", "4", "--pairs", "2", "--examples", "4"]
    line = [sys.executable, "-m", "experiments.performance.bench", *small, "--out", str(tmp_path / "bench.json")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert len(rows) == 14
    for row in rows:
        assert " vs " in row["name"]
        assert row["ratio"] > 0
        assert {"ours", "baseline", "unit", "higher_is_better", "machine", "ratio_min", "ratio_max"} <= set(row)


def test_the_figures_of_a_gpu_can_be_made_at_a_small_size_anywhere() -> None:
    small = ["--small", "--device", "cpu", "--batches", "1", "3", "--tokens", "3", "--alone", "1", "--repeats", "1"]
    line = [sys.executable, "-m", "experiments.performance.gpu", *small]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = [text.split("|")[1:-1] for text in done.stdout.splitlines() if "(small)" in text]
    assert [text[0].strip() for text in lines] == ["LLaVA-1.5-7B (small)"] * 2 + ["Qwen2.5-VL-7B (small)"] * 2 + [
        "SAM (small)"
    ]
    assert all(float(text[2]) > 0 for text in lines)
