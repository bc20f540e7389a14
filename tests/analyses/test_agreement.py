"""Who is right where another is wrong: a run whose boxes are written by hand, and tests against other tests."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import AutoTokenizer

from pixfound.analyses.agreement import swap_p
from pixfound.apps.evaluation import Result, evaluate
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.interfaces import Benchmark, Box, Point, Segmenter, SegmenterMasks
from pixfound.pipeline.run_data import RunData
from pixfound.types.masks import RLE
from tests.support.examples import ArrayImage, make_example
from tests.support.pixel import DATA
from tests.support.places import made_to_say
from tests.support.run import QUIET, config_of, scores_of


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


IMAGE = (48, 64)  # (H, W)
WAYS = ("similarity", "text_box", "native")


def pictures(truths: Sequence[Mapping[str, Any]]) -> Benchmark:
    """An example for each mask."""
    rng = np.random.default_rng(5)
    images = [ArrayImage(rng.integers(0, 256, (*IMAGE, 3), dtype=np.uint8)) for _ in truths]
    masks = map(RLE.from_json, truths)
    return Benchmark(
        [
            make_example(mask, id=f"e{i}", image=image, expression="the thing")
            for i, (mask, image) in enumerate(zip(masks, images, strict=True))
        ]
    )


class Boxes(Segmenter):
    """Draws a box as it is, and around a point a box of 16 x 16 pixels."""

    def box_masks(self, requests: Sequence[tuple[Image.Image, Sequence[Box]]]) -> Iterator[SegmenterMasks]:
        for _, boxes in requests:
            masks = np.zeros((len(boxes), 1, *IMAGE), np.bool_)
            for mask, (x0, y0, x1, y1) in zip(masks[:, 0], boxes, strict=True):
                mask[max(0, round(y0)) : round(y1), max(0, round(x0)) : round(x1)] = True
            yield SegmenterMasks(masks, np.ones(masks.shape[:2], np.float32))

    def point_masks(self, requests: Sequence[tuple[Image.Image, Sequence[Point]]]) -> Iterator[SegmenterMasks]:
        return self.box_masks([(im, [(x - 8, y - 8, x + 8, y + 8) for x, y in points]) for im, points in requests])


def says(text: str, truths: Sequence[RLE], outputs: Path, *overrides: str) -> Result:
    """A run with a tiny LISA that is made to say a text, on random pictures with these true masks."""
    folder = DATA / "lisa"
    ids = AutoTokenizer.from_pretrained(folder / "model")(text, add_special_tokens=False)["input_ids"]
    config = config_of(
        "model=lisa_7b", f"model.path={folder / 'model'}", f"model.vision_tower={folder / 'clip'}",
        "model.dtype=float32", "model.device=cpu", "model.capture=step", "scoring.resamples=100", *QUIET,
        f"outputs_dir={outputs}", *overrides,
    )  # fmt: skip
    config["model"]["generation"] = made_to_say([*ids, 2])
    config["segmenter"] = {"_target_": "tests.analyses.test_agreement.Boxes"}
    given = [truth.to_json() for truth in truths]
    config["benchmark"] = {"_target_": "tests.analyses.test_agreement.pictures", "truths": given}
    result = evaluate(config)
    assert not result.failures
    return result


def test_a_model_that_looks_writes_and_draws(tmp_path: Path) -> None:
    """Of six examples each way's own mask is the truth of two, and nobody's of a seventh."""
    options = (tmp_path, "extraction=latent_said", "extraction.extractors.text_box.format=list_image")

    def masks(truths: Sequence[RLE]) -> tuple[dict[str, list[RLE]], Result]:
        result = says("the thing [SEG] [0.25, 0.25, 0.75, 0.75]", truths, *options)
        run = RunData.open(result.folder)
        return {row: [run.mask(example, "ground", row) for example in run.examples] for row in WAYS}, result

    drawn, _ = masks([RLE.full(IMAGE)] * 7)
    assert all(mask.area for each in drawn.values() for mask in each)
    truths = [drawn[WAYS[i // 2]][i] for i in range(6)] + [RLE.encode(np.eye(*IMAGE, dtype=bool))]
    again, result = masks(truths)
    assert again == drawn, "the truth reaches no extraction"
    pixels = {row: [mask.decode() for mask in drawn[row]] for row in WAYS}
    right = [
        tuple(row for row in WAYS if (pixels[row][i] & true).sum() >= 0.5 * (pixels[row][i] | true).sum())
        for i, true in enumerate(truth.decode() for truth in truths)
    ]
    assert all(WAYS[i // 2] in right[i] for i in range(6)) and not right[6]
    found = result.metrics["analyses"]["agreement"]["M_dagger"]
    assert {tuple(of["right"]): of["count"] for of in found["patterns"] if of["count"]} == Counter(right)
    assert len(found["pairs"]) == 3
    for pair in found["pairs"]:
        first, second = pair["first"], pair["second"]
        wrong = [of for of in right if second not in of]
        saved = sum(first in of for of in wrong) / len(wrong)
        assert pair["first_where_second_is_wrong"]["value"] == pytest.approx(saved)
    assert "| none | 1 |" in (result.folder / "report.md").read_text()
