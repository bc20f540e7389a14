"""A real SLURM cluster of two nodes: whatever it does to the jobs of a grid, the tables equal those of a local run.

Runs with `make test-slurm`, which starts the cluster (cluster.sh).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

CLUSTER = os.environ.get("PIXFOUND_SLURM_DIR")
if not CLUSTER:
    pytest.skip("no SLURM cluster: `make test-slurm` starts one", allow_module_level=True)

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{CLUSTER}/bin:{os.environ['PATH']}"}
PAIRS = 10  # of the slow cells: ten batches of two examples
PATIENCE = 240.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/slow.yaml").write_text("_target_: tests.support.slow.Slow\nseconds: 0.0\n")
    return tmp_path / "conf"


def line(config: Path, outputs: Path, *overrides: str) -> list[str]:
    base = ["-m", "--config-dir", str(config), "model=slow", "extraction=precomputed_masks", "batch_size=6"]
    base += ["scoring.resamples=100", "report.pictures=0", f"outputs_dir={outputs}"]
    return [sys.executable, "-m", "pixfound", *base, *overrides]


def slurm(*overrides: str) -> list[str]:
    return ["cluster=slurm", "hydra.launcher.partition=low", "hydra.launcher.timeout_min=60", *overrides]


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out + err


def files(outputs: Path) -> list[tuple[bytes, bytes]]:
    """Scores and metrics of every run, in the order of their benchmarks' sizes."""
    found = [
        ((p / "scores.jsonl").read_bytes(), (p / "metrics.json").read_bytes()) for p in outputs.glob("runs/*/*/*/*")
    ]
    return sorted(found, key=lambda pair: len(pair[0]))


def local(config: Path, outputs: Path, *overrides: str) -> list[tuple[bytes, bytes]]:
    code, said = finish(start(line(config, outputs, *overrides)))
    assert code == 0, said
    return files(outputs)


def wait(what: str, until: Callable[[], object]) -> object:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = until()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {PATIENCE:.0f} seconds")


def records(outputs: Path) -> int:
    return sum(len(p.read_bytes().splitlines()) for p in outputs.glob("stages/generate/*/journal-*.jsonl"))


def ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout


def running() -> list[str]:
    return ask("squeue", "-h", "-t", "R", "-o", "%A").split()


def restarts() -> int:
    """How often the youngest cell was queued again."""
    jobs = [job for job in ask("scontrol", "show", "job").split("\n\n") if "JobName=pixfound" in job]
    youngest = max(jobs, key=lambda job: int(re.findall(r"JobId=(\d+)", job)[0]))
    return int(re.findall(r"Restarts=(\d+)", youngest)[0])


def slow_job(config: Path, outputs: Path, *overrides: str, seconds: int = 1) -> subprocess.Popen[str]:
    """Start a slow cell, and come back when a part of it is done. seconds: of each of its ten batches."""
    cell = [f"model.seconds={seconds}", f"benchmark.pairs={PAIRS}", *slurm(*overrides)]
    process = start(line(config, outputs, *cell))
    wait("the job's first results", lambda: process.poll() is not None or records(outputs) > 0)
    assert process.poll() is None, finish(process)
    return process


def check(process: subprocess.Popen[str], config: Path, outputs: Path, tmp_path: Path) -> None:
    """It ended well, with the scores of an undisturbed run, and computed no batch twice but the one in flight."""
    code, said = finish(process)
    assert code == 0, said
    assert files(outputs) == local(config, tmp_path / "local", f"benchmark.pairs={PAIRS}")
    assert records(outputs) == 2 * 3 * PAIRS


def test_a_grid_on_the_cluster_equals_one_here(config: Path, tmp_path: Path) -> None:
    cells = ["benchmark.pairs=2,3", "benchmark.seed=1,2"]
    code, said = finish(start(line(config, tmp_path / "out", *cells, *slurm())))
    assert code == 0, said
    assert "4 done, 0 skipped, 0 failed" in said
    assert files(tmp_path / "out") == local(config, tmp_path / "local", *cells)
    code, said = finish(start(line(config, tmp_path / "out", *cells, *slurm())))
    assert "0 done, 4 skipped, 0 failed" in said


def test_a_job_of_two_nodes_with_two_processes_each(config: Path, tmp_path: Path) -> None:
    several = slurm("hydra.launcher.nodes=2", "launch.num_processes=2", "hydra.launcher.cpus_per_task=2")
    slow = ["model.seconds=0.5", "benchmark.pairs=8"]  # time for each of the four to take a batch
    code, said = finish(start(line(config, tmp_path / "out", *slow, *several)))
    assert code == 0, said
    journals = list((tmp_path / "out").glob("stages/generate/*/journal-*.jsonl"))
    assert len(journals) == 4, "four processes worked"
    assert files(tmp_path / "out") == local(config, tmp_path / "local", "benchmark.pairs=8")


def test_a_job_that_is_preempted_goes_on(config: Path, tmp_path: Path) -> None:
    process = slow_job(config, tmp_path / "out")
    before = records(tmp_path / "out")
    ask("srun", "-p", "high", "-N", "2", "-c", "4", "--mem=300", "sleep", "2")  # takes both nodes away
    wait("the job is queued again", lambda: restarts() == 1)
    assert before < 2 * 3 * PAIRS
    check(process, config, tmp_path / "out", tmp_path)


def test_a_job_that_reaches_its_time_limit_goes_on(config: Path, tmp_path: Path) -> None:
    # SLURM looks at its clocks every 30 s and warns up to that much too early: after 15 to 45 of the 60 s, not at once.
    limit = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=15"]
    process = slow_job(config, tmp_path / "out", *limit, seconds=8)  # more work than the limit has room for
    wait("the job is queued again", lambda: restarts() >= 1 or process.poll() is not None)
    assert restarts() >= 1
    check(process, config, tmp_path / "out", tmp_path)


def test_a_node_that_dies_costs_the_batch_in_flight(config: Path, tmp_path: Path) -> None:
    process = slow_job(config, tmp_path / "out")
    (node,) = ask("squeue", "-h", "-t", "R", "-o", "%N").split()
    try:
        kill_node(node)
        wait("the job is queued again", lambda: restarts() == 1)
        check(process, config, tmp_path / "out", tmp_path)
    finally:
        subprocess.run([str(Path(__file__).parent / "cluster.sh"), "start", str(CLUSTER)], check=True, timeout=120)


def test_a_cancelled_job_is_named_and_the_same_command_goes_on(config: Path, tmp_path: Path) -> None:
    process = slow_job(config, tmp_path / "out")
    (job,) = running()
    ask("scancel", job)
    code, said = finish(process)
    assert code == 2
    assert "0 done, 0 skipped, 1 failed" in said
    assert "did not end: it was killed" in said
    (note,) = (tmp_path / "out").glob("multirun/*/grid.json")
    assert json.loads(note.read_text())[0]["status"] == "failed"
    again = start(line(config, tmp_path / "out", f"benchmark.pairs={PAIRS}", *slurm()))
    check(again, config, tmp_path / "out", tmp_path)


def kill_node(node: str) -> None:
    """The node's daemon, its job's steps and all that they started, at once."""
    daemon = int((Path(str(CLUSTER)) / f"run/slurmd-{node}.pid").read_text())
    table = [[int(n) for n in row.split()] for row in ask("ps", "-e", "-o", "pid=,ppid=").splitlines()]
    steps = [int(pid) for pid in ask("pgrep", "-f", "slurmstepd").split()]
    doomed = {daemon, *steps}
    while more := {pid for pid, parent in table if parent in doomed} - doomed:
        doomed |= more
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
