"""A run is killed at twenty-four random moments, in every stage, alone and with two processes: nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support.forked import Forked, pixfound_forked, run_forked
from tests.support.run import QUIET

PAIRS = 12
BATCHES = PAIRS  # of two examples with their three prompts


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    for group in ("model", "extraction"):
        (folder / group).mkdir()
    (folder / "model/slow.yaml").write_text("_target_: tests.support.slow.Slow\nseconds: 0.05\nlog: null\n")
    (folder / "extraction/slow.yaml").write_text(
        "extractors:\n  slow: {_target_: tests.support.slow.SlowMasks, seconds: 0.01}\n"
        "selectors:\n  slow: {_target_: tests.support.slow.SlowFirst, seconds: 0.01}\n"
        "rows:\n  slow: {extractor: slow, selector: slow}\n"
    )
    return folder


def command(config: Path, outputs: Path, *overrides: str) -> list[str]:
    line = ["--config-dir", str(config), "model=slow", "extraction=slow"]
    line += [f"benchmark.pairs={PAIRS}", "batch_size=6", "scoring.resamples=100", *QUIET]
    return [*line, f"outputs_dir={outputs}", *overrides]


def files(outputs: Path) -> list[bytes]:
    (run,) = outputs.glob("runs/*/*/*/*")
    return [(run / name).read_bytes() for name in ("scores.jsonl", "metrics.json")]


@pytest.fixture(scope="module")
def undisturbed(config: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    outputs = tmp_path_factory.mktemp("undisturbed")
    assert run_forked(*command(config, outputs)).returncode == 0
    return files(outputs)


@pytest.mark.parametrize(("processes", "kills"), [(1, 18), (2, 6)])
def test_kills_at_random_moments_change_nothing(
    processes: int, kills: int, config: Path, undisturbed: list[bytes], tmp_path: Path
) -> None:
    rng = random.Random(processes)
    done, folder, reached = 0, 0, set()
    while done < kills:
        outputs, log = tmp_path / f"out{folder}", tmp_path / f"log{folder}"
        line = command(config, outputs, f"model.log={log}", f"launch.num_processes={processes}")
        killed = 0
        while True:
            process = pixfound_forked(*line, launches="fork")
            first = wait_for_work(process, outputs)
            time.sleep(rng.uniform(0.0, 0.6) if first else 0.0)
            if process.poll() is None:
                reached |= {path.parts[-3] for path in outputs.glob("stages/*/*/journal-*.jsonl")}
                os.killpg(process.pid, signal.SIGKILL)
                killed += 1
            if process.wait(timeout=120) == 0:
                break
        assert files(outputs) == undisturbed
        computed = len(log.read_text().splitlines())
        assert computed <= BATCHES + killed * processes, "more was computed again than the batches in flight"
        lines = [line for path in outputs.glob("stages/generate/*/journal-*.jsonl") for line in path.open()]
        assert len(lines) - 6 * PAIRS <= killed * processes  # torn lines are all there may be besides
        done, folder = done + killed, folder + 1
    assert {"generate", "extract", "grade", "select"} <= reached


def wait_for_work(process: Forked, outputs: Path) -> bool:
    """Until the run has written a line; False where it ended before."""
    before = written(outputs)
    while process.poll() is None:
        if written(outputs) > before:
            return True
        time.sleep(0.005)
    return False


def written(outputs: Path) -> int:
    return sum(path.stat().st_size for path in outputs.glob("stages/*/*/journal-*.jsonl"))
