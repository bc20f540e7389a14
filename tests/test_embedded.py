"""The embedded default does what its model card says: it answers, it points, and its masks beat chance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import LlavaForConditionalGeneration, SamModel

from pixfound.apps.evaluation import evaluate
from pixfound.benchmarks.scenes import random_scene
from pixfound.checkpoints.locating import locate
from pixfound.pipeline.results import Result
from pixfound.segmenters.sam import Sam
from pixfound.types.masks import RLE, iou
from tests.support.run import QUIET, config_of, scores_of

FRESH = 5_000_000  # a seed that neither training nor the benchmark uses


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    outputs = tmp_path_factory.mktemp("embedded")
    return evaluate(config_of(f"outputs_dir={outputs}", "scoring.resamples=100", *QUIET))


@pytest.fixture(scope="module")
def rows(result: Result) -> Mapping[str, Any]:
    return dict(result.metrics["rows"])


def test_it_answers(result: Result) -> None:
    vqa = result.metrics["vqa"]
    assert result.metrics["pairs"] == 160
    assert vqa["A_dagger_item"]["value"] >= 0.90
    assert vqa["A_dagger_pair"]["value"] >= 0.75
    assert vqa["A_item"]["value"] >= 0.85
    assert vqa["A_item"]["count"] >= 0.98 * result.metrics["examples"], "answers the judge can read"


def test_its_attention_points_at_what_it_names(rows: Mapping[str, Any]) -> None:
    pointing = rows["similarity"]["pointing"]["M_dagger"]
    assert pointing["on_target"]["value"] >= 0.40
    assert pointing["on_target_given_object"]["value"] >= 0.60
    assert pointing["on_target_given_object"]["low"] > pointing["chance_given_object"]["high"]


def test_its_masks_beat_those_that_know_nothing(rows: Mapping[str, Any]) -> None:
    similarity, oracle = rows["similarity"]["M_dagger"]["value"], rows["oracle"]["M_dagger"]["value"]
    assert similarity >= 2 * rows["random_point"]["M_dagger"]["value"]
    assert oracle > similarity
    assert similarity > rows["random"]["M_dagger"]["value"]


def test_nulls_score_what_arithmetic_says(result: Result, rows: Mapping[str, Any]) -> None:
    absent = result.metrics["absent"] / result.metrics["examples"]
    assert rows["empty"]["M_dagger"]["value"] == pytest.approx(absent)
    assert rows["empty"]["false_positives_on_absent"]["M_dagger"]["value"] == 0
    assert rows["full"]["false_positives_on_absent"]["M_dagger"]["value"] == 1
    scores = [s for s in scores_of(result) if s["row"] == "full" and s["kind"] == "ground"]
    assert np.mean([s["iou"] for s in scores]) == pytest.approx(rows["full"]["M_dagger"]["value"])


def test_the_small_sam_segments_what_the_point_lies_on() -> None:
    segmenter = Sam("embedded:tiny_sam", device="cpu")
    best, trusted = [], []
    for number in range(60):
        rng = np.random.default_rng([FRESH, number])
        scene = random_scene(rng)
        image = scene.render()
        masks = [scene.mask(thing) for thing in scene.things]
        points = []
        for mask in masks:
            inside = np.argwhere(mask)
            y, x = inside[rng.integers(len(inside))]
            points.append((float(x), float(y)))
        found = next(segmenter.point_masks([(image, points)]))
        for mask, candidates, scores in zip(masks, found.masks, found.scores, strict=True):
            ious = [iou(RLE.encode(c), RLE.encode(mask)) for c in candidates]
            best.append(max(ious))
            trusted.append(ious[int(scores.argmax())])
    assert np.mean(best) >= 0.85
    assert np.mean(trusted) >= 0.80


def test_the_pixel_level_model_draws_and_answers(tmp_path: Path) -> None:
    options = ("model=tiny_pixel", "extraction=native", "limit=48", "scoring.resamples=100", *QUIET)
    result = evaluate(config_of(*options, f"outputs_dir={tmp_path}"))
    native = result.metrics["rows"]["native"]
    assert native["present_only"]["M_dagger"]["value"] >= 0.70
    assert result.metrics["vqa"]["A_dagger_item"]["value"] >= 0.85
    assert result.metrics["vqa"]["A_item"]["value"] >= 0.85


def test_the_weights_are_standard_and_small() -> None:
    folders = {
        name: Path(locate(f"embedded:{name}", "test")) for name in ("tiny_llava", "tiny_sam", "tiny_pixel", "tiny_clip")
    }
    pixel = [f for name in ("tiny_pixel", "tiny_clip") for f in folders[name].iterdir()]
    assert sum(file.stat().st_size for file in pixel) <= 6_000_000
    files = [file for folder in folders.values() for file in folder.glob("*.safetensors")]
    assert sum(file.stat().st_size for file in files) <= 8_000_000
    LlavaForConditionalGeneration.from_pretrained(folders["tiny_llava"], dtype=torch.float32)
    SamModel.from_pretrained(folders["tiny_sam"], dtype=torch.float32)
    for folder in folders.values():
        assert not list(folder.glob("*.bin")), "no pickles"


def test_any_picture_size_goes_through_the_small_sam() -> None:
    segmenter = Sam("embedded:tiny_sam", device="cpu")
    for size in ((1, 1), (300, 40), (37, 411)):
        found = next(
            segmenter.point_masks([(Image.new("RGB", size, "grey"), [(0.0, 0.0), (size[0] - 1.0, size[1] - 1.0)])])
        )
        assert found.masks.shape == (2, 3, size[1], size[0])
        assert found.scores.shape == (2, 3)
