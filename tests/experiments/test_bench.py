"""The benchmark runs at its smallest, and checks that both ways give the same before it times them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from experiments.speed import bench, gpu
from experiments.speed.extraction import disagreement
from experiments.speed.gpu_bundle import LEFT_OUT, THERE, closure, needs, pins

from pixfound.types.masks import RLE
from tests.support.forked import run_forked

ROOT = Path(__file__).parents[2]


def test_every_figure_is_a_ratio_against_a_named_baseline(tmp_path: Path) -> None:
    small = ["--layers", "1", "--width", "64", "--least", "1", "--tokens", "2", "--images", "1", "--repeats", "1"]
    small += ["--side", "128", "--batches", "4", "--pairs", "2", "--examples", "4"]
    small += ["--only", "answers", "sources", "extraction", "scoring", "commands", "scale"]  # sharing: test_sharing.py
    line = [sys.executable, "-m", "experiments.speed.bench", *small, "--out", str(tmp_path / "bench.json")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "bench.json").read_text())
    assert len(rows) == 24
    for row in rows:
        assert " vs " in row["name"]
        assert row["ratio"] > 0
        assert {"ours", "baseline", "unit", "higher_is_better", "machine", "ratio_min", "ratio_max"} <= set(row)


def test_a_part_that_fails_is_a_row_and_the_others_are_kept(tmp_path: Path) -> None:
    line = ["--only", "answers", "scoring", "--repeats", "1"]
    line += ["--images", "0", "--out", str(tmp_path / "bench.json")]  # no answers: there is nothing to measure
    done = run_forked(*line, work=bench.main, cwd=ROOT)
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


def test_the_figures_of_a_gpu_can_be_made_at_a_small_size_anywhere_and_go_on_where_they_ended(tmp_path: Path) -> None:
    target = tmp_path / "gpu.jsonl"
    small = ["--small", "--device", "cpu", "--batches", "3", "1", "--tokens", "3", "--alone", "2", "--repeats", "1"]
    line = [*small, "--out", str(target)]
    first = run_forked(*line, "--minutes", "0.001", work=gpu.main, cwd=ROOT)
    assert first.returncode == 0, first.stderr
    assert "the same command goes on with LLaVA-1.5-7B (small), recipe" in first.stdout
    (once,) = target.read_text().splitlines()  # one part at least, however long it takes
    with target.open("a") as stream:
        stream.write('{"name": "cut off by a ki\n')
    done = run_forked(*line, work=gpu.main, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    again, _, *lines = target.read_text().splitlines()
    rows = {row["name"].replace(" (small)", ""): row for row in map(json.loads, [once, *lines])}
    assert again == once and len(rows) == 1 + len(lines) == 12
    for model in ("LLaVA-1.5-7B", "Qwen2.5-VL-7B"):
        for batch in (3, 1):
            answers = rows[f"{model}, batch {batch}"]
            assert answers["batch"] == batch and answers["prompts_per_s"] > 0 and answers["no_capture"] > 0
        assert rows[f"{model}, recipe"]["prompts_per_s"] > 0
        apart = rows[f"{model}, capture vs eager"]
        assert apart["all_rows"] < 0.02 * apart["largest_value"], "bfloat16 has eight bits"
        assert 3 <= rows[f"{model}, batch_size=auto"]["batch"] <= 32
    shared = rows["one and two processes"]
    assert shared["lines"] > 0 and shared["lines_that_differ"] == 0 and shared["same_metrics"]
    assert rows["SAM ViT-H, 1 images"]["images_per_s"] > 0
    assert [text for text in done.stdout.splitlines() if text.startswith("| LLaVA-1.5-7B (small) | 3 | ")]


def test_what_a_gpu_machine_lacks_is_pinned_and_packed() -> None:
    direct = [str(need) for need in needs("pixfound") if need.name not in LEFT_OUT]
    packed = closure(direct) - closure(["torch"]) - THERE
    assert {"hydra-core", "omegaconf", "antlr4-python3-runtime", "pycocotools", "textblob", "nltk"} <= packed
    assert packed.isdisjoint({"torch", "transformers", "wandb", "numpy"})
    assert packed <= set(pins())
