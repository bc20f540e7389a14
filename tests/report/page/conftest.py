"""One browser and one run of the embedded model for all tests of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pixfound.apps.evaluation import evaluate
from pixfound.pipeline.results import Result
from tests.support.run import config_of

ROOT = Path(__file__).parents[3]
SHOTS = ROOT / "build" / "page"  # pictures of every view, to look at
OPTIONS = ("limit=16", "scoring.resamples=100", "report.pictures=0")


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def finished(outputs: Path) -> Result:
    return evaluate(config_of(*OPTIONS, f"outputs_dir={outputs}"))


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """visit(folder, address="", **options): a tab that shows a page; at the end nothing was thrown, no request left."""
    contexts, wrong = [], list[str]()

    def opened(folder: Path, address: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(8000)
        tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda request: wrong.append(request.url) if not _own(request.url, folder) else None)
        tab.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        tab.goto(f"{(folder / 'index.html').as_uri()}#{address}")
        tab.wait_for_selector("#main > div")
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def _own(url: str, folder: Path) -> bool:
    return url.startswith((folder.as_uri(), "data:", "blob:"))


@pytest.fixture
def shoot() -> Callable[[Any, str], None]:
    """shoot(tab, name): keep a picture of the view."""

    def shot(tab: Any, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        tab.wait_for_timeout(150)  # pictures are decoded
        tab.screenshot(path=SHOTS / f"{name}.png")

    return shot
