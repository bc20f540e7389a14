"""Attention rows computed without the capture: by transformers' own eager attention, one layer at a time.

Eager attention returns the whole attention of a layer. It is reduced as soon as the layer is done, so that large
models and many image tokens fit in memory where `output_attentions=True` would not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

NAME = "pixfound_eager"


class EagerRows:
    """Collects the rows of one unpadded example. columns: (N,) its image tokens. layers, heads: None for all."""

    def __init__(self, columns: Tensor, layers: Sequence[int] | None, heads: Sequence[int] | None) -> None:
        self.columns, self.layers, self.heads = columns, layers, heads
        self._passes: list[list[Tensor]] = []
        self._last_layer, self._length = -1, 0

    @contextmanager
    def active(self) -> Iterator[EagerRows]:
        """Collect the rows of every forward pass inside the `with` block."""
        token = _ACTIVE.set(self)
        try:
            yield self
        finally:
            _ACTIVE.reset(token)

    def rows(self) -> Tensor:
        """(1 + T, N): the last but one position of the prompt, then the query of every step."""
        means = [torch.stack(layers).mean(dim=0) for layers in self._passes]
        return torch.cat([means[0], *[mean[-1:] for mean in means[1:]]])

    def take(self, layer: int, weights: Tensor) -> None:
        """Keep the wanted rows and columns of a layer's attention (1, H, Q, K)."""
        if layer <= self._last_layer or not self._passes:
            self._passes.append([])
            self._length += weights.shape[2]
        self._last_layer = layer
        if self.layers is not None and layer not in self.layers:
            return
        chosen = weights[0] if self.heads is None else weights[0, list(self.heads)]
        local = self.columns - (self._length - weights.shape[-1])  # a sliding window has lost the first keys
        rows = chosen[:, -2:, local.clamp(min=0)].float() * (local >= 0)
        self._passes[-1].append(rows.mean(dim=0))


def eager_attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, Tensor]:
    """Call the eager attention of the module's own file, and record its weights."""
    eager = sys.modules[type(module).__module__].eager_attention_forward
    output, weights = eager(module, query, key, value, attention_mask, **kwargs)
    recorder = _ACTIVE.get()
    if recorder is not None:
        recorder.take(int(module.layer_idx), weights)  # type: ignore[arg-type]
    return output, weights


_ACTIVE: ContextVar[EagerRows | None] = ContextVar("pixfound_eager_rows", default=None)
AttentionInterface.register(NAME, eager_attention)
AttentionMaskInterface.register(NAME, eager_mask)
