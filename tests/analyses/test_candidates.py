"""The oracle curve against brute force, and the regret of rows in a whole run."""

from __future__ import annotations

import itertools
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixfound.analyses.best_of_k import best_of
from tests.support.run import run, scores_of

VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=7)


@given(VALUES, st.integers(1, 7))
def test_the_best_of_k_is_the_mean_over_all_draws(values: list[float], k: int) -> None:
    draws = itertools.combinations(values, min(k, len(values)))
    assert best_of(values, k) == pytest.approx(statistics.mean(max(draw) for draw in draws), abs=1e-9)


def test_the_ends_of_the_curve() -> None:
    assert best_of([], 3) == 0.0
    assert best_of([0.1, 0.5], 1) == pytest.approx(0.3)
    assert best_of([0.1, 0.5], 99) == pytest.approx(0.5)


def test_a_run_reports_curve_and_regret(models: Path, tmp_path: Path) -> None:
    result = run(models, tmp_path, "limit=40")
    found = result.metrics["analyses"]["candidates"]["attention"]["M_dagger"]
    curve = [value["value"] for value in found["iou_at"].values()]
    assert curve == sorted(curve)
    assert curve[-1] <= found["oracle"]["value"] + 1e-12
    rows = {row: about["regret"]["value"] for row, about in found["rows"].items()}
    assert rows["oracle"] == pytest.approx(0.0)
    present = [s for s in scores_of(result) if s["kind"] == "ground" and not s["absent"]]
    mean = {row: statistics.mean(s["iou"] for s in present if s["row"] == row) for row in rows}
    for row, regret in rows.items():
        assert regret == pytest.approx(mean["oracle"] - mean[row])
    assert found["rows"]["oracle"]["share"] == pytest.approx(1.0)
    report = (result.folder / "report.md").read_text()
    assert "IoU@5" in report
    assert "regret" in report
