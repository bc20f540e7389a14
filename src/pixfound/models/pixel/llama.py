"""Llama in the checkpoints of LISA, GLaMM and Cambrian-1: config conversion, and an embedding for the image token.

Their config.json mixes Llama's settings with others, and their embedding tables have no row for the image token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LLAMA = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act"),
    *("num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling", "head_dim"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings"),
)


def llama_config(published: Mapping[str, Any]) -> Any:
    """The LlamaConfig in a published config.json; null values take transformers' defaults."""
    from transformers import LlamaConfig

    return LlamaConfig(**{name: value for name, value in published.items() if name in _LLAMA and value is not None})


def make_room(model: Any, image_id: int) -> None:
    """Extend the input embeddings to a row of zeros for the image token, which is never looked up or generated."""
    import torch

    old = model.get_input_embeddings().weight.detach()
    room = torch.cat([old, old.new_zeros(max(0, image_id + 1 - len(old)), old.shape[1])])
    embedding: torch.nn.Module = torch.nn.Embedding.from_pretrained(room)  # type: ignore[no-untyped-call]
    model.set_input_embeddings(embedding)
