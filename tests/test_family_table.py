"""The README's table of models is what the tests are marked to verify."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NEED_TORCHVISION = {"cohere2_vision", "mistral3"}


def test_the_readmes_table_is_the_commands() -> None:
    pytest.importorskip("openai")  # without it, its tests are not collected
    lines = (Path(__file__).parents[1] / "README.md").read_text().splitlines()
    printed = run_table()
    start = lines.index(printed[0])
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    shown = lines[start:end]
    assert [line for line in shown if line.split("|")[1].strip() not in NEED_TORCHVISION - models(printed)] == printed


def models(printed: list[str]) -> set[str]:
    return {line.split("|")[1].strip() for line in printed[2:]}


def run_table() -> list[str]:
    """In a process of its own: pytest collects once in each."""
    command = [sys.executable, "-m", "tests.support.family_table"]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.splitlines()
