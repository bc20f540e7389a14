"""Sources that ask the model a second time, or take some of its heads: a real miniature, and heads by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pixfound.apps.heads import calibrate
from pixfound.benchmarks.pixshapes import PixShapes
from pixfound.config.factory import build, build_parts
from pixfound.errors import UserError
from pixfound.extractors.sources.contrast import Contrast, object_minus_background
from pixfound.extractors.sources.localization_heads import (
    LocalizationHeads,
    elbow_by_curvature,
    head_criteria,
    ranked_heads,
    spatial_entropy,
)
from pixfound.extractors.sources.neutral_prompt import read_prompt
from pixfound.extractors.sources.relative import Relative
from pixfound.interfaces import MapRequest, MapSource, Model
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Generation, Phrase, Prompt, Tile
from pixfound.types.layer_attention import LayerAttention
from tests.support.run import config_of

EXPRESSION = Phrase("it", "it", (0, 0))


@pytest.fixture(scope="module")
def model():
    return HuggingFace("embedded:tiny_llava", device="cpu", keep="heads", generation={"max_new_tokens": 8})


@pytest.fixture(scope="module")
def asked(model):
    """Requests about two pictures, with the model's answers."""
    examples = [PixShapes(pairs=2, seed=0)[i] for i in (0, 2)]
    requests = [(e.image.load(), Prompt(e.id, "ground", "v", f"Identify {e.expression}.")) for e in examples]
    return [
        MapRequest(image, generation, "it", [EXPRESSION])
        for (image, _), generation in zip(requests, model.generate(requests), strict=True)
    ], requests


def test_a_prompt_read_alone_has_the_rows_of_its_generation(model, asked):
    for one, request in zip(model.read_prompts(asked[1]), asked[0], strict=True):
        assert len(one.attention) == 1 and one.tiles == request.generation.tiles
        np.testing.assert_allclose(one.attention[0], request.generation.attention[0], atol=1e-6)
        np.testing.assert_allclose(one.kept.rows, request.generation.kept.rows[:, :, :2], atol=1e-6)


def test_a_neutral_prompt_is_asked_once_an_image(model, asked, monkeypatch):
    calls, real = [], HuggingFace.read_prompts
    monkeypatch.setattr(HuggingFace, "read_prompts", lambda self, r: calls.append(len(r)) or real(self, r))
    requests = [asked[0][0], asked[0][1], asked[0][0]._replace(expression="another")]
    neutral = "Say what you see."
    first = Relative(model, neutral).maps(requests)
    again = Relative(model, neutral, layers=[1, 2], eps=1e-6, log=True).maps(requests)
    contrasted = Contrast(model, neutral).maps(requests)
    assert calls == [2], "two pictures, for three requests and three sources"
    for found in (first, again, contrasted):
        np.testing.assert_array_equal(found[0][0], found[2][0])
        assert np.isfinite(found).all() and np.ptp(found[0][0]) > 0
    Contrast(model, "The background without {expression}.").maps(requests)
    assert calls == [2, 3]


def test_a_rollout_of_the_background_is_asked_once_an_image(model, asked, monkeypatch):
    calls, real = [], HuggingFace.rollout_maps
    monkeypatch.setattr(HuggingFace, "rollout_maps", lambda self, r: calls.append(len(r)) or real(self, r))
    source = Contrast(model, "Say what is behind.", rollout=True)
    requests = [*asked[0], asked[0][0]]
    found = source.maps(requests)
    assert calls == [2, 1, 1, 1], "two pictures, then each expression"
    np.testing.assert_array_equal(found[0][0], found[2][0])
    (generation, image), (neutral,) = (
        asked[0][0][1::-1],
        read_prompt(model, [(asked[0][0].image, "Say what is behind.")]),
    )
    rows = [model.rollout_maps([(image, g.prompt, "")])[0] for g in (generation, neutral)]
    expected = object_minus_background(*rows, generation.tiles, 1.0, 3, zero=True)
    np.testing.assert_allclose(found[0][0], expected, atol=1e-6)
    assert np.ptp(expected) > 0 and np.abs(expected - Contrast(model).maps(requests)[0][0]).max() > 0.05
    with pytest.raises(UserError, match="from the middle on"):
        Contrast(model, rollout=True, layers=1)


def test_relative_attention_is_a_ratio_of_rows(model, asked):
    (request, *_), ((image, _), *_) = asked
    (neutral,) = read_prompt(model, [(image, "Say what you see.")])
    ((values,),) = Relative(model, "Say what you see.", layers=2).maps([request])
    rows = [g.kept.rows[g.kept.layers.index(2), :, 1].mean(axis=0) for g in (request.generation, neutral)]
    np.testing.assert_allclose(values, rows[0] / rows[1], rtol=1e-5)


def test_heads_are_added(model, asked):
    (request, *_), _ = asked
    rows = request.generation.kept.rows
    ((values,),) = LocalizationHeads(heads=[(1, 2), (3, 0)], model=model).maps([request])
    np.testing.assert_allclose(values, rows[1, 2, 1] + rows[3, 0, 1], rtol=1e-6)
    ((greedy,),) = LocalizationHeads(greedy=True, top=1, model=model).maps([request])
    assert any(np.array_equal(greedy, row) for row in rows[2:, :, 1].reshape(-1, len(greedy)))
    answer = Phrase("x", "x", request.generation.spans[0])
    ((first,),) = LocalizationHeads(heads=[(1, 2)]).maps([request._replace(phrases=[answer])])
    np.testing.assert_array_equal(first, rows[1, 2, 1])
    with pytest.raises(UserError, match="no head 0 of layer 9"):
        LocalizationHeads(heads=[(9, 0)]).maps([request])


def test_the_papers_criteria_by_hand():
    blob = np.zeros((4, 4), np.float32)
    blob[:2, :2] = 1
    two = blob.copy()
    two[3, 3] = 4
    assert spatial_entropy(blob, "paper") == 0
    assert spatial_entropy(two, "paper") == pytest.approx(-(0.8 * np.log(0.8) + 0.2 * np.log(0.2)))
    assert spatial_entropy(np.ones((4, 4), np.float32), "paper") == np.inf
    grids = np.stack([np.stack([two, blob / 4]), np.stack([blob / 40, two])])
    criteria = head_criteria(grids.reshape(2, 2, 16), grids, (1, 2), (0, 5), "paper")
    assert ranked_heads(criteria, "paper", threshold=0.01) == [(2, 0), (2, 5)]
    assert ranked_heads(criteria, "paper", threshold=0.5) == [(2, 5)]
    assert elbow_by_curvature([*range(100), *range(100, 1000, 90)]) == pytest.approx(100, abs=90)


def test_no_head_is_chosen_where_none_is_compact():
    rows = np.full((3, 2, 2, 16), 1 / 16, np.float32)
    tile = Tile(0, (4, 4), 4, (0, 0, 4, 4))
    flat = Generation(
        "", (4, 4), (), (tile,), rows[0, 0, 1:], rows[0, 0, 0], kept=LayerAttention(rows, (0, 1, 2), (0, 1))
    )
    request = MapRequest(Image.new("L", (4, 4)), flat, "", [EXPRESSION])
    assert LocalizationHeads(greedy=True, convention="paper").maps([request]) == [[None]]
    with pytest.raises(ValueError, match="does not carry"):
        LocalizationHeads(greedy=True).maps([request._replace(generation=replace(flat, kept=None))])


def test_heads_are_calibrated_and_read(tmp_path, model):
    config = config_of("limit=8", "benchmark.level=medium", f"outputs_dir={tmp_path}", "launch.threads=1")
    file = calibrate(config).file
    values = json.loads(file.read_text())
    assert values["examples"] == 8
    for by, counted in (("released", 5), ("paper", 10)):
        heads = values["conventions"][by]["heads"]
        counts = [entry["count"] for entry in heads]
        assert counts == sorted(counts, reverse=True) and 0 < sum(counts) <= 8 * counted
        assert all(entry["frequency"] == entry["count"] / 8 and entry["layer"] >= 2 for entry in heads)
    target = f"{LocalizationHeads.__module__}.LocalizationHeads"
    part = build({"_target_": target, "file": str(file), "top": 2}, "x", MapSource)
    first = values["conventions"]["released"]["heads"][:2]
    assert part.built.chosen == [(entry["layer"], entry["head"]) for entry in first]
    moved = tmp_path / "moved.json"
    moved.write_bytes(file.read_bytes())
    assert build({"_target_": target, "file": str(moved), "top": 2}, "x", MapSource).identity() == part.identity()
    build_parts(  # the same weights with a lens and answers of another model
        config_of(
            "experiment=all_sources",
            f"model.answers.open={file}",
            "extraction.extractors.localization_heads.source.greedy=false",
            f"extraction.extractors.localization_heads.source.file={file}",
        )
    )
    moved.write_text(json.dumps({**values, "weights": {"content": "others"}}))
    wrong = {moved: "other weights", tmp_path / "none": "pixfound-heads", tmp_path: "cannot be read"}
    for path, message in wrong.items():
        with pytest.raises(UserError, match=message):
            LocalizationHeads(str(path), model=model)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["extraction=localization_heads"],
            r"localization_heads needs heads.*model\.keep=heads.*serves: attention, .*, relative",
        ),
        (["extraction=localization_heads", "model.keep=heads"], "pixfound-heads model=NAME"),
        (["extraction=contrast", "model.keep=layers"], r"contrast needs heads, .*model\.keep=heads"),
        (["extraction=relative", "model.capture=none"], r"relative needs rows and prompts.*capture=step.*serves: ent"),
        (["extraction=relative", "extraction.extractors.relative.source.log=true"], "needs an eps"),
    ],
)
def test_what_a_model_lacks_is_said_when_it_is_configured(overrides, message):
    with pytest.raises(UserError, match=message):
        build_parts(config_of(*overrides))


def test_a_model_that_reads_no_prompts_says_so():
    assert Model().offers == frozenset()
    with pytest.raises(UserError, match="reads no prompts"):
        Model().read_prompts([])
