"""The guide's table of models is what the tests are marked to verify."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.family_table import cell, packages

ROOT = Path(__file__).parents[1]


def test_the_guides_table_is_the_commands() -> None:
    pytest.importorskip("openai")  # without it, its tests are not collected
    lines = (ROOT / "docs" / "models.md").read_text().splitlines()
    printed = run_table()
    start = lines.index(printed[0])
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    assert lines[start:end] == printed


def run_table() -> list[str]:
    """In a process of its own: pytest collects once in each."""
    command = [sys.executable, "-m", "tests.support.family_table"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.splitlines()


def test_a_cell_says_what_the_least_demanding_test_needs() -> None:
    free, one, two = frozenset[str](), frozenset({"torchvision"}), frozenset({"a", "torchvision"})
    assert cell([]) == "-"
    assert cell([two, one]) == "yes, where torchvision is"
    assert cell([two]) == "yes, where a and torchvision is"
    assert cell([one, free]) == "yes"


@pytest.mark.parametrize("missing", [True, False])
def test_a_need_is_read_from_the_reason_whether_the_package_is_there_or_not(missing: bool) -> None:
    marks = [
        pytest.mark.skipif(missing, reason="needs torchvision").mark,
        pytest.mark.skipif(missing, reason="no released annotations").mark,
    ]
    assert list(packages(marks)) == ["torchvision"]
