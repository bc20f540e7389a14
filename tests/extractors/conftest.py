from __future__ import annotations

import pytest

from tests.support.prompted import noise
from tests.support.random_text_prompted import SAVE


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A random model of each family, saved."""
    root = tmp_path_factory.mktemp("prompted")
    return {name: save(root / name) for name, save in SAVE.items()}


@pytest.fixture(scope="module")
def image():
    return noise()
