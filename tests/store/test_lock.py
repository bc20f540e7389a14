"""Two runs at once: one computes, the other is told by whom, or waits."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pixfound.errors import UserError
from pixfound.store.lock import next_writer, only_writer

HOLD = """
import sys, time
from pathlib import Path
from pixfound.store.lock import only_writer
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
    from tests.support.forked import pixfound_forked
    from tests.support.run import count_lines, random_models

    base = [*random_models(models), f"outputs_dir={tmp_path}"]
    first, second = (pixfound_forked(*base, f"extraction.selectors.random.seed={seed}") for seed in (1, 2))
    for process in (first, second):
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert count_lines(tmp_path)["generate"] == 3 * 8
    assert len(list(tmp_path.glob("runs/*/*/*/*/metrics.json"))) == 2


@pytest.mark.parametrize("hold", [lambda f: only_writer(f, "this run"), lambda f: next_writer([f], "stage extract")])
def test_what_cannot_be_locked_is_one_line(
    hold: Callable[[Path], AbstractContextManager[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(UserError, match=r"/\.lock: cannot be locked \(Is a directory\): delete it"), hold(tmp_path):
        raise AssertionError("it is held")
    (tmp_path / ".lock").rmdir()

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(UserError, match=r"cannot be locked \(No locks available\).*outputs_dir=DIR"), hold(tmp_path):
        raise AssertionError("it is held")


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_a_lock_that_outlives_its_process_on_another_host_says_what_to_delete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without flock: a file stands for the lock, and of another host nobody knows whether it is dead."""

    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", missing)
    with only_writer(tmp_path, "this run"):
        marker = (tmp_path / ".lock").read_text()
    (tmp_path / ".lock").write_text(marker.replace(socket.gethostname(), "elsewhere"))
    said = rf"where that process is gone, delete {tmp_path}/\.lock$"
    with pytest.raises(UserError, match=said), only_writer(tmp_path, "this run"):
        raise AssertionError("it is held")
    (tmp_path / ".lock").unlink()
    with only_writer(tmp_path, "this run"):
        pass
