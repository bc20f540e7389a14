"""The atlas of heads and the trained probe: against torch's maps, and with heads whose signal is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pixfound.analyses import probe
from pixfound.analyses.atlas import Atlas, _Measured
from pixfound.extractors.sources.localization_heads import HeadCriteria
from pixfound.pipeline.run_data import RunData
from tests.support.run import run

ANALYSES = ["analyses=atlas", "limit=32", "model.keep=heads", "analyses.probe.folds=3", "report.charts=true"]


@pytest.fixture(scope="module")
def results(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunData, dict]:
    result = run(models, tmp_path_factory.mktemp("atlas"), *ANALYSES)
    report = (result.folder / "report.md").read_text()
    assert "Atlas of layers and heads" in report
    assert "probe (trained)" in report
    assert (result.folder / "atlas_prompt.png").is_file()
    return RunData.open(result.folder), result.metrics["analyses"]


def test_a_heads_pointing_is_that_of_torchs_own_map(results: tuple[RunData, dict]) -> None:
    data, found = results
    hits, shares = [], []
    for example in data.examples:
        generation = data.generation(example, "ground")
        if example.example.absent or generation is None:
            continue
        assert generation.kept is not None
        rows = generation.kept.rows[:, :, 1].reshape(-1, 1, *generation.tiles[0].grid)  # that of the first token
        shares.append(generation.kept.rows[:, :, 1].sum(axis=-1).ravel())
        mask = torch.from_numpy(example.example.gt_mask.decode()).float()
        cover = torch.nn.functional.avg_pool2d(mask[None], mask.shape[0] // 64)[0]  # maps are of 64 x 64 pixels
        heats = torch.nn.functional.interpolate(torch.from_numpy(rows), tuple(cover.shape), mode="bicubic")[:, 0]
        hits.append(cover.flatten()[heats.flatten(1).argmax(dim=1)].numpy())
    assert found["atlas"]["words"]["prompt"]["pointing"] == pytest.approx(np.mean(hits, axis=0), abs=1e-5)
    assert found["atlas"]["words"]["prompt"]["share"] == pytest.approx(np.mean(shares, axis=0), abs=1e-5)
    assert found["atlas"]["words"]["prompt"]["examples"] == len(hits)


def test_without_heads_apart_there_is_no_atlas(models: Path, tmp_path: Path) -> None:
    found = run(models, tmp_path, "analyses=atlas").metrics["analyses"]
    assert "atlas" not in found
    assert "probe" not in found


def measured(hits: np.ndarray, entropies: np.ndarray | None = None) -> dict:
    """Of hits (E, 400), by 10 layers of 40 heads. entropies: (E, 400), of heads that all see the image alike."""
    layers, heads = range(10), range(40)
    entropies = np.ones(hits.shape) if entropies is None else entropies
    criteria = [
        HeadCriteria(np.ones((10, 40)), one.reshape(10, 40), np.zeros((10, 40), bool), layers, heads)
        for one in entropies
    ]
    lines = list(hits)
    of = _Measured(list(range(len(hits))), lines, lines, list(hits.mean(axis=1)), [0.2] * len(hits), [], criteria)
    atlas = Atlas.__new__(Atlas)
    atlas.resamples, atlas.level, atlas.seed = 500, 0.95, 0
    atlas.convention, atlas.top, atlas.best = "released", 3, 10
    tags = [{"of": "a" if i % 2 else "b"} for i in range(len(hits))]
    return atlas._about(of, np.arange(len(hits)) // 2, tags, layers, heads)


def test_the_best_of_many_heads_at_chance_is_at_chance() -> None:
    studies = []
    for seed in range(8):
        hits = (np.random.default_rng(seed).random((80, 400)) < 0.2).astype(np.float32)
        assert hits.mean(axis=0).max() > 0.3  # what choosing and measuring on the same examples would say
        studies.append(measured(hits))
    assert np.mean([about["best"]["value"] for about in studies]) == pytest.approx(0.2, abs=0.05)
    assert np.mean([about["stability"] for about in studies]) == pytest.approx(0.0, abs=0.1)
    lines = [line["pointing"]["value"] for about in studies for line in about["table"]]
    assert np.mean(lines) == pytest.approx(0.2, abs=0.03)


def test_a_head_that_points_is_found_in_both_halves() -> None:
    hits = (np.random.default_rng(1).random((80, 400)) < 0.2).astype(np.float32)
    hits[:, 7] = np.random.default_rng(2).random(80) < 0.9
    about = measured(hits)
    assert about["chosen"] == [7, 7]
    assert about["best"]["value"] == pytest.approx(hits[:, 7].mean())
    assert about["gain"]["low"] > 0.5
    assert about["by_tag"]["of"]["a"]["best"]["value"] == pytest.approx(hits[1::2, 7].mean())


def test_heads_chosen_without_labels_stand_beside_those_that_point() -> None:
    rng = np.random.default_rng(3)
    hits, entropies = np.zeros((60, 400)), 2 + rng.random((60, 400))
    hits[:, [100, 200, 300]] = [1.0, 0.75, 0.5]
    hits[::2, 10] = entropies[:, 10] = 0.1  # compact, but in the first two layers
    entropies[:, 200], entropies[:, 150], entropies[:30, 300] = 0.1, 0.2, 0.3
    about = measured(hits, entropies)
    assert about["overlap"]["label_free"] == [150, 200, 300]  # always, always, in half: equals in order of heads
    assert about["chosen_often"][10] == 0
    assert (about["chosen_often"][200], about["label_free"]["value"]) == (1.0, 0.0)
    assert (about["overlap"]["both"], about["overlap"]["by_chance"]) == (2, 9 / 400)
    ways = math.comb(3, 2) * math.comb(397, 1) + 1
    assert about["overlap"]["p"] == pytest.approx(ways / math.comb(400, 3))
    assert [line["head"] for line in about["table"]][:3] == [100, 200, 300]
    assert about["table"][1]["pointing"]["value"] == 0.75


def test_the_regression_finds_the_head_that_tells_and_no_other() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(400) < 0.2
    inputs = rng.normal(size=(400, 6))
    inputs[:, 4] += 3 * labels
    mean, scale, weights = probe.fit([(inputs[:200], labels[:200]), (inputs[200:], labels[200:])], 1e-3)
    assert np.abs(weights[:-1]).argmax() == 4
    told = ((inputs - mean) / scale) @ weights[:-1] + weights[-1] > 0
    assert (told == labels).mean() > 0.9
