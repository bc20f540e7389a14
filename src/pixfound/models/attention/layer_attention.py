"""Attention that is kept apart, layer by layer or head by head, so that an extractor may choose among them.

Shapes: `L` kept layers, `H` kept heads of each, `C` = L * H, `T` answer tokens, `N` image tokens.
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
    """UserError where `keep` has no such value, or nothing is captured that could be kept."""
    if keep not in ("mean", "layers", "heads"):
        raise UserError(f"model.keep={keep}: valid values are mean, layers and heads")
    if keep != "mean" and capture == "none":
        raise UserError(f"model.keep={keep}: nothing is captured; use model.capture=step, or model.keep=mean")


def attending_layers(text: Any) -> tuple[int, ...]:
    """The layers of a decoder that attend, by its transformers config.

    Linear attention and convolutions hand on a state: no token of theirs has a weight.
    """
    kinds = getattr(text, "layer_types", None) or [""] * text.num_hidden_layers
    return tuple(index for index, kind in enumerate(kinds) if kind not in _STATES)


def other_layers(kinds: Sequence[str] | None) -> list[str]:
    """Kinds of layers, by transformers' names, that neither attend to all they may see nor hand on a state.

    They choose tokens, or keep some for another time: which key belongs to which token is theirs to know.
    """
    return sorted(set(kinds or ()) - {*_ATTEND, *_STATES})


def check_layers(layers: Sequence[int] | None, text: Any, path: str) -> None:
    """UserError where the attention is wanted of a layer that has none. text: the decoder's config; path: typed."""
    known = attending_layers(text)
    missing = sorted(set(layers or ()) - set(known))
    if missing:
        raise UserError(
            f"model.layers: layer {missing[0]} of model.path={path} gives no attention weights; those that do are "
            f"{listed(known)}"
        )


def kept_rows(
    found: npt.NDArray[np.float32],
    config: Any,
    layers: Sequence[int] | None,
    heads: Sequence[int] | None,
    keep: Keep,
) -> LayerAttention:
    """Recorded rows (1 + T, C, N) with the layers and heads that they are of.

    config: transformers' of the model. layers, heads: those that were recorded; None for all.
    """
    text = config.get_text_config(decoder=True)
    which = attending_layers(text) if layers is None else tuple(sorted(set(layers)))
    whose: tuple[int, ...] = ()
    if keep == "heads":
        whose = tuple(range(text.num_attention_heads)) if heads is None else tuple(heads)
    each = len(whose) or 1
    if found.shape[1] != len(which) * each:
        raise UserError(
            f"model.keep={keep}: {found.shape[1] // each} layers gave attention, not {len(which)}: name those that do "
            "with model.layers=[...]"
        )
    rows = found.reshape(len(found), len(which), each, -1).transpose(1, 2, 0, 3)
    return LayerAttention(np.ascontiguousarray(rows), which, whose)
