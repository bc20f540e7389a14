from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import quick_configs

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # by the wall clock
settings.load_profile("busy")
quick_configs.install()
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

DEAR = ("test_bench", "test_launch", "test_page", "test_odd_images", "test_kills")  # 20 seconds to a minute each


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The dear files first: where files are dealt out to processes, none is left alone with one of them at the end."""
    items.sort(key=lambda item: item.path.stem not in DEAR)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random LLaVA (`llava`) and a random SAM (`sam`)."""
    from tests.support.random_llava import save_random_llava
    from tests.support.random_sam import save_random_sam

    folder = tmp_path_factory.mktemp("models")
    save_random_llava(folder / "llava")
    save_random_sam(folder / "sam")
    return folder


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random model of a family, made at its first use."""
    from tests.support.families import FAMILIES

    root = tmp_path_factory.mktemp("families")

    def folder(name: str) -> Path:
        path = root / name
        return path if path.is_dir() else FAMILIES[name].save(path)

    return folder


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The openai package's retries without its pauses, unless a server asks for one."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make setup")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
