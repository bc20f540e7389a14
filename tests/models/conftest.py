from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.families import FAMILIES


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random model of a family, made at its first use."""
    root = tmp_path_factory.mktemp("families")

    def folder(name: str) -> Path:
        path = root / name
        return path if path.is_dir() else FAMILIES[name].save(path)

    return folder
