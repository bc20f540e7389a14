"""Provenance recorded beside results: versions and the state of the code."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
