"""SHA256SUMS of a run's folder: its files as the run has written them (`sha256sum -c SHA256SUMS`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

from pixfound.errors import UserError
from pixfound.io.atomic import write_atomic

SUMS = "SHA256SUMS"
WRITTEN = ("config.yaml", "metrics.json", "provenance.json", "report.md", "scores.jsonl")  # by every run
_NAME = re.compile(r"\w[\w.-]*")
_LINE = re.compile(rf"([0-9a-f]{{64}})  ({_NAME.pattern})")


def write_sums(folder: Path) -> None:
    """Write the checksums of a folder's files; hidden ones and those with odd names are no run's."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    write_atomic(folder / SUMS, [f"{_sum(folder / name)}  {name}\n" for name in names if _NAME.fullmatch(name)])


def changed(folder: Path, names: Collection[str] = ()) -> list[str]:
    """Names of files that are not as they were written, or gone: of these, or of all.

    SHA256SUMS is such a file, and the only one, where it cannot be read.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return [SUMS]
    sums = {line[2]: line[1] for line in map(_LINE.fullmatch, lines) if line}
    if len(sums) < len(lines) or not sums.keys() >= set(WRITTEN):
        return [SUMS]
    return [name for name in sorted(names or sums) if _sum(folder / name) != sums[name]]


def refuse_changed(folder: Path) -> None:
    """Raise UserError where numbers of a run's folder are not as they were written; one without checksums passes."""
    if not (folder / SUMS).exists():
        return
    for name in changed(folder, ("config.yaml", "metrics.json", "scores.jsonl")):
        raise UserError(
            f"{folder / name}: is not as the run has written it; run the evaluation again, or delete {SUMS} beside it "
            "where it was changed on purpose"
        )


def _sum(path: Path) -> str:
    """The checksum of a file, "" where it cannot be read."""
    try:
        if not path.is_file():  # a pipe would never end
            return ""
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
