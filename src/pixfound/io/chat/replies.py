"""Replies kept on disk, so that nothing is paid for twice."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixfound.errors import UserError
from pixfound.io.atomic import cache_folder
from pixfound.io.text_files import parse_json


class Replies:
    """Replies on disk, one file for each request's hash; files are never changed, and are written atomically."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Mapping[str, Any] | None:
        """Return the data kept under a hash; None where there is nothing, or nothing readable."""
        try:
            data = parse_json(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        good = isinstance(data, dict) and isinstance(data.get("reply"), str) and data["reply"].strip()
        return data if good else None

    def prepare(self, option: str) -> None:
        """Create the folder before anything is paid for, or say plainly that it cannot be. option: that names it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"replies cannot be kept in {self.folder} ({error.strerror}): set {option}=DIR") from error

    def put(self, key: str, data: Mapping[str, Any]) -> None:
        """Keep a reply: written under a temporary name of this process and thread, then renamed."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        temporary.write_text(json.dumps(data))  # ASCII: half of a surrogate pair too
        os.replace(temporary, path)

    def drop(self, key: str) -> None:
        """Remove what was kept under a hash."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def default_folder() -> Path:
    """The folder of replies unless a config names another."""
    return cache_folder() / "judge"
