"""Sources that read hidden states or gradients: the authors' arrays, a lens by hand, and what is stored and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import TopKLogitsWarper

from pixfound.analyses.abstention import scores_of
from pixfound.apps.evaluation import evaluate
from pixfound.config.factory import build, build_parts
from pixfound.errors import UserError
from pixfound.extractors.maps import MapExtractor
from pixfound.extractors.proposers import OtsuMask
from pixfound.extractors.sources.gradients import EntropyGradient, GradientAttention
from pixfound.extractors.sources.logit_lens import LogitLens
from pixfound.extractors.sources.token_activation import (
    TokenActivation,
    activation_map,
    rank_gaussian_filter,
    word_logits,
)
from pixfound.extractors.units import AnswerTokens, Expression
from pixfound.interfaces import MapRequest, Model
from pixfound.models.huggingface import HuggingFace
from pixfound.pipeline.run_data import RunData
from pixfound.store.records import has_arrays, pack_generation, unpack_generation
from pixfound.types import Choice, Generation, Phrase, Prompt, Tile
from pixfound.types.lens import Lens
from tests.support.run import QUIET, config_of

DATA_FOLDER = Path(__file__).parents[1] / "data" / "sources"
DATA = np.load(DATA_FOLDER / "tam.npz")
IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8))
REQUEST = (IMAGE, Prompt("x", "ground", "v", "Show me the dog."))
SETTINGS = {"max_new_tokens": 6}


def authors(case: int) -> tuple[Lens, np.ndarray, tuple[int, int]]:
    """Logits, the maps that xmed-lab/TAM at 7c7df1d makes of them for every word, and the grid of the image."""
    known = {name: DATA[f"{case}_{name}"] for name in ("image", "text", "classes", "prompt", "answer", "maps", "grid")}
    ids = {name: tuple(known[name].tolist()) for name in ("classes", "prompt", "answer")}
    first, last = (int(DATA[f"{case}_{name}"]) for name in ("first", "last"))
    image = known["image"][None]
    lens = Lens(
        (0,), ids["classes"], image, np.zeros(image[:, 0].shape, np.float32), known["text"], ids["prompt"],
        ids["answer"], first, last, "", (),
    )  # fmt: skip
    return lens, known["maps"], tuple(known["grid"].tolist())


@pytest.mark.parametrize("case", [0, 1, 2])
def test_token_activation_equals_the_authors(case: int) -> None:
    lens, expected, grid = authors(case)
    index = np.arange(grid[0] * grid[1]).reshape(grid)
    found = [
        activation_map(word, *word_logits(lens), lens.words, len(lens.prompt), [index]) for word in range(len(expected))
    ]
    assert np.abs(np.stack(found) - expected).max() < 1e-5
    assert expected.max() > 0.3


def test_tokens_outside_of_all_tiles_count_for_nothing() -> None:
    """A separator after each row, and a view in front, change nothing in the map."""
    lens, expected, (rows, columns) = authors(0)
    image, text = word_logits(lens)
    wide = np.full((len(image), 3 + rows * (columns + 1)), 99, np.float32)
    index = 3 + np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)
    wide[:, index] = image.reshape(-1, rows, columns)
    found = activation_map(6, wide, text, lens.words, len(lens.prompt), [index])
    assert np.abs(found[index].ravel() - expected[6]).max() < 1e-5
    assert not np.delete(found, index.ravel()).any()


def test_the_rank_filter_of_windows_without_a_spread() -> None:
    """Constant windows stay, where the released code gives NaN; windows of zeros are zero."""
    assert np.array_equal(rank_gaussian_filter(np.full((2, 4), 3.0)), np.full((2, 4), 3.0))
    assert not rank_gaussian_filter(np.zeros((3, 3))).any()
    spot = np.zeros((5, 5))
    spot[2, 2] = 1
    values, weights = (
        np.sort(spot[1:4, 1:4].ravel()),
        np.exp(-(np.arange(-4, 5) ** 2) / (2 * (spot[1:4, 1:4].std() * 9) ** 2)),
    )
    assert rank_gaussian_filter(spot)[2, 2] == pytest.approx((values * weights).sum() / weights.sum())


def lens_by_hand() -> Generation:
    """Two layers, four image tokens, a prompt `a dog`, an answer `The dog.`; ids 0 to 4, each with its own logits."""
    logits = np.zeros((2, 5, 4), np.float32)
    logits[0, 2] = np.log([1, 8, 1, 1])  # ` dog`
    logits[1, 2] = np.log([3, 1, 1, 1])
    normalisers = np.full((2, 4), np.log(10), np.float32)
    spans = ((0, 3), (3, 7), (7, 8), (8, 8))
    lens = Lens(
        (3, 7), (0, 1, 2, 3, 4), logits, normalisers, np.zeros((6, 5), np.float32), (0, 2), (1, 2, 3, 4), 0, 4, "a dog",
        ((0, 1), (1, 5)),
    )  # fmt: skip
    return Generation("The dog.", (20, 20), spans, (Tile(0, (2, 2), 2, (0.0, 0.0, 20.0, 20.0)),), lens=lens)


def test_the_lens_without_norm_is_that_of_its_authors_code(models: Path) -> None:
    """All hidden states times the output matrix, transformers' own filter of 50 tokens, and their softmax."""
    model = HuggingFace(
        str(models / "llava"), dtype="float32", lens="all", lens_convention="top_50", generation=SETTINGS
    )
    requests = [REQUEST, (IMAGE, replace(REQUEST[1], text="What is it?"))]  # one image, shared
    generations, language = model.generate(requests), model.loaded()
    for generation, request in zip(generations, requests, strict=True):
        inputs, lens = model.encode([request]), generation.lens
        with torch.inference_mode():
            states = torch.stack(language(**inputs, output_hidden_states=True).hidden_states)[:, 0]
            scores = language.lm_head(states).log_softmax(dim=-1)
            kept = TopKLogitsWarper(50)(None, scores).softmax(dim=-1)
        where = (inputs["input_ids"][0] == language.config.image_token_id).nonzero()[:, 0]
        words = range(len(lens.words))
        expected = kept[:, where][..., [lens.words[word] for word in words]].permute(2, 0, 1)
        assert lens.layers == (-1, *range(len(states) - 1)) and len(scores[0, 0]) > 50
        np.testing.assert_allclose(np.exp(lens.log_probabilities(words)), expected, atol=1e-5)
        assert (expected == 0).any() and expected.max() > 0.02
    packed = pack_generation(generation)
    again = unpack_generation(json.loads(json.dumps(packed.data)), packed.arrays).lens
    np.testing.assert_array_equal(again.log_probabilities(words), lens.log_probabilities(words))


def test_the_lens_is_the_largest_probability_of_the_word() -> None:
    generation = lens_by_hand()
    phrases = [Phrase("The dog", "dog", (0, 7)), Phrase("DOG", "DOG", (0, 0)), Phrase("a cat", "a cat", (0, 0))]
    request = MapRequest(IMAGE, generation, "", phrases)
    ((answered, prompted, absent),) = LogitLens().maps([request])
    assert absent is None
    for found in (answered, prompted):
        assert found == pytest.approx([0.3, 0.8, 0.1, 0.1])
    assert LogitLens(7).maps([request])[0][0] == pytest.approx([0.3, 0.1, 0.1, 0.1])
    with pytest.raises(UserError, match="layers: 4 was not stored; there are 3, 7"):
        LogitLens(4).maps([request])
    extractor = MapExtractor(LogitLens(), Expression(), OtsuMask(), None)
    (candidate,) = extractor.extract_one(IMAGE, generation, "dog")
    assert candidate.scores == {"internal_confidence": pytest.approx(0.8)}
    assert scores_of(candidate, Choice("candidate", 0)) == candidate.scores
    assert not extractor.extract_one(IMAGE, generation, "cat")
    assert extractor.lacking(generation) == "neither the answer nor its prompt has the words of a phrase"
    assert LogitLens().lacking(generation, phrases) == ""
    with pytest.raises(ValueError, match="carries no lens"):
        LogitLens().maps([MapRequest(IMAGE, replace(generation, lens=None), "", phrases)])


@pytest.mark.parametrize("capture", ["step", "none"])
def test_a_lens_is_stored_with_its_answer(models: Path, capture: str) -> None:
    """Nothing else changes, and nothing is stored unless it is asked for."""
    options = {"dtype": "float32", "generation": SETTINGS, "capture": capture}
    found = HuggingFace(str(models / "llava"), lens=[1], **options).generate([REQUEST])[0]
    plain = HuggingFace(str(models / "llava"), **options).generate([REQUEST])[0]
    assert found.lens is not None and found.lens.layers == (1, 2) and found.tiles
    assert (plain.lens, plain.text, plain.prompt) == (None, found.text, found.prompt)
    assert "lens" not in pack_generation(plain).data and has_arrays(pack_generation(plain).data) == (capture == "step")
    value = pack_generation(found)
    data = json.loads(json.dumps(value.data))
    assert has_arrays(data)
    stored = unpack_generation(data, value.arrays)
    assert stored.lens is not None and stored.lens.to_json() == found.lens.to_json()
    assert all(np.array_equal(stored.lens.arrays()[name], values) for name, values in found.lens.arrays().items())
    assert stored.tiles == found.tiles and (stored.attention is None) == (capture == "none")
    assert unpack_generation(data, {}).lens is None
    words = [Phrase("dog", "dog", (0, 0)), *AnswerTokens().units(found, "")]
    for source in (TokenActivation(), LogitLens()):
        (maps,) = source.maps([MapRequest(IMAGE, stored, "dog", words)])
        assert len(maps) == len(words) > 1
        assert all(m is not None and m.shape == (16,) and m.min() >= 0 and 0 < m.max() <= 1 for m in maps)


def test_beams_and_a_beginning_of_the_answer_are_read_in_a_forced_pass(models: Path) -> None:
    options = {"dtype": "float32", "capture": "none", "lens": "all"}
    beams = HuggingFace(str(models / "llava"), generation={**SETTINGS, "num_beams": 2}, **options)
    begun = HuggingFace(str(models / "llava"), generation=SETTINGS, answer_prefix="A dog", **options)
    for model in (beams, begun):
        ((found, ids),) = model.answer([REQUEST])
        (again,) = model.attend([REQUEST], [found.text])
        assert found.lens is not None and again.lens is not None and list(found.lens.answer) == ids
        assert np.abs(found.lens.normalisers - again.lens.normalisers).max() < 1e-4
    assert found.text.startswith("A dog")


def test_maps_of_the_embedded_model_equal_the_authors() -> None:
    """By saccharomycetes/mllms_know at a64c5d5, merci00001/entropy-gradient-grounding at 8a986ee, and the heat map of
    nickjiang2378/vl-interp at 5cd5a3c, its own and from normed states; on the embedded model in fp32."""
    known = np.load(DATA_FOLDER / "embedded.npz")
    image = Image.fromarray(known["pixels"])
    options = {"dtype": "float32", "device": "cpu", "lens": "all", "generation": SETTINGS}
    request = (image, Prompt("x", "ground", "v", "Identify the red square in the scene."))
    model, raw = (HuggingFace("embedded:tiny_llava", lens_convention=by, **options) for by in ("final_norm", "top_50"))
    (answer,), (other,) = model.generate([request]), raw.generate([request])
    asked = [(image, answer.prompt, "")]
    found = {f"attention_{layer}": model.gradient_maps(asked, "attention", layer)[0] for layer in range(4)}
    found["entropy"] = model.gradient_maps(asked, "entropy")[0]
    for text in ("red", "square", "red square"):
        for name, generation in (("lens", answer), ("top_50", other)):
            lens_request = MapRequest(image, generation, text, [Phrase(text, text, (0, 0))])
            found[f"{name}_{text.replace(' ', '_')}"] = LogitLens().maps([lens_request])[0][0]
    assert {"pixels", *found} == set(known.files)
    for name, values in found.items():
        assert np.abs(values - known[name]).max() < min(1e-5, 1e-3 * known[name].max()), name


@pytest.mark.parametrize("kind", [GradientAttention, EntropyGradient])
def test_gradients_of_an_answer_without_attention(models: Path, kind: type) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32", capture="none", generation=SETTINGS)
    (generation,) = model.generate([REQUEST])
    extractor = MapExtractor(kind(model), Expression(), OtsuMask(), None)
    (candidate,) = extractor.extract_one(IMAGE, generation, "dog")
    assert 0 < candidate.mask.area < IMAGE.width * IMAGE.height
    assert extractor.attention_map(generation, Phrase("dog", "dog", (0, 0))) is None
    phrase = Phrase("x", "x", (2, 3))
    ((first, later),) = kind(model).maps([MapRequest(IMAGE, generation, "", [Phrase("x", "x", (0, 1)), phrase])])
    assert first.shape == later.shape == (16,) and np.abs(first - later).max() > 0


def test_gradients_depend_on_the_layer(models: Path) -> None:
    model = HuggingFace(str(models / "llava"), dtype="float32")
    prompt = model._encoder.chat("What?")
    layers = [model.gradient_maps([(IMAGE, prompt, "")], "attention", layer)[0] for layer in (None, 0, 1, 2)]
    assert np.array_equal(layers[0], layers[2])  # 3 * 14 // 32
    assert np.abs(layers[1] - layers[2]).max() > 0
    with pytest.raises(UserError, match="layer"):
        model.gradient_maps([(IMAGE, prompt, "")], "attention", 3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["extraction=tam"], r"tam needs hidden, .*: use model\.lens=all .*: attention, entropy_gradient, gradient"),
        (["extraction=logit_lens", "model.capture=none"], r"that it serves: entropy_gradient, gradient_attention$"),
        (["extraction=entropy_gradient", "model=none"], r"extraction=grounding_dino"),
        (["extraction=tam", "model.lens=middle"], r'model\.lens=middle: must be'),
    ],
)  # fmt: skip
def test_a_model_that_lacks_something_says_so(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_parts(config_of(*overrides))


def test_the_lens_is_part_of_what_an_answer_is() -> None:
    """Runs without it keep the fingerprint that they had before there was one."""
    config = config_of("extraction=nulls")["model"]
    identities = [build({**config, "lens": lens}, "model", Model).identity() for lens in (None, "last", [1])]
    assert all(a != b for a, b in combinations(identities, 2))
    assert build({k: v for k, v in config.items() if k != "lens"}, "model", Model).identity() == identities[0]


def test_phrases_are_chosen_by_their_internal_confidence(tmp_path: Path) -> None:
    over = ["model=tiny", "model.lens=all", "extraction=internal_confidence", "limit=4", "scoring.resamples=100"]
    result = evaluate(config_of(*over, *QUIET, f"outputs_dir={tmp_path}"))
    data, chosen = RunData.open(result.folder), []
    for example in data.examples:
        candidates, answer = data.candidates(example, "ground", "attention"), data.generation(example, "ground")
        if not candidates:
            continue
        phrases = list(dict.fromkeys(candidate.phrase for candidate in candidates))
        ((*maps,),) = LogitLens().maps([MapRequest(example.example.image.load(), answer, "", phrases)])
        known = {p: pytest.approx(float(m.max())) for p, m in zip(phrases, maps, strict=True) if m is not None}
        assert [c.scores.get("internal_confidence") for c in candidates] == [known.get(c.phrase) for c in candidates]
        choice = data.choice(example, "ground", "internal_confidence")
        best = max(candidates, key=lambda c: (c.scores.get("internal_confidence", -1.0), c.score))
        assert known and candidates[choice.index] == best
        chosen.append(choice)
    assert chosen
