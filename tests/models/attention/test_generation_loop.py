"""Shared prefixes and rows that leave: the products against plain ones, whole answers against one-by-one eager."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from pixfound.errors import UserError
from pixfound.models.attention.kv_cache import Groups, Layer, Prefix, RowCache
from pixfound.models.attention.recorder import Scoring, decoding_step
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Prompt

TEXTS = ("hi", "What is this thing here?", "Identify the red object in the scene, please.")


def numbered(rows: list[int]) -> list[int]:
    """The same groups, numbered from 0 without a gap."""
    used = sorted(set(rows))
    return [used.index(row) for row in rows]


def a_layer(rows: list[int], rng: torch.Generator, dtype: torch.dtype = torch.float32) -> tuple[Layer, torch.Tensor]:
    """A layer with prefixes of five tokens, to which each row has added three; and a query (B, 4 heads, 1, 8)."""
    made = [torch.randn(max(rows) + 1, 2, 5, 8, generator=rng).to(dtype) for _ in range(2)]
    layer = Layer(room=2, prefix=Prefix(made[0].transpose(-1, -2), made[1], Groups(rows)), attended=True)
    for tokens in (1, 1, 1):
        keys, _ = layer.update(*(torch.randn(len(rows), 2, tokens, 8, generator=rng).to(dtype) for _ in range(2)))
        assert keys.layer is layer  # type: ignore[attr-defined]
    return layer, torch.randn(len(rows), 4, 1, 8, generator=rng).to(dtype)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9).map(numbered), st.integers(0, 99), st.booleans())
def test_one_step_equals_torch_attention_over_all_keys(rows: list[int], seed: int, masked: bool) -> None:
    layer, query = a_layer(rows, torch.Generator().manual_seed(seed))
    keys, values = layer.whole()
    assert keys.shape == (len(rows), 2, 8, 8)
    assert layer.get_seq_length() == 8
    mask = torch.ones(len(rows), 1, 1, 8, dtype=torch.bool)
    if masked:
        mask[::2, :, :, :4] = False
    weights, output = decoding_step(query, layer, mask if masked else None, Scoring(0.3))
    wide = [states.repeat_interleave(2, dim=1) for states in (keys, values)]
    expected = torch.nn.functional.scaled_dot_product_attention(query, *wide, attn_mask=mask, scale=0.3)
    assert torch.allclose(output, expected.transpose(1, 2), atol=1e-5)
    scores = (query @ wide[0].transpose(-1, -2) * 0.3).masked_fill(~mask, float("-inf"))
    assert torch.allclose(weights, scores.softmax(-1), atol=1e-6)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8).map(numbered), st.integers(0, 99), st.data())
def test_rows_that_stay_keep_what_is_theirs(rows: list[int], seed: int, data: st.DataObject) -> None:
    layer, _ = a_layer(rows, torch.Generator().manual_seed(seed))
    before = layer.whole()
    staying = data.draw(st.lists(st.sampled_from(range(len(rows))), min_size=1, unique=True).map(sorted))
    cache = RowCache(layers=[layer])
    cache.batch_select_indices(torch.tensor(staying))
    for left, kept in zip(before, layer.whole(), strict=True):
        assert torch.equal(left[staying], kept)
    assert len(layer.prefix.values) == len({rows[i] for i in staying})  # type: ignore[union-attr]


def test_half_precision_is_multiplied_in_single() -> None:
    layer, query = a_layer([0, 0, 1], torch.Generator().manual_seed(0), torch.bfloat16)
    weights, output = decoding_step(query, layer, None, Scoring(0.3))
    keys = layer.whole()[0].repeat_interleave(2, dim=1)
    exact = (query.double() @ keys.double().transpose(-1, -2) * 0.3).softmax(-1)
    assert weights.dtype == torch.float32
    assert torch.allclose(weights.double(), exact, atol=1e-6)
    assert output.dtype == torch.bfloat16


@pytest.fixture(scope="module")
def ending(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random LLaVA, whose answers end at many different lengths: a third of its tokens are end tokens."""
    folder = tmp_path_factory.mktemp("ending")
    AutoProcessor.from_pretrained(models / "llava").save_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(models / "llava", dtype=torch.float32)
    model.generation_config.eos_token_id = list(range(2, model.config.text_config.vocab_size, 6))
    model.save_pretrained(folder)
    return folder


def asked(count: int, seed: int = 0) -> list[tuple[Image.Image, Prompt]]:
    """Three prompts about each of `count` pictures."""
    rng = np.random.default_rng(seed)
    pictures = [Image.fromarray(rng.integers(0, 256, (40, 56, 3), dtype=np.uint8)) for _ in range(count)]
    return [(picture, Prompt("x", "open", "v", text)) for picture in pictures for text in TEXTS]


@pytest.mark.parametrize("settings", [{}, {"min_new_tokens": 5}], ids=["free", "five at least"])
def test_rows_leave_and_nothing_changes(ending: Path, settings: dict[str, int]) -> None:
    """One example at a time, eager, by transformers' own means, against a batch that shrinks."""
    settings = {"max_new_tokens": 24, **settings}
    model = HuggingFace(str(ending), dtype="float32", generation=settings)
    requests = asked(4)
    sizes: list[int] = []
    model.loaded().lm_head.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    found = model.answer(requests)
    lengths = sorted(len(ids) for _, ids in found)
    assert len(set(lengths)) > 3, "the answers must differ in length to show anything"
    assert sizes[1] == 12
    assert sizes[-1] < 6
    assert min(lengths) >= settings.get("min_new_tokens", 1)
    processor = AutoProcessor.from_pretrained(ending)
    eager = AutoModelForImageTextToText.from_pretrained(ending, dtype=torch.float32, attn_implementation="eager")
    for (image, prompt), (generation, ids) in zip(requests, found, strict=True):
        inputs = processor(text=f"USER: <image>\n{prompt.text} ASSISTANT:", images=image, return_tensors="pt")
        out = eager.generate(
            **inputs, **settings, do_sample=False, output_attentions=True, return_dict_in_generate=True
        )
        where = (inputs["input_ids"][0] == eager.config.image_token_id).nonzero()[:, 0]
        rows = [torch.stack([layer[0, :, -1, where] for layer in step]).mean((0, 1)) for step in out.attentions]
        assert out.sequences[0, inputs["input_ids"].shape[1] :].tolist() == ids
        assert generation.attention is not None
        assert np.abs(torch.stack(rows).numpy() - generation.attention).max() < 1e-5


def test_an_end_token_among_the_settings_counts(models: Path) -> None:
    """A setting of `generation` is what ends an answer, not only what the checkpoint says."""
    plain = HuggingFace(str(models / "llava"), dtype="float32", generation={"max_new_tokens": 12})
    ids = plain.answer(asked(1))[0][1]
    settings = {"max_new_tokens": 12, "eos_token_id": ids[4]}
    cut = HuggingFace(str(models / "llava"), dtype="float32", generation=settings).answer(asked(1))[0][1]
    assert cut == ids[: ids.index(ids[4]) + 1]


def test_beams_are_refused_step_by_step_and_read_afterwards(models: Path) -> None:
    beams = {"max_new_tokens": 6, "num_beams": 2}
    with pytest.raises(UserError, match=r"num_beams: .*model\.capture=forced"):
        HuggingFace(str(models / "llava"), generation=beams)
    model = HuggingFace(str(models / "llava"), dtype="float32", capture="forced", generation=beams)
    found = model.generate(asked(1))
    assert all(g.attention is not None and len(g.attention) > 0 for g in found)
    assert [g.text for g in found] == [model.generate([request])[0].text for request in asked(1)]
