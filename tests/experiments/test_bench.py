"""The benchmark runs at its smallest, and checks that both ways give the same before it times them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from experiments.performance.extraction import disagreement

from pixfound.masks import RLE

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


def test_a_part_that_fails_is_a_row_and_the_others_are_kept(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "experiments.performance.bench", "--only", "answers", "scoring", "--repeats", "1"]
    line += ["--images", "0", "--out", str(tmp_path / "bench.json")]  # no answers: there is nothing to measure
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    failed, kept = json.loads((tmp_path / "bench.json").read_text())
    assert (failed["name"], sorted(failed)) == ("answers", ["error", "name"])
    assert kept["name"].startswith("scoring 300 masks") and kept["ratio"] > 0
    assert done.returncode == 1 and done.stderr.endswith("failed: answers\n")
    assert [text.split()[0] for text in done.stdout.splitlines()] == ["answers", "scoring", "written"]


def test_masks_may_differ_where_a_logit_is_rounding_and_nowhere_else() -> None:
    logits = np.array([[4.0, -2.0], [1e-4, -1e-4]], dtype=np.float32)
    nearly = RLE.encode(np.array([[True, False], [False, True]]))
    wrong = RLE.encode(np.array([[True, True], [True, False]]))
    assert disagreement([[RLE.encode(logits > 0)]], [[logits]]) == 0
    assert 0 < disagreement([[nearly]], [[logits]]) < 1e-4
    assert disagreement([[nearly, wrong]], [[logits, logits]]) == 0.5
    assert disagreement([[nearly]], [[logits], [logits]]) == np.inf
    assert disagreement([[nearly]], [[logits, logits]]) == np.inf


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
