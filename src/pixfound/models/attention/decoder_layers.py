"""The decoder layers that have attention weights, and the storing of these per layer or per head.

Shapes: `L` stored layers, `H` stored heads of each, `C` = L * H, `T` answer tokens, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pixfound.errors import UserError
from pixfound.types.layer_attention import LayerAttention, listed

Keep = Literal["mean", "layers", "heads"]  # what is stored: the mean, each layer, each head of each layer
_ATTEND = ("full_attention", "sliding_attention", "chunked_attention")  # of transformers' layer_types
_STATES = ("linear_attention", "conv", "mamba")


def check_keep(keep: str, capture: str) -> None:
    """UserError for layers or heads where no attention is captured."""
    if keep != "mean" and capture == "none":
        raise UserError(f"model.keep={keep}: nothing is captured; use model.capture=step, or model.keep=mean")


def attending_layers(text: Any) -> tuple[int, ...]:
    """Indices of the decoder layers with softmax attention. text: transformers' config of the decoder.

    Layers of linear attention and convolutions update a recurrent state, and have no weight per token.
    """
    kinds = getattr(text, "layer_types", None) or [""] * text.num_hidden_layers
    return tuple(index for index, kind in enumerate(kinds) if kind not in _STATES)


def other_layers(kinds: Sequence[str] | None) -> list[str]:
    """Layer types of `kinds` that are neither attention over all visible tokens nor recurrent, sorted.

    kinds: `layer_types` of a transformers config, or None. Such layers select tokens (sparse attention) or hold some
    back for a later step, so the token of a key is not known from outside.
    """
    return sorted(set(kinds or ()) - {*_ATTEND, *_STATES})


def check_layers(layers: Sequence[int] | None, text: Any, path: str) -> None:
    """UserError where `layers` names a layer without attention weights.

    layers: indices; None for all. text: transformers' config of the decoder. path: `model.path` as typed, for errors.
    """
    attending = attending_layers(text)
    missing = sorted(set(layers or ()) - set(attending))
    if missing:
        raise UserError(
            f"model.layers: layer {missing[0]} of model.path={path} gives no attention weights; those that do are "
            f"{listed(attending)}"
        )


def layer_attention(
    recorded: npt.NDArray[np.float32],
    config: Any,
    layers: Sequence[int] | None,
    heads: Sequence[int] | None,
    keep: Keep,
) -> LayerAttention:
    """Recorded rows (1 + T, C, N) as a `LayerAttention` with the indices of their layers and heads.

    config: transformers' config of the model. layers, heads: indices that were recorded; None for all.
    UserError where another number of layers gave attention.
    """
    text = config.get_text_config(decoder=True)
    layer_indices = attending_layers(text) if layers is None else tuple(sorted(set(layers)))
    head_indices: tuple[int, ...] = ()
    if keep == "heads":
        head_indices = tuple(range(text.num_attention_heads)) if heads is None else tuple(heads)
    per_layer = len(head_indices) or 1
    if recorded.shape[1] != len(layer_indices) * per_layer:
        raise UserError(
            f"model.keep={keep}: {recorded.shape[1] // per_layer} layers gave attention, not {len(layer_indices)}: "
            "name those that do with model.layers=[...]"
        )
    rows = recorded.reshape(len(recorded), len(layer_indices), per_layer, -1).transpose(1, 2, 0, 3)
    return LayerAttention(np.ascontiguousarray(rows), layer_indices, head_indices)
