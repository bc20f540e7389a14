"""One browser and one run of the embedded model for all tests of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.pixshapes import Difficulty, PixShapes
from pixfound.pipeline.results import Result
from pixfound.types.masks import RLE
from tests.support.run import config_of

ROOT = Path(__file__).parents[3]
SHOTS = ROOT / "build" / "page"  # pictures of every view, to look at
OPTIONS = (
    *("limit=16", "scoring.resamples=100", "report.pictures=0"),
    "benchmark._target_=tests.report.page.conftest.Annotated",
)


class Annotated(PixShapes):
    """PixShapes with all that an example may have: instances, boxes, and a strip that no score looks at."""

    def __init__(self, pairs: int = 160, seed: int = 2024, level: Difficulty = "easy") -> None:
        super().__init__(pairs, seed, level)
        for place, example in enumerate(self):
            mask = example.gt_mask.decode()
            strip = np.zeros_like(mask)
            strip[:4] = True
            boxes = []
            if example.gt_mask.area:
                y, x = (indices.astype(float) for indices in np.nonzero(mask))
                boxes.append((x.min(), y.min(), x.max() + 1, y.max() + 1))
            self[place] = replace(
                example,
                instances=(example.gt_mask,) if boxes else (),
                boxes=tuple(boxes),
                ignore=RLE.encode(strip),
            )


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
