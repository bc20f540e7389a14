"""Provenance recorded beside results: versions, the state of the code, and the commands that made a run."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("pixfound", "torch", "transformers", "accelerate", "numpy", "pycocotools", "textblob", "spacy")


@cache
def provenance() -> dict[str, str | None]:
    """Versions of the libraries that can change a result, and the git revision of the code, if it has one."""
    versions: dict[str, str | None] = {"python": platform.python_version(), "git": _git_revision()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _git_revision() -> str | None:
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


class RunLog:
    """Date, command and seconds of the work on a run, from here on. overrides: those of the command line."""

    def __init__(self, overrides: Sequence[str]) -> None:
        self._date = datetime.now(UTC).isoformat(timespec="seconds")
        self._command = shlex.join(["pixfound", *map(str, overrides)])
        self._start = self._last = time.monotonic()
        self._stages: dict[str, float] = {}

    def ended(self, stage: str) -> None:
        """Take the time since the stage before."""
        now = time.monotonic()
        self._stages[stage], self._last = round(now - self._last, 1), now

    def entries(self, path: Path) -> list[dict[str, Any]]:
        """The commands so far, the oldest first: those of an earlier provenance.json at `path`, and this one."""
        try:
            earlier = list(json.loads(path.read_text(encoding="utf-8"))["commands"])
        except (OSError, ValueError, KeyError, TypeError):
            earlier = []
        seconds = round(time.monotonic() - self._start, 1)
        return [*earlier, {"date": self._date, "command": self._command, "seconds": seconds, "stages": self._stages}]
