"""InternVL over text decoders of other attention: sinks, softcaps, windows, latents, values of other widths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from pixfound.errors import UserError
from pixfound.types import Prompt
from tests.models.test_families import SETTINGS, SHARED, SIZES, STEPS, TEXTS, adapter, eager_rows, noise, same
from tests.support.families import FAMILIES
from tests.support.family_configs import TEXT

EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2}
WINDOWS = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 512}
LATENT: dict[str, Any] = {
    **{name: value for name, value in TEXT.items() if name != "head_dim"}, "num_key_value_heads": 4,
    "kv_lora_rank": 10, "q_lora_rank": 12, "qk_rope_head_dim": 6, "qk_nope_head_dim": 8, "v_head_dim": 10,
    "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 32,
    "first_k_dense_replace": 1, "n_shared_experts": 1,
}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64,
        "llama_4_scaling_beta": 0.1, "mscale": 1.0, "mscale_all_dim": 1.0}  # fmt: skip
DECODERS: dict[str, Callable[[int], Any]] = {
    "gpt_oss": lambda vocab: hf.GptOssConfig(**TEXT, **EXPERTS, **WINDOWS, vocab_size=vocab),
    "gpt_oss, short window": lambda vocab: hf.GptOssConfig(
        **TEXT, **EXPERTS, **{**WINDOWS, "sliding_window": 24}, vocab_size=vocab
    ),
    "granite_swa": lambda vocab: hf.GraniteSWAConfig(**TEXT, **WINDOWS, vocab_size=vocab, attention_multiplier=0.3),
    "mimo_v2_flash": lambda vocab: hf.MiMoV2FlashConfig(
        **{**TEXT, "num_key_value_heads": 1}, **EXPERTS, **WINDOWS, vocab_size=vocab, v_head_dim=8,
        moe_intermediate_size=32,
    ),
    "flint": lambda vocab: hf.FlintConfig(**TEXT, **EXPERTS, **WINDOWS, vocab_size=vocab),
    "gemma2": lambda vocab: hf.Gemma2Config(**TEXT, **WINDOWS, vocab_size=vocab, query_pre_attn_scalar=12),
    "mistral": lambda vocab: hf.MistralConfig(**TEXT, vocab_size=vocab, sliding_window=24),
    "deepseek_v3": lambda vocab: hf.DeepseekV3Config(**LATENT, vocab_size=vocab),
    "mistral4": lambda vocab: hf.Mistral4Config(**LATENT, vocab_size=vocab, rope_parameters=YARN),
}  # fmt: skip
UNSHARED = ("gpt_oss, short window", "mistral")  # their window is shorter than a prompt
REFUSED = {"diffllama": lambda vocab: hf.DiffLlamaConfig(**TEXT, vocab_size=vocab)}
every_decoder = pytest.mark.parametrize("decoder", DECODERS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny random InternVL over one of the decoders, whose sinks take much."""
    root = tmp_path_factory.mktemp("decoders")

    def folder(name: str) -> Path:
        path = root / name
        if path.is_dir():
            return path
        family = FAMILIES["internvl"]

        def config(ids: Callable[[str], int], vocab: int) -> Any:
            text = (DECODERS | REFUSED)[name](vocab)
            text.pad_token_id = text.bos_token_id = text.eos_token_id = 0
            whole = family.config(ids, vocab).to_dict()
            return hf.InternVLConfig(**{**whole, "text_config": text})

        replace(family, config=config).save(path)
        weights = load_file(path / "model.safetensors")
        torch.manual_seed(1)
        for key, weight in weights.items():
            if key.endswith("sinks"):
                weights[key] = torch.randn_like(weight) + 3
        save_file(weights, path / "model.safetensors", {"format": "pt"})
        return path

    return folder


def test_a_decoder_whose_layers_attend_twice_is_refused_and_answers(folders: Callable[[str], Path]) -> None:
    """Differential attention: values are not those of the cache, and no one softmax is what a token looks at."""
    folder = folders("diffllama")
    eager = hf.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model = adapter(folder, capture="none")
    for request, said in zip(asked(), model.generate(asked()), strict=True):
        inputs = model.encode([request])
        length = inputs["input_ids"].shape[1]
        (ids,) = eager.generate(**inputs, **SETTINGS, do_sample=False)[:, length:].tolist()
        assert said.text == model.tokenizer.decode(ids, skip_special_tokens=True).lstrip()
    for capture in ("step", "forced"):
        with pytest.raises(UserError, match=r"layers of .* attend several times for each token.* model\.capture=none"):
            adapter(folder, capture=capture).generate(asked())


def asked() -> list[Any]:
    images = [noise(size, i) for i, size in enumerate(SIZES)]
    return [(images[which], Prompt(str(i), "open", "v", TEXTS[i % 3] + "?" * i)) for i, which in enumerate(SHARED)]


@every_decoder
def test_texts_and_attention_equal_eager(decoder: str, folders: Callable[[str], Path]) -> None:
    """A ragged batch that shares prefixes, with each capture, against one example at a time."""
    folder = folders(decoder)
    eager = hf.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model = adapter(folder)
    encoded: list[int] = []
    hook = model._model.get_input_embeddings().register_forward_hook(lambda _, ids, __: encoded.append(len(ids[0])))
    by_step = model.generate(asked())
    hook.remove()
    assert (encoded[0] == len(SIZES)) == (decoder not in UNSHARED)
    same(adapter(folder, capture="forced").generate(asked()), by_step)
    assert [said.text for said in adapter(folder, capture="none").generate(asked())] == [said.text for said in by_step]
    for request, found in zip(asked(), by_step, strict=True):
        inputs = model.encode([request])
        where = (inputs["input_ids"][0] == eager.config.image_token_id).nonzero()[:, 0]
        rows, ids = eager_rows(eager, inputs, where)
        assert found.text == model.tokenizer.decode(ids, skip_special_tokens=True).lstrip()
        assert found.attention is not None
        assert found.penultimate is not None
        assert found.attention.shape == (STEPS, len(where))
        assert abs(found.attention - rows[1:]).max() < 1e-5
        assert abs(found.penultimate - rows[0]).max() < 1e-5
