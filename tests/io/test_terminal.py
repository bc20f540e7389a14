"""Output that nobody reads, or that cannot be written, ends no run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.run import random_models

PIXFOUND = [sys.executable, "-m", "pixfound"]


def in_shell(line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash; "$@" there is pixfound with these arguments."""
    command = ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}", "bash", *PIXFOUND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["-m", "limit=0"]], ids=["help", "cfg", "grid"])
def test_a_reader_that_leaves_is_met_with_silence(arguments: list[str], tmp_path: Path) -> None:
    done = in_shell('"$@" | true', *arguments, f"outputs_dir={tmp_path}")
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr
    assert done.returncode == (2 if arguments[0] == "-m" else 0)


@pytest.mark.parametrize(
    ("line", "shown"), [('"$@" 2>&1 | true', False), ('"$@" 2>&-', True), ('"$@" <&- >&- 2>&-', False)]
)
def test_a_run_whose_output_goes_nowhere_is_whole(line: str, shown: bool, models: Path, tmp_path: Path) -> None:
    done = in_shell(line, *random_models(models), "limit=2", f"outputs_dir={tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("report: " in done.stdout) == shown
    assert list(tmp_path.glob("runs/*/*/*/*/metrics.json"))
    for journal in tmp_path.glob("stages/*/*/journal-*.jsonl"):
        assert all(line.startswith("{") for line in journal.read_text().splitlines()), "nothing else went into it"


def test_what_the_run_cannot_print_is_no_reason_to_stop(tmp_path: Path) -> None:
    code = "from pixfound.io.terminal import prepare, say; prepare(); say('\\u03b1'); print('done')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "\\u03b1\ndone\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_lines_are_there_when_they_are_said(unbuffered: str) -> None:
    said = "import os; from pixfound.io.terminal import prepare, say; prepare(); say('now')"
    printed = (
        "import os, sys; from pixfound.io.terminal import prepare; prepare(); print('now'); print('e', file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    for code in (said, printed) if unbuffered else (said,):
        command = [sys.executable, "-c", f"{code}; os._exit(0)"]  # what is in a buffer is lost
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.stdout == "now\n" and done.stderr == ("e\n" if code == printed else "")
