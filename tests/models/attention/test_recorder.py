"""Captured attention against eager attention with `output_attentions=True`, the independent way to the same rows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3nTextConfig,
    Gemma3TextConfig,
    GptOssConfig,
    Llama4TextConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from pixfound.errors import UserError
from pixfound.models.attention.kv_cache import Layer
from pixfound.models.attention.recorder import NAME, Recorder, capturing_attention

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "eos_token_id": 96,
    "bos_token_id": 1,
}
LAYERS = ["sliding_attention", "full_attention"] * 2
DECODERS = {
    "llama": LlamaConfig(**SIZES),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES),
    "mistral with a sliding window": MistralConfig(**SIZES, sliding_window=6),
    "gpt_oss with sinks": GptOssConfig(
        **SIZES, sliding_window=6, num_local_experts=4, num_experts_per_tok=2, layer_types=LAYERS
    ),
    "gemma3n, whose last layers share keys": Gemma3nTextConfig(
        **{**SIZES, "intermediate_size": [64] * 4},
        sliding_window=6,
        num_kv_shared_layers=2,
        laurel_rank=4,
        layer_types=LAYERS,
        hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=97,
        activation_sparsity_pattern=[0.0] * 4,
        altup_num_inputs=2,
    ),
    "llama4 with chunks": Llama4TextConfig(
        **SIZES,
        intermediate_size_mlp=64,
        num_local_experts=4,
        attention_chunk_size=6,
        no_rope_layer_interval=2,
        interleave_moe_layer_step=2,
    ),
    "gemma3 with a sliding window": Gemma3TextConfig(
        **SIZES, sliding_window=6, layer_types=LAYERS, query_pre_attn_scalar=8
    ),
}
LENGTHS = (14, 9, 20)
STEPS = 12


@pytest.fixture(params=DECODERS, ids=list(DECODERS))
def decoders(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """The same random weights with the capture and with eager attention."""
    config = DECODERS[request.param]  # copied below: models built from one config object share it
    torch.manual_seed(0)
    eager = AutoModelForCausalLM.from_config(copy.deepcopy(config), attn_implementation="eager").eval()
    ours = AutoModelForCausalLM.from_config(copy.deepcopy(config)).eval()
    ours.load_state_dict(eager.state_dict())
    ours.set_attn_implementation(NAME)
    return ours, eager


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Left-padded ids and mask (B, P), and ragged image columns (B, N) padded with -1."""
    rng = torch.Generator().manual_seed(1)
    width = max(LENGTHS)
    ids = torch.zeros((len(LENGTHS), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    columns = torch.full((len(LENGTHS), 5), -1)
    for i, length in enumerate(LENGTHS):
        ids[i, width - length :] = torch.randint(2, 96, (length,), generator=rng)
        mask[i, width - length :] = 1
        count = 3 + i % 3
        columns[i, :count] = width - length + 1 + torch.arange(count)
    return ids, mask, columns


def eager_rows(model: Any, ids: torch.Tensor, columns: torch.Tensor, layers: Any = None, heads: Any = None) -> Any:
    """Of one unpadded sequence (P): penultimate row, then a row per step, each (N,); and the generated ids."""
    out = model.generate(
        ids[None], max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False,
        output_attentions=True, return_dict_in_generate=True,
    )  # fmt: skip
    rows = []
    for step, maps in enumerate(out.attentions):
        total = len(ids) + step
        picked = []
        for i, layer in enumerate(maps):
            if layers is not None and i not in layers:
                continue
            part = layer[0] if heads is None else layer[0, heads]
            padded = part.new_zeros(part.shape[0], part.shape[1], total)
            padded[..., total - part.shape[-1] :] = part  # a sliding window's cache has lost the oldest keys
            picked.append(padded[..., columns].mean(0))
        mean = torch.stack(picked).mean(0)
        rows += [mean[-2], mean[-1]] if step == 0 else [mean[-1]]
    return torch.stack(rows), out.sequences[0, len(ids) :]


@pytest.mark.parametrize("subset", [(None, None), ([1, 3], [0, 2])], ids=["all", "some layers and heads"])
def test_rows_by_step_equal_eager(decoders: tuple[Any, Any], subset: tuple[Any, Any]) -> None:
    ours, eager = decoders
    ids, mask, columns = batch()
    recorder = Recorder(columns, layers=subset[0], heads=subset[1])
    with recorder.active():
        sequences = ours.generate(ids, attention_mask=mask, max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False)
    rows = torch.cat(recorder.passes(), dim=1)
    assert rows.shape == (len(LENGTHS), 1 + STEPS, columns.shape[1])
    for i, length in enumerate(LENGTHS):
        real = columns[i][columns[i] >= 0]
        start = ids.shape[1] - length
        expected, text = eager_rows(eager, ids[i, start:], real - start, *subset)
        assert torch.equal(text, sequences[i, ids.shape[1] :])
        assert torch.allclose(rows[i, :, : len(real)], expected, atol=1e-5, rtol=0)
        assert rows[i, :, len(real) :].abs().sum() == 0


def test_one_forced_pass_gives_the_same_rows(decoders: tuple[Any, Any]) -> None:
    ours, _ = decoders
    ids, mask, columns = batch()
    stepwise = Recorder(columns)
    with stepwise.active():
        sequences = ours.generate(ids, attention_mask=mask, max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False)
    wanted = (torch.arange(1 + STEPS) - STEPS - 2).expand(len(LENGTHS), -1)
    forced = Recorder(columns, rows=wanted)
    full = torch.cat([mask, torch.ones(len(LENGTHS), STEPS, dtype=torch.long)], dim=1)
    positions = (full.cumsum(1) - 1).clamp(min=0)
    with forced.active(), torch.inference_mode():
        ours(sequences, attention_mask=full, position_ids=positions)
    assert torch.allclose(forced.passes()[0], torch.cat(stepwise.passes(), dim=1), atol=1e-5, rtol=0)


def test_text_is_the_same_with_and_without_capture(decoders: tuple[Any, Any]) -> None:
    ours, _ = decoders
    ids, mask, columns = batch()
    plain = ours.generate(ids, attention_mask=mask, max_new_tokens=STEPS, do_sample=False)
    with Recorder(columns).active():
        captured = ours.generate(ids, attention_mask=mask, max_new_tokens=STEPS, do_sample=False)
    assert torch.equal(plain, captured)


def test_padding_changes_nothing(decoders: tuple[Any, Any]) -> None:
    ours, _ = decoders
    ids, mask, columns = batch()
    start = ids.shape[1] - LENGTHS[1]
    together, alone = Recorder(columns), Recorder(columns[1:2] - start)
    with together.active():
        ours.generate(ids, attention_mask=mask, max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False)
    with alone.active():
        ours.generate(ids[1:2, start:], max_new_tokens=STEPS, min_new_tokens=STEPS, do_sample=False)
    first = torch.cat(together.passes(), dim=1)[1:2, :, :4]
    assert torch.allclose(first, torch.cat(alone.passes(), dim=1)[:, :, :4], atol=1e-5, rtol=0)


def test_a_layer_that_does_not_exist_is_named(decoders: tuple[Any, Any]) -> None:
    ours, _ = decoders
    ids, mask, columns = batch()
    recorder = Recorder(columns, layers=[7])
    with recorder.active():
        ours.generate(ids, attention_mask=mask, max_new_tokens=2, do_sample=False)
    with pytest.raises(ValueError, match=r"layers \[7\]"):
        recorder.passes()


def test_a_layer_that_is_run_for_some_tokens_alone_is_an_error() -> None:
    """Rows of the wrong tokens would be as many."""
    recorder = Recorder(torch.tensor([[0, 1]]))
    recorder.record(0, 5, lambda rows: torch.ones(1, 1, rows.shape[1], 5))
    with pytest.raises(RuntimeError, match="layer 1 attends from 1 of 5 tokens"):
        recorder.record(1, 1, lambda rows: torch.ones(1, 1, rows.shape[1], 5))


def eager_of(family: str) -> Any:
    return import_module(f"transformers.models.{family}.modeling_{family}").eager_attention_forward


@pytest.mark.parametrize(
    ("family", "keywords"),
    [
        ("gpt_oss", ("s_aux",)),
        ("granite_swa", ("s_aux",)),
        ("gemma2", ("softcap",)),
        ("inkling", ("position_bias",)),
        ("llama", ()),
    ],
)
@pytest.mark.parametrize("masked", ["bool", "additive", "causal", "all"])
def test_keywords_that_change_the_result_equal_eager(family: str, keywords: Sequence[str], masked: str) -> None:
    """A prompt, and a step after it, with weights and output."""
    torch.manual_seed(0)
    batch, heads, groups, tokens, width = 3, 4, 2, 7, 5
    query, key, value = (torch.randn(batch, n, tokens, width) for n in (heads, groups, groups))
    whole = {"s_aux": torch.randn(heads) + 1, "softcap": 0.7, "position_bias": torch.randn(1, heads, tokens, tokens)}
    module = Attention(whole["s_aux"], family)
    causal = torch.ones(tokens, tokens, dtype=torch.bool).tril().expand(batch, 1, -1, -1)
    seen = causal.clone()
    seen[1, :, :, :3] = False  # padding
    right = torch.zeros(seen.shape).masked_fill(~(seen if masked in ("bool", "additive") else causal), -1e30)
    mask = {"bool": seen, "additive": right}.get(masked)
    if masked == "all":
        right = torch.zeros(seen.shape)
    given = {name: whole[name] for name in keywords} | {"scaling": 0.6}
    told = {"is_causal": False} if masked == "all" else {}
    output, weights = eager_of(family)(module, query, key, value, right, **given)
    recorder = Recorder(torch.arange(tokens).expand(batch, -1), rows=torch.arange(-tokens, 0).expand(batch, -1))
    with recorder.active():
        found, _ = capturing_attention(module, query, key, value, mask, **given, **told)
    rows = slice(3 if masked in ("bool", "additive") else 0, None)  # a row of padding is of no use to anyone
    assert torch.allclose(found[:, rows], output[:, rows], atol=1e-6)
    assert torch.allclose(recorder.passes()[0][:, rows], weights.mean(1)[:, rows], atol=1e-6)

    layer, step = Layer(room=0), Recorder(torch.arange(tokens).expand(batch, -1), cached=tokens - 1)
    keys, values = layer.update(key, value)
    if "position_bias" in given:
        given["position_bias"] = given["position_bias"][:, :, -1:]
    with step.active():
        last, _ = capturing_attention(
            module, query[:, :, -1:], keys, values, None if mask is None else mask[:, :, -1:], **given
        )
    assert torch.allclose(last, output[:, -1:], atol=1e-6)
    assert torch.allclose(step.passes()[0][:, 0], weights.mean(1)[:, -1], atol=1e-6)


class Attention(torch.nn.Module):
    """What attention functions read of a decoder's own module, which lies in a file of its family."""

    def __init__(self, sinks: torch.Tensor, family: str) -> None:
        super().__init__()
        self.sinks, self.layer_idx, self.num_key_value_groups, self.is_causal = torch.nn.Parameter(sinks), 0, 2, True
        self.__class__ = type(family, (Attention,), {"__module__": eager_of(family).__module__})
        self.eval()


def test_a_keyword_that_is_not_known_is_named(decoders: tuple[Any, Any]) -> None:
    """It may change what attention gives; nothing of it would be seen."""
    ours, _ = decoders
    ids, mask, _ = batch()
    kind = next(type(part).__name__ for part in ours.modules() if type(part).__name__.endswith("Attention"))
    with pytest.raises(UserError, match=rf"{kind} gives its attention tree, which .* model=plain"):
        ours(ids, attention_mask=mask, tree=torch.ones(1))
