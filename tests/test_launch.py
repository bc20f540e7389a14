"""Real processes: as many as one likes, killed or not, the scores are those of a single undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pixfound.models.huggingface import HuggingFace
from pixfound.types import Generation
from tests.support.run import random_models

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
ACCELERATE = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m"),
]
SINGLE = [sys.executable, "-m"]


def command(start: list[str], models: Path, outputs: Path, *overrides: str) -> list[str]:
    return [*start, "pixfound", *random_models(models), f"outputs_dir={outputs}", *overrides]


def execute(line: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


def files(outputs: Path) -> dict[str, bytes]:
    return {name: next(outputs.glob(f"runs/*/*/*/*/{name}")).read_bytes() for name in ("scores.jsonl", "metrics.json")}


@pytest.fixture(scope="module")
def single(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    outputs = tmp_path_factory.mktemp("single")
    done = execute(command(SINGLE, models, outputs))
    assert done.returncode == 0, done.stderr
    return files(outputs)


@pytest.mark.parametrize(
    ("start", "overrides"),
    [(SINGLE, ["launch.num_processes=2"]), (TORCHRUN, []), (ACCELERATE, [])],
    ids=["inside", "torchrun", "accelerate"],
)
def test_two_processes_equal_one(
    start: list[str], overrides: list[str], models: Path, single: dict[str, bytes], tmp_path: Path
) -> None:
    done = execute(command(start, models, tmp_path, *overrides))
    assert done.returncode == 0, done.stderr
    assert files(tmp_path) == single
    assert len(list(tmp_path.glob("stages/generate/*/journal-*.jsonl"))) == 2, "both processes worked"
    assert done.stdout.count("report: ") == 1, "one process speaks"


def test_a_launch_that_silently_is_a_single_process_is_refused(models: Path, tmp_path: Path) -> None:
    start = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m"]
    done = execute(command(start, models, tmp_path))
    assert done.returncode != 0
    assert "accelerate was asked for 2 processes and has started a single one" in done.stderr
    assert "pixfound launch.num_processes=2" in done.stderr


def test_a_killed_run_continues(models: Path, single: dict[str, bytes], tmp_path: Path) -> None:
    line = command(SINGLE, models, tmp_path)
    for stage in ("generate", "extract", "select"):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if any(p.stat().st_size for p in tmp_path.glob(f"stages/{stage}/*/journal-*.jsonl")):
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        process.wait(timeout=120)
        if process.returncode == 0:
            break  # it was faster than the killer
        assert process.returncode == -signal.SIGKILL
    done = execute(line)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path)["scores.jsonl"] == single["scores.jsonl"]


def test_a_process_that_fails_ends_the_run_with_its_reason(models: Path, tmp_path: Path) -> None:
    other = "model._target_=tests.test_launch.FailingModel"
    done = execute(command(SINGLE, models, tmp_path, other, "launch.num_processes=2", "max_failures=0"))
    assert done.returncode == 2, done.stderr
    assert "more than max_failures=0 examples failed" in done.stderr
    assert "boom" in done.stderr
    assert "process 1 of 2 ended" in done.stderr or "process 0 of 2 ended" in done.stderr


def test_what_no_process_can_do_is_said_before_any_starts(models: Path, tmp_path: Path) -> None:
    done = execute(command(SINGLE, models, tmp_path, "launch.num_processes=2", "launch.threads=0"))
    assert (done.returncode, done.stderr) == (2, "pixfound: launch.threads=0: give a whole number of at least 1\n")


class FailingModel(HuggingFace):
    """A model that never answers."""

    def generate(self, requests: object) -> list[Generation]:
        raise RuntimeError("boom")
