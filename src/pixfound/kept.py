"""Attention that is kept apart, layer by layer or head by head, so that an extractor may choose among them.

Shapes: `L` kept layers, `H` kept heads of each, `C` = L * H, `T` answer tokens, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pixfound.errors import UserError

Keep = Literal["mean", "layers", "heads"]  # what is stored: the mean, each layer, each head of each layer
_ATTEND = ("full_attention", "sliding_attention", "chunked_attention")  # of transformers' layer_types
_STATES = ("linear_attention", "conv", "mamba")
Indices = int | Sequence[int] | None  # one, several, or all


@dataclass(frozen=True)
class KeptAttention:
    """rows: (L, H, 1 + T, N) fp32, of each layer and head the penultimate row of the prompt and one for each token.

    layers: L indices of the decoder's layers. heads: H indices of heads; () where a layer is the mean over its heads,
    and H is 1.
    """

    rows: npt.NDArray[np.float32]
    layers: tuple[int, ...]
    heads: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.rows.ndim != 4 or self.rows.shape[:2] != (len(self.layers), len(self.heads) or 1):
            raise ValueError(f"rows of shape {self.rows.shape} for layers {self.layers} and heads {self.heads}")

    def mean(self, layers: Indices = None, heads: Indices = None) -> npt.NDArray[np.float32]:
        """(1 + T, N) the mean over some layers and heads; None for all that are kept. UserError for others."""
        if heads is not None and not self.heads:
            raise UserError("heads: each layer was stored as the mean over its heads; use model.keep=heads")
        first = _places("layers", layers, self.layers)
        second = _places("heads", heads, self.heads) if self.heads else [0]
        return np.asarray(self.rows[np.ix_(first, second)].mean(axis=(0, 1), dtype=np.float32))


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
            f"{_listed(known)}"
        )


def kept_rows(
    found: npt.NDArray[np.float32],
    config: Any,
    layers: Sequence[int] | None,
    heads: Sequence[int] | None,
    keep: Keep,
) -> KeptAttention:
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
    return KeptAttention(np.ascontiguousarray(rows), which, whose)


def as_indices(indices: Indices) -> tuple[int, ...] | None:
    """A single index as a tuple of it."""
    return (indices,) if isinstance(indices, int) else None if indices is None else tuple(indices)


def _places(name: str, wanted: Indices, known: Sequence[int]) -> list[int]:
    indices = as_indices(wanted)
    if indices is None:
        return list(range(len(known)))
    missing = [index for index in indices if index not in known]
    if missing:
        raise UserError(f"{name}: {missing[0]} was not stored; there are {_listed(known)}")
    return [known.index(index) for index in indices]


def _listed(known: Sequence[int]) -> str:
    """`0 to 31` where nothing is left out between."""
    whole = len(known) > 2 and list(known) == list(range(known[0], known[-1] + 1))
    return f"{known[0]} to {known[-1]}" if whole else ", ".join(map(str, known))
