"""The page of a run in a real browser, against the run's own files and records."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from pixfound.pipeline.results import Result
from pixfound.pipeline.run_data import RunData
from pixfound.types.token_spans import tokens_of
from tests.support.run import scores_of

Visit = Callable[..., Any]
Shoot = Callable[[Any, str], None]


@pytest.fixture(scope="module")
def page(finished: Result) -> Path:
    return finished.folder / "page"


@pytest.fixture(scope="module")
def data(finished: Result) -> RunData:
    return RunData.open(finished.folder)


@pytest.fixture(scope="module")
def lines(finished: Result) -> dict[Any, Any]:
    return {(s["example_id"], s["kind"], s["row"]): s for s in scores_of(finished)}


def address(**state: str) -> str:
    return urlencode(state)


def shown_ids(tab: Any) -> list[str]:
    """Ids of the cards that the filters ask for, in order."""
    return list(tab.locator(".card:not(.other) .title bdi").all_text_contents())


def test_the_overview_has_the_numbers_of_metrics_json(page: Path, finished: Result, visit: Visit, shoot: Shoot) -> None:
    tab = visit(page)
    metrics = json.loads((finished.folder / "metrics.json").read_text())["metrics"]
    for row, line in zip(metrics["rows"], tab.locator("main tbody tr").all(), strict=True):
        cells = line.locator("td .number").all_text_contents()
        shares = [metrics["rows"][row][name] for name in ("M", "M_dagger", "S")]
        for found, share in zip(cells[2:5], shares, strict=True):
            assert found == f"{100 * share['value']:.1f} [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"
    counts = metrics["rows"]["similarity"]["quadrants"]
    tips = tab.locator("[data-tip^='similarity, ']").evaluate_all("all => all.map(one => one.dataset.tip)")
    assert [int(n) for tip in tips for n in re.findall(r": (\d+) examples", tip)] == [n for n in counts.values() if n]
    shoot(tab, "overview")
    tab.locator("[data-tip^='similarity, both']").click()
    assert len(shown_ids(tab)) == counts["both"]
    tab.go_back()
    assert tab.locator("figure").count() >= 4


def test_words_show_the_attention_of_the_records(page: Path, data: RunData, visit: Visit, shoot: Shoot) -> None:
    item, kind = data.examples[1], "ground"
    generation = data.generation(item, kind)
    assert generation is not None and generation.attention is not None
    tab = visit(page, address(view="example", example=item.id, kind=kind, plain="1"))
    words = tab.locator(".word")
    assert words.all_text_contents() == re.findall(r"\w+|\S", generation.text)
    start = 0
    for number in range(words.count()):
        words.nth(number).hover()
        text = words.nth(number).text_content()
        start = generation.text.index(text, start)
        tokens = tokens_of((start, start + len(text)), generation.spans)
        values = np.array(tab.evaluate("[...pixfound.stages[0].attended.values]"))
        wanted = generation.attention[tokens].mean(axis=0)
        # a step is a 127th of the largest difference from the mean row
        step = np.abs(generation.attention - generation.attention.mean(axis=0)).max() / 127
        np.testing.assert_allclose(values, wanted, atol=step)
        start += len(text)
    shoot(tab, "word")
