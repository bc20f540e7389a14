"""The manifest of a prepared benchmark: checksums and sources of its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.io.text_files import parse_json

NAME = "pixfound-data.json"


@dataclass(frozen=True)
class Entry:
    """State of a file at preparation. source: its origin."""

    size: int
    sha256: str
    source: str


@dataclass(frozen=True)
class Manifest:
    """The manifest. files: by path in the folder. commits: the commit of each dataset on the Hub in use, and the
    SHA-256 of each file from another host by its URL.
    """

    dataset: str
    files: Mapping[str, Entry] = field(default_factory=dict)
    commits: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text of the file."""
        files = {path: vars(entry) for path, entry in sorted(self.files.items())}
        return json.dumps({"dataset": self.dataset, "commits": dict(self.commits), "files": files}, indent=1) + "\n"


def read_manifest(root: Path, dataset: str) -> Manifest:
    """The manifest of a folder, or an empty one; raises UserError where it is damaged or of another dataset."""
    path = root / NAME
    if not path.is_file():
        return Manifest(dataset)
    try:
        data: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        files = {
            str(name): Entry(int(e["size"]), str(e["sha256"]), str(e["source"])) for name, e in data["files"].items()
        }
        manifest = Manifest(str(data["dataset"]), files, {str(k): str(v) for k, v in data["commits"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is no readable list of checksums ({error!r}); remove it and prepare again") from error
    if manifest.dataset != dataset:
        raise UserError(f"{root}: holds {manifest.dataset}, not {dataset}; give another --root")
    return manifest
