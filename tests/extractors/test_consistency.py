"""Attention consistency against scores of the authors' released code (HYUNJS/DecAF at 6c9766c), and its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixfound.extractors.attention_maps import CellGrid
from pixfound.extractors.consistency import attention_consistency, covered
from pixfound.selectors.by_score import ByScore
from tests.support.examples import drawn, make_candidate, make_example
from tests.support.run import run, scores_of

RELEASED = np.load(Path(__file__).parents[1] / "data/decaf_consistency.npz")


@pytest.mark.parametrize("number", range(4))
def test_scores_are_those_of_the_released_code(number: int) -> None:
    grid, shape, expected = (RELEASED[f"{name}{number}"] for name in ("grid", "shape", "expected"))
    masks = np.unpackbits(RELEASED[f"masks{number}"], count=int(shape.prod())).reshape(shape).astype(bool)
    cells = CellGrid(grid, (0.0, 0.0, float(shape[2]), float(shape[1])))
    scores = np.array([attention_consistency(cells, mask) for mask in masks])
    if (scores > 0).any():
        scores[scores > 0] /= scores.max() + 1e-8  # relative to the best, as released
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_grid_beyond_the_image_counts_its_padding_as_uncovered() -> None:
    grid = CellGrid(np.zeros((2, 2), np.float32), (0.0, -2.0, 4.0, 6.0))  # two rows of cells, half of each beyond
    np.testing.assert_allclose(covered(grid, np.ones((4, 4), bool)), np.full((2, 2), 0.5))


def test_the_named_score_decides() -> None:
    masks = [drawn("#."), drawn(".#"), drawn("##")]
    candidates = [
        make_candidate(m, scores=s) for m, s in zip(masks, ({}, {"a": 0.2}, {"a": 0.7, "b": 0.1}), strict=True)
    ]
    example = make_example(masks[0])
    assert ByScore("a").select_one(example, candidates, "ground").index == 2
    assert ByScore("c").select_one(example, candidates, "ground").kind == "unscored"
    assert ByScore("a").select_one(example, [], "ground").kind == "empty"


def test_a_run_chooses_by_it_and_keeps_the_other_rows(models: Path, tmp_path: Path) -> None:
    plain = run(models, tmp_path, "limit=4")
    result = run(models, tmp_path, "limit=4", "extraction=attention_consistency")
    rows = {s["row"] for s in scores_of(plain)}
    assert [s for s in scores_of(result) if s["row"] in rows] == scores_of(plain)
    chosen = [s for s in scores_of(result) if s["row"] == "attention_consistency" and s["choice"] == "candidate"]
    assert chosen and all(s["reason"].startswith("attention_consistency ") for s in chosen)
