"""Attention capture through transformers' AttentionInterface, reduced on the fly.

While a `Recorder` is active, every layer of a decoder that runs the implementation `NAME` computes the softmax
rows of the wanted queries once more in fp32, keeps their mean over heads at the image columns, and then
attends as `sdpa` does. No full attention tensor ever exists. Without a recorder it is plain `sdpa`.

Shapes: `B` batch, `H` heads, `Q` queries, `K` keys, `D` head width, `R` wanted rows, `N` image columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "pixfound_capture"


class Recorder:
    """Collects attention rows over the image columns, averaged over layers and heads.

    columns: (B, N) positions of the image tokens in the padded sequence, -1 where an example has fewer.
    rows: (B, R) the wanted queries of a single forward pass (teacher forcing), counted from its end (-1 the last), or
        None for the last query of every pass, and the last but one too in the first (step by step generation).
    layers, heads: indices to average over; None for all. cached: tokens that a cache holds before the first pass.
    """

    def __init__(
        self,
        columns: Tensor,
        rows: Tensor | None = None,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        cached: int = 0,
    ) -> None:
        self.columns, self.rows, self.heads = columns, rows, heads
        self.layers = None if layers is None else frozenset(layers)
        self._sums: list[Tensor] = []
        self._counts: list[int] = []
        self._last_layer = -1
        self._length = cached

    @contextmanager
    def active(self) -> Iterator[Recorder]:
        """Record every forward pass inside the `with` block."""
        token = _ACTIVE.set(self)
        try:
            yield self
        finally:
            _ACTIVE.reset(token)

    def passes(self) -> list[Tensor]:
        """For each forward pass the rows (B, R, N), fp32; columns of -1 are zero."""
        if not self._counts or min(self._counts) == 0:
            wanted = "all" if self.layers is None else sorted(self.layers)
            raise ValueError(f"no attention was recorded for layers {wanted}: the decoder has no such layer")
        return [total / count for total, count in zip(self._sums, self._counts, strict=True)]

    def record(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        mask: Tensor | None,
        scaling: float,
        softcap: float | None = None,
    ) -> None:
        """Add one layer of the current pass. query: (B, H, Q, D); key: (B, H or fewer, K, D)."""
        queries, keys = query.shape[2], key.shape[2]
        if layer <= self._last_layer or not self._sums:
            self._length += queries
            rows = self._wanted(queries, query.device)
            self._sums.append(
                query.new_zeros((query.shape[0], rows.shape[1], self.columns.shape[1]), dtype=torch.float32)
            )
            self._counts.append(0)
        self._last_layer = layer
        if self.layers is not None and layer not in self.layers:
            return
        weights = attention_rows(query, key, mask, scaling, self._wanted(queries, query.device), softcap)
        weights = (weights if self.heads is None else weights[:, list(self.heads)]).mean(dim=1)  # (B, R, K)
        local = self.columns - (self._length - keys)  # a sliding window keeps only the last keys
        index = local.clamp(min=0, max=keys - 1)[:, None].expand(-1, weights.shape[1], -1)
        seen = ((self.columns >= 0) & (local >= 0))[:, None]
        self._sums[-1] += weights.gather(2, index) * seen
        self._counts[-1] += 1

    def _wanted(self, queries: int, device: torch.device) -> Tensor:
        if self.rows is not None:
            return (self.rows + queries).clamp(min=0)
        last = [queries - 2, queries - 1] if len(self._sums) <= 1 and queries > 1 else [queries - 1]
        return torch.tensor([last], device=device).expand(self.columns.shape[0], -1)


def attention_rows(
    query: Tensor, key: Tensor, mask: Tensor | None, scaling: float, rows: Tensor, softcap: float | None = None
) -> Tensor:
    """Softmax rows (B, H, R, K) in fp32 of the queries at `rows` (B, R); grouped heads need no repetition.

    mask: (B or 1, 1, Q, K), bool (True attends) or additive; None is causal. softcap: scores are bent to stay below
    it (Gemma 2); None leaves them.
    """
    batch, heads, queries, width = query.shape
    groups, keys = key.shape[1], key.shape[2]
    index = rows[:, None, :, None].expand(-1, heads, -1, width)
    chosen = query.gather(2, index).float().view(batch, groups, heads // groups, rows.shape[1], width)
    scores = (chosen @ key.float()[:, :, None].transpose(-1, -2) * scaling).flatten(1, 2)  # (B, H, R, K)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is None:
        causal = torch.arange(keys, device=key.device) <= (rows + (keys - queries))[..., None]  # (B, R, K)
        scores = scores.masked_fill(~causal[:, None], float("-inf"))
    else:
        wide = mask[..., :keys].expand(batch, -1, -1, -1)
        taken = wide.gather(2, rows[:, None, :, None].expand(-1, wide.shape[1], -1, wide.shape[3]))
        scores = scores.masked_fill(~taken, float("-inf")) if taken.dtype == torch.bool else scores + taken.float()
    return scores.softmax(dim=-1)


def capturing_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function registered with transformers; signature as its `sdpa_attention_forward`."""
    recorder, softcap = _ACTIVE.get(), kwargs.get("softcap")
    scaling = kwargs.get("scaling") or query.shape[-1] ** -0.5
    if recorder is not None:
        recorder.record(_layer_of(module), query, key, attention_mask, scaling, softcap)
    if softcap is not None:  # which torch's own attention does not know
        return _softcapped(query, key, value, attention_mask, scaling, softcap), None
    output: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    return output


def _softcapped(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, softcap: float
) -> Tensor:
    """(B, Q, H, D) attention with bent scores, as `eager` computes it."""
    batch, heads, queries, _ = query.shape
    rows = torch.arange(queries, device=query.device).expand(batch, -1)
    # A padding position sees nothing at all: its row is no number, and must not spread to those that are.
    weights = attention_rows(query, key, mask, scaling, rows, softcap).nan_to_num(0.0).to(query.dtype)
    grouped = weights.view(batch, key.shape[1], heads // key.shape[1], queries, -1)
    return (grouped @ value[:, :, None]).flatten(1, 2).transpose(1, 2).contiguous()


def _layer_of(module: torch.nn.Module) -> int:
    index = module.layer_idx
    if not isinstance(index, int):
        raise TypeError(f"{type(module).__name__} does not say which layer it is: its attention cannot be captured")
    return index


_ACTIVE: ContextVar[Recorder | None] = ContextVar("pixfound_recorder", default=None)
AttentionInterface.register(NAME, capturing_attention)
# Without a mask function of the same name transformers passes no mask at all, and padding is ignored.
AttentionMaskInterface.register(NAME, sdpa_mask)
