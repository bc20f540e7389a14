"""Search for local copies of a benchmark's files in folders and their subfolders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixfound.apps.data.files import File, find, sha256_of
from pixfound.errors import UserError


class Shelf:
    """Folders of local copies. A file is matched by its name, and by its checksum where it is known."""

    def __init__(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise UserError(f"--from {folder}: there is no such folder; give the one that holds the copies")
        self._paths = {
            path.relative_to(folder).as_posix(): path
            for folder in reversed(folders)  # the first folder has the last word
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def find(self, file: File) -> Path | None:
        """The copy of a file; of several with its name the one with the correct bytes, else the first folder's."""
        found = [self._paths[name] for name in find(file, self._paths)]
        if len(found) > 1 and file.sha256:
            found = [path for path in found if sha256_of(path) == file.sha256] or found
        if len(found) > 1 and len({sha256_of(path) for path in found}) > 1:
            raise UserError(
                f"{file.place}: could be {found[0]} or {found[1]}; give --from a folder that has one of them"
            )
        return found[0] if found else None
