"""Two runs at once: one computes, the other is told by whom, or waits."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from pixfound.errors import UserError
from pixfound.pipeline.lock import next_writer, only_writer

HOLD = """
import sys, time
from pathlib import Path
from pixfound.pipeline.lock import only_writer
with only_writer(Path(sys.argv[1]), "this run"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holding(folder: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held"
    return process


def test_a_second_writer_is_told_who_is_the_first(tmp_path: Path) -> None:
    process = holding(tmp_path, 60)
    named = rf"this run is being written by process {process.pid} on .*since"
    with pytest.raises(UserError, match=named), only_writer(tmp_path, "this run"):
        raise AssertionError("both hold it")
    process.kill()
    process.wait()
    with only_writer(tmp_path, "this run"):  # the lock dies with its holder
        pass


def test_the_next_writer_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = holding(tmp_path, 0.7)
    start = time.monotonic()
    other = tmp_path / "other"
    other.mkdir()
    with next_writer([tmp_path, other], "stage extract"):
        assert time.monotonic() - start > 0.3
        assert process.wait() == 0
        with pytest.raises(UserError), only_writer(other, "x"):
            pass
    assert f"stage extract: waiting for process {process.pid} on" in capsys.readouterr().err
    with only_writer(other, "x"):
        pass


def test_two_runs_of_the_same_at_once_compute_it_once(models: Path, tmp_path: Path) -> None:
    """Two commands that differ in a selector only: they share generations, and neither computes them twice."""
    from tests.support.run import count_lines, random_models

    base = [sys.executable, "-m", "pixfound", *random_models(models), f"outputs_dir={tmp_path}"]
    first, second = (
        subprocess.Popen([*base, f"extraction.selectors.random.seed={seed}"], stderr=subprocess.PIPE, text=True)
        for seed in (1, 2)
    )
    for process in (first, second):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert count_lines(tmp_path)["generate"] == 3 * 8
    assert len(list(tmp_path.glob("runs/*/*/*/*/metrics.json"))) == 2
