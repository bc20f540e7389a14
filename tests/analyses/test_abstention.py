"""Thresholds for showing nothing, against brute force on hand-made runs; and the report of a whole run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pixfound.analyses.abstention import Abstention, Items, best_threshold, cross_fitted
from pixfound.scoring.bootstrap import Resampler
from pixfound.scoring.scores import Score
from pixfound.scoring.table import tabulate
from pixfound.types import Choice
from pixfound.types.masks import RLE, iou
from tests.support.examples import drawn, make_candidate, make_example
from tests.support.run import run, scores_of

PRESENT, ABSENT = drawn("##", ".."), RLE.empty((2, 2))
MASKS = [drawn("##", ".."), drawn("#.", ".."), drawn("..", "##")]  # of IoU 1, 0.5 and 0 with the present object


def brute_auroc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, p in zip(scores, positive, strict=True)
        if p
        for b, q in zip(scores, positive, strict=True)
        if not q
    ]
    return sum(wins) / len(wins) if wins else math.nan


def brute_shown(scores: Sequence[float], gains: Sequence[float]) -> float:
    """The best sum of gains that any threshold gives."""
    return max(sum(g for s, g in zip(scores, gains, strict=True) if s >= t) for t in (*scores, math.inf))


def hand_made(count: int, rng: Any, absent_every: int = 3, about: Any = None) -> Any:
    """A run of one row; each example has one of MASKS, whose score is drawn from a few values, so that many tie."""
    scores = [float(s) for s in rng.integers(0, 6, count) / 10]
    picks = [int(pick) for pick in rng.integers(0, 3, count)]
    lines, examples = [], []
    for i in range(count):
        truth = ABSENT if i % absent_every == 0 else PRESENT
        example = make_example(truth, id=str(i), pair_id=str(i // 2))
        examples.append(SimpleNamespace(index=i, example=example, mask_kinds=("ground",)))
        value = iou(MASKS[picks[i]], truth)
        lines.append(Score(f"{i}", str(i), str(i // 2), "ground", "row", {}, example.absent, iou=value, shown=True))
    return SimpleNamespace(
        examples=examples,
        scores=tabulate(lines),
        conventions=SimpleNamespace(nameless="count"),
        parts=SimpleNamespace(rows={"row": ("extractor", "selector")}),
        choice=lambda run_example, kind, row: Choice("candidate", 0, about=(about or {}).get(run_example.index, {})),
        candidates=lambda run_example, kind, extractor: [
            make_candidate(MASKS[picks[run_example.index]], score=scores[run_example.index])
        ],
        drawn_scores=scores,
    )


def test_figures_of_a_hand_made_run_are_those_of_brute_force() -> None:
    made = hand_made(60, np.random.default_rng(4))
    analysis = Abstention(resamples=200, seed=1)
    results = analysis.compute(made)
    found = results["rows"]["row"]["M_dagger"]["score"]
    scores, table = made.drawn_scores, made.scores.masks("row", "ground")
    present = [not absent for absent in table["absent"]]
    nothing = [0.0 if p else 1.0 for p in present]
    assert found["auroc"]["value"] == pytest.approx(brute_auroc(scores, present))
    assert found["iou"]["value"] == pytest.approx(statistics.mean(table["iou"]))

    fold_of = np.random.default_rng(1).permutation(30) % 5  # of the pairs
    total, kept = 0.0, []
    for i, value in enumerate(table["iou"]):
        others = [j for j in range(60) if fold_of[j // 2] != fold_of[i // 2]]
        gains = {j: table["iou"][j] - nothing[j] for j in others}
        best = max(
            (-math.inf, *(scores[j] for j in others), math.inf),
            key=lambda t: (round(sum(gain for j, gain in gains.items() if scores[j] >= t), 9), -t),
        )
        kept.append(scores[i] >= best)  # drawn scores take few values, all of them among the others
        total += value if kept[-1] else nothing[i]
    assert found["iou_with"]["value"] == pytest.approx(total / 60)
    assert found["difference"]["value"] == pytest.approx(total / 60 - statistics.mean(table["iou"]))
    assert found["absent_shown"]["value"] == pytest.approx(
        statistics.mean(k for k, p in zip(kept, present, strict=True) if not p)
    )
    for point in found["curve"]:
        count = round(point["coverage"] * 60)
        covered = [i for i in range(60) if sum(s > scores[i] for s in scores) < count]
        assert len(covered) == count
        assert point["risk"]["value"] == pytest.approx(1 - statistics.mean(table["iou"][covered]))
    assert found["curve"][-1]["coverage"] == 1.0
    (line,) = analysis.charts(results)["abstention"].axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), [100 * point["risk"]["value"] for point in found["curve"]])
    assert line.get_xdata()[-1] == 100


def test_a_threshold_is_never_chosen_by_its_own_pair() -> None:
    """A pair's own outcome can be turned over without changing what is shown for it."""
    rng = np.random.default_rng(0)
    scores, clusters = rng.random(40), np.arange(40, dtype=np.int32) // 2
    items = Items(scores, rng.random(40), np.zeros(40), np.zeros(40, bool), clusters)
    worth = Items(scores, np.where(clusters == 7, -5.0, items.iou), items.nothing, items.absent, clusters)
    assert (
        cross_fitted(items, clusters % 5)[clusters == 7].tolist()
        == cross_fitted(worth, clusters % 5)[clusters == 7].tolist()
    )
    assert cross_fitted(worth, clusters % 5).any(), "the others do learn from it"


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, gains = rng.integers(0, 5, 12) / 5.0, rng.normal(size=12)
    threshold = best_threshold(scores, gains)
    assert gains[scores >= threshold].sum() == pytest.approx(brute_shown(scores.tolist(), gains.tolist()))
    assert not np.isin(threshold, scores)
    assert best_threshold(scores, np.ones(12)) == -math.inf
    assert best_threshold(np.array([0.1, 0.2, 0.3]), np.array([0.3, -0.1, -0.2])) == -math.inf, "the lowest of equals"
    assert (scores < best_threshold(scores, -np.ones(12))).all()


def test_resamples_of_auroc_are_those_of_the_repeated_items() -> None:
    rng = np.random.default_rng(3)
    scores, positive, clusters = rng.integers(0, 4, 30) / 4, rng.random(30) > 0.4, np.arange(30) // 3
    resampler = Resampler(10, 50, seed=5)
    drawn_counts = np.concatenate([times.copy() for times in resampler._times(50)])
    expected = []
    for times in drawn_counts:
        again = np.repeat(np.arange(30), times[clusters])
        expected.append(brute_auroc(scores[again].tolist(), positive[again].tolist()))
    np.testing.assert_allclose(resampler.auroc(clusters, scores, positive).draws, expected)
    assert math.isnan(resampler.auroc(clusters, scores, np.ones(30, bool)).value)


def test_too_few_absent_objects_are_said() -> None:
    analysis = Abstention(resamples=100)
    found = analysis.compute(hand_made(60, np.random.default_rng(0), absent_every=20))
    assert found["rows"] == {}
    assert found["left_out"] == ["row, M_dagger, score: shown for 3 absent objects, fewer than 5"]
    assert "shown for 3 absent objects" in "\n".join(analysis.sections(found))
    assert analysis.charts(found) == {}


def test_a_judge_and_scores_of_a_choice_count_too() -> None:
    about = {i: {"present": i % 3 != 0, "scores": {"trust": float(i % 3 == 0)}} for i in range(30)}
    found = Abstention(resamples=100).compute(hand_made(30, np.random.default_rng(0), about=about))
    scores = found["rows"]["row"]["M_dagger"]
    assert scores["judge"]["auroc"]["value"] == 1.0
    assert scores["judge"]["absent_shown"]["value"] == 0.0
    assert scores["judge"]["iou_with"]["value"] > scores["judge"]["iou"]["value"] + 0.3
    assert scores["trust"]["auroc"]["value"] == 0.0
    assert scores["trust"]["threshold"] is None or scores["trust"]["absent_shown"]["value"] == 1.0


def test_a_run_reports_it(models: Path, tmp_path: Path) -> None:
    result = run(models, tmp_path, "limit=16", "analyses.abstention.least=1")
    found = result.metrics["analyses"]["abstention"]
    about = found["rows"]["similarity"]["M"]
    assert set(about) == {"score", "similarity"}
    masks = [s for s in scores_of(result) if s["kind"] == "open" and s["row"] == "similarity"]
    assert about["similarity"]["iou"]["value"] == pytest.approx(statistics.mean(s["iou"] for s in masks))
    shown = [s for s in masks if s["choice"] == "candidate"]
    said = [float(s["reason"].removeprefix("similarity ")) for s in shown]
    auroc = brute_auroc(said, [not s["absent"] for s in shown])
    assert about["similarity"]["auroc"]["value"] == pytest.approx(auroc, abs=0.02)  # reasons have three digits
    assert any("oracle" in line for line in found["left_out"]), "the oracle shows nothing for absent objects"
    assert "## Saying nothing" in (result.folder / "report.md").read_text()
