"""Scores of maps, by hand and against a count over every threshold; and in a run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixfound.analyses.map_scores import map_score
from tests.support.run import config_of


def test_scores_by_hand():
    heat = np.array([[4.0, 1.0], [3.0, -2.0]], np.float32)
    first = map_score(heat, np.array([[True, False], [False, True]]))
    assert first == (1.0, 0.5, pytest.approx((1 + 2 / 4) / 2))
    assert map_score(heat, np.array([[False, False], [True, False]])) == (0.0, 3 / 8, 0.5)
    assert map_score(np.full((2, 2), -1.0, np.float32), np.eye(2, dtype=bool)) == (0.5, 0.5, 0.5)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_average_precision_is_that_of_every_threshold(seed):
    rng = np.random.default_rng(seed)
    heat, mask = rng.integers(0, 6, (4, 5)).astype(np.float32), rng.random((4, 5)) < 0.4
    mask[0, 0] = True
    area, recall = 0.0, 0.0
    for threshold in sorted(set(heat.ravel()), reverse=True):
        shown = heat >= threshold
        now = (mask & shown).sum() / mask.sum()
        area += (now - recall) * (mask & shown).sum() / shown.sum()
        recall = now
    assert map_score(heat, mask).auprc == pytest.approx(area)


def test_maps_of_a_run_are_scored(tmp_path):
    from pixfound.apps.evaluation import evaluate

    overrides = ["experiment=all_sources", "limit=6", f"outputs_dir={tmp_path}", "scoring.resamples=100"]
    quick = ["report.page=false", "report.charts=false", "report.pictures=2", "launch.threads=1", "analyses=map_scores"]
    result = evaluate(config_of(*overrides, *quick))
    found = json.loads((result.folder / "metrics.json").read_text())["metrics"]["analyses"]["map_scores"]
    assert list(found)[:4] == ["attention", "localization_heads", "relative", "contrast"]
    for about in found.values():
        kind = about["M_dagger"]
        assert 0 < kind["objects"] <= 6
        assert kind["less_uniform"]["auprc"]["value"] == pytest.approx(
            kind["map"]["auprc"]["value"] - kind["uniform"]["auprc"]["value"]
        )
        assert kind["uniform"]["pointing"] == kind["uniform"]["energy"] == kind["uniform"]["auprc"]
    assert "| relative |" in (result.folder / "report.md").read_text()
