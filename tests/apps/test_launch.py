"""Real processes: as many as one likes, killed or not, the scores are those of a single undisturbed one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from pixfound.errors import PromptTooLong
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Generation
from tests.support.forked import pixfound_forked, run_forked
from tests.support.run import QUIET, random_models, slow_model

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
ACCELERATE = [
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m"),
]
SINGLE = [sys.executable, "-m"]


def arguments(models: Path, outputs: Path, *overrides: str) -> list[str]:
    return [*random_models(models), f"outputs_dir={outputs}", *overrides]


def files(outputs: Path) -> dict[str, bytes]:
    return {name: next(outputs.glob(f"runs/*/*/*/*/{name}")).read_bytes() for name in ("scores.jsonl", "metrics.json")}


@pytest.fixture(scope="module")
def single(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    outputs = tmp_path_factory.mktemp("single")
    done = run_forked(*arguments(models, outputs))
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
    line = [*start, "pixfound", *arguments(models, tmp_path, *overrides)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path) == single
    assert len(list(tmp_path.glob("stages/generate/*/journal-*.jsonl"))) == 2, "both processes worked"
    assert done.stdout.count("report: ") == 1, "one process speaks"


def test_a_launch_that_silently_is_a_single_process_is_refused(models: Path, tmp_path: Path) -> None:
    start = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "pixfound"]
    line = [*start, *arguments(models, tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode != 0
    assert "accelerate was asked for 2 processes and has started a single one" in done.stderr
    assert "pixfound launch.num_processes=2" in done.stderr


def test_a_killed_run_continues(models: Path, single: dict[str, bytes], tmp_path: Path) -> None:
    line = arguments(models, tmp_path)
    for stage in ("generate", "extract", "select"):
        process = pixfound_forked(*line)
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
    done = run_forked(*line)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path)["scores.jsonl"] == single["scores.jsonl"]


def said(stderr: str) -> list[str]:
    """The lines of stderr that are no progress bars."""
    lines = stderr.replace("\r", "\n").splitlines()
    return [line for line in lines if line.strip() and not line.startswith(("generate", "extract", "grade", "select"))]


def test_a_process_that_fails_ends_the_run_with_its_reason(models: Path, tmp_path: Path) -> None:
    other = "model._target_=tests.apps.test_launch.FailingModel"
    line = arguments(models, tmp_path, other, "launch.num_processes=2", "max_failures=0")
    done = run_forked(*line, launches="fork")
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in said(done.stderr) if line.startswith("pixfound")]
    assert line.startswith("pixfound: more than max_failures=0 examples failed; ") and "boom" in line
    assert "Traceback" not in done.stderr


def test_a_mistake_that_every_process_finds_is_one_line(models: Path, tmp_path: Path) -> None:
    done = run_forked(*arguments(models, tmp_path, "launch.num_processes=2", "limit=0"), launches="fork")
    (line,) = said(done.stderr)
    assert line.startswith("pixfound: limit=0: must be a whole number") and done.returncode == 2


def test_an_error_that_nobody_expected_is_shown_once(models: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def make(pairs, seed, level):\n    raise RuntimeError('no such luck')\n")
    line = arguments(models, tmp_path / "out", "benchmark._target_=broken.make", "launch.num_processes=2")
    done = run_forked(*line, environment={"PYTHONPATH": str(tmp_path)}, launches="fork")
    assert done.stderr.count("Traceback") == 1 and "RuntimeError: no such luck" in done.stderr
    assert said(done.stderr)[-1].endswith("What is done is kept: run the same command to go on")
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("how", "launches", "message"),
    [
        ("interrupt", "spawn", "pixfound: interrupted; what is done is kept, run the same command to go on"),
        ("terminate", "spawn", "pixfound: ended by SIGTERM. What is done is kept: run the same command to go on"),
        (
            "kill one",
            "fork",
            "of 2 was ended by SIGKILL (the system does so when memory runs out). What is done is kept",
        ),
    ],
)
def test_what_ends_a_launch_is_one_line_and_leaves_nothing_behind(
    how: str, launches: Literal["spawn", "fork"], message: str, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    outputs = tmp_path / "out"
    line = [*slow_model(tmp_path / "conf", 0.2), "extraction=nulls"]
    line += ["launch.num_processes=2", "batch_size=3", *QUIET, f"outputs_dir={outputs}"]
    environment = {"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(Path(__file__).parents[2])}
    process = (
        pixfound_forked(*line, environment=environment, launches="fork")
        if launches == "fork"
        else subprocess.Popen(
            [*SINGLE, "pixfound", *line],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    )
    wait_until(lambda: len(list(outputs.glob("stages/generate/*/journal-*.jsonl"))) == 2)
    workers = children(process.pid)
    assert len(workers) == 2
    for folder in outputs.glob("stages/generate/*"):  # as a process leaves it that is killed while it writes
        (folder / f".stage.json.{workers[0]}.tmp").touch()
    if how == "interrupt":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    elif how == "terminate":
        process.send_signal(signal.SIGTERM)
    else:
        os.kill(workers[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    (told,) = said(errors)
    assert message in told and process.returncode == 2
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert not list(outputs.rglob("*.tmp")) and not list(outputs.rglob(".probe*"))
    assert not list((tmp_path / "tmp").iterdir())


def children(pid: int) -> list[int]:
    """The processes that compute, by their pids."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            helps = b"multiprocessing.resource_tracker" in (stat.parent / "cmdline").read_bytes()
            found += [int(stat.parent.name)] if parent == pid and not helps else []
    return sorted(found)


def wait_until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_cells_side_by_side_end_with_the_grid(how: int, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    line = ["-m", *slow_model(tmp_path / "conf", 0.5), "hydra/launcher=joblib"]
    line += ["extraction=nulls", "batch_size=3", *QUIET, "seed=1,2"]
    line += ["hydra.launcher.n_jobs=2", f"outputs_dir={tmp_path}"]
    process = pixfound_forked(*line, environment={"PYTHONPATH": str(Path(__file__).parents[2])})
    wait_until(lambda: bool(list(tmp_path.glob("stages/generate/*/journal-*.jsonl"))))
    process.send_signal(how)
    process.wait(timeout=60)
    time.sleep(2)
    journals = list(tmp_path.glob("stages/generate/*/journal-*.jsonl"))
    sizes = [path.stat().st_size for path in journals]
    time.sleep(2)
    assert [path.stat().st_size for path in journals] == sizes, "nobody goes on"


def test_what_no_process_can_do_is_said_before_any_starts(models: Path, tmp_path: Path) -> None:
    done = run_forked(*arguments(models, tmp_path, "launch.num_processes=2", "launch.threads=0"))
    assert (done.returncode, done.stderr) == (2, "pixfound: launch.threads=0: give a whole number of at least 1\n")


class FailingModel(HuggingFace):
    """A model that never answers."""

    def generate(self, requests: object) -> list[Generation | PromptTooLong]:
        raise RuntimeError("boom")
