"""Who is right where another is wrong: a run whose boxes are written by hand, and tests against other tests."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pixfound.analyses.agreement import swap_p
from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.pixshapes import PixShapes
from tests.support.run import config_of, scores_of


def test_the_test_is_mcnemars_where_each_example_is_its_own_pair() -> None:
    for won, lost in ((0, 0), (1, 0), (7, 2), (3, 3), (12, 1)):
        n, k = won + lost, min(won, lost)
        exact = min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
        assert swap_p([1] * won + [-1] * lost + [0] * 5) == pytest.approx(exact)


def test_pairs_swap_together() -> None:
    signs = [(a, b, c) for a in (1, -1) for b in (1, -1) for c in (1, -1)]
    brute = sum(abs(2 * a + 1 * b + 2 * c) >= 3 for a, b, c in signs) / 8
    assert swap_p([2, -1, 2]) == pytest.approx(brute)


def test_a_run_with_attention_and_points_says_who_knows_what(tmp_path: Path) -> None:
    """The points of every other example are right, the others lie in a corner. (The miniature SAM knows no boxes.)"""
    lines = []
    for number, example in enumerate(PixShapes(pairs=6, seed=2024)):
        ys, xs = np.nonzero(example.gt_mask.decode())
        right = number % 2 == 0 and len(xs)
        x, y = (float(np.median(xs)), float(np.median(ys))) if right else (1.0, 1.0)
        point = [round(1000 * x / example.gt_mask.size[1]), round(1000 * y / example.gt_mask.size[0])]
        text = f'{example.expression} is here: {{"point_2d": {point}}}'
        lines.append({"question_id": example.id, "response": text})
    (tmp_path / "points.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = evaluate(
        config_of(
            "model=tiny", f"model.answers.ground={tmp_path / 'points.jsonl'}", "extraction=latent_said",
            "extraction.extractors.text_box._target_=pixfound.extractors.text.TextPoint",
            "extraction.extractors.text_box.format=json_1000", "benchmark.pairs=6", "report.pictures=0",
            "report.page=false", "report.charts=false", "scoring.resamples=100", f"outputs_dir={tmp_path}",
        )
    )  # fmt: skip
    found = result.metrics["analyses"]["agreement"]["M_dagger"]
    masks = [s for s in scores_of(result) if s["kind"] == "ground" and s["row"] and not s["absent"]]
    right = {
        row: {s["example_id"]: s["iou"] >= 0.5 for s in masks if s["row"] == row}
        for row in ("similarity", "text_box", "native")
    }
    ids = list(right["native"])
    assert found["examples"] == len(ids)
    assert not any(right["native"].values()), "answers from elsewhere draw no masks"
    assert sum(right["text_box"].values()) > 0
    pair = found["pairs"][0]
    assert (pair["first"], pair["second"]) == ("similarity", "text_box")
    wrong = [id for id in ids if not right["text_box"][id]]
    assert wrong
    saved = sum(right["similarity"][id] for id in wrong)
    assert pair["first_where_second_is_wrong"]["value"] == pytest.approx(saved / len(wrong))
    assert pair["first_only"]["value"] == pytest.approx(saved / len(ids))
    assert found["right"]["text_box"]["value"] == pytest.approx(sum(right["text_box"].values()) / len(ids))
    counts = {tuple(of["right"]): of["count"] for of in found["patterns"]}
    assert sum(counts.values()) == len(ids)
    assert counts["similarity", "text_box"] == sum(right["similarity"][i] and right["text_box"][i] for i in ids)
    agree = sum(right["similarity"][i] == right["text_box"][i] for i in ids) / len(ids)
    shares = [sum(right[row].values()) / len(ids) for row in ("similarity", "text_box")]
    chance = shares[0] * shares[1] + (1 - shares[0]) * (1 - shares[1])
    assert pair["kappa"] == pytest.approx((agree - chance) / (1 - chance))
    assert "## Latent against said" in (result.folder / "report.md").read_text()
