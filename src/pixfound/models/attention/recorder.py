"""Attention capture through transformers' AttentionInterface, reduced on the fly.

Every layer of a decoder with the attention implementation `NAME` passes the softmax rows of the recorded queries, in
fp32, to the active `Recorder`, which keeps their mean over heads and layers at the image tokens. The full attention
tensor is never computed. A decoding step over a `Layer` of models/attention/kv_cache.py computes its single row anyway.
All other passes run `sdpa`, and compute the recorded rows a second time.

Shapes: `B` batch, `H` heads, `Q` queries, `K` keys, `D` head width, `R` recorded rows, `N` image tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from pixfound.errors import UserError
from pixfound.models.attention.decoder_layers import Keep
from pixfound.models.attention.kv_cache import Layer

NAME = "pixfound_capture"
_AT_ONCE = 2**26  # weights (256 MB in fp32) computed at a time where torch's own attention cannot be used
# Keywords of attention functions that change the result; a sliding window is in the mask already.
_HONOURED = ("scaling", "softcap", "s_aux", "position_bias", "is_causal", "sliding_window")
_HARMLESS = (  # for training, packed sequences and outputs, and inputs of other parts of the model, handed down
    "dropout deterministic cu_seq_lens_q cu_seq_lens_k max_length_q max_length_k seq_idx num_items_in_batch labels "
    "output_attentions output_hidden_states output_router_logits return_dict use_cache cache_position logits_to_keep "
    "input_ids position_ids position_embeddings token_type_ids mm_token_type_ids moe_mm_token_type_ids conv_mask "
    "pixel_values pixel_values_videos pixel_mask image_sizes image_position_ids image_grid_thw grid_thw video_grid_thw "
    "video_position_ids video_second_per_grid num_frames_per_video mm_encoder_outputs use_audio_in_video"
)
_KNOWN = frozenset((*_HONOURED, *_HARMLESS.split()))


class Recorder:
    """Collector of attention rows over the image tokens, averaged over layers and heads.

    columns: (B, N) positions of the image tokens in the padded sequence, -1 where an example has fewer.
    rows: (B, R) queries of a single forward pass to record (teacher forcing), counted from its end (-1 the last).
        None records the last query of every pass, and the penultimate one of the first pass (step-by-step generation).
    layers, heads: indices to average over; None for all. cached: tokens that a cache holds before the first pass.
    keep: `mean` averages over layers and heads, `layers` over the heads of each layer, `heads` over nothing.
    """

    def __init__(
        self,
        columns: Tensor,
        rows: Tensor | None = None,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        cached: int = 0,
        keep: Keep = "mean",
    ) -> None:
        self.prompt_only = False  # True records the first pass alone
        self.every_row = False  # True where `rows` are all queries of the pass, in order
        self.columns, self.rows, self.heads, self.keep = columns, rows, heads, keep
        self.layers = None if layers is None else frozenset(layers)
        self._passes: list[Tensor] = []
        self._open: dict[int, Tensor] = {}  # of the current pass: number of keys -> sum over layers (B, R, keys)
        self._apart: list[Tensor] = []  # of the current pass, unless keep is `mean`: (B, H or 1, R, N) per layer
        self._places: dict[int, tuple[Tensor, Tensor]] = {}  # of the current pass: number of keys -> index, 1 or 0
        self._count, self._last_layer, self._length, self._pass_queries = 0, -1, cached, 0

    @contextmanager
    def active(self) -> Iterator[Recorder]:
        """Record every forward pass inside the `with` block."""
        token = _ACTIVE.set(self)
        try:
            yield self
        finally:
            _ACTIVE.reset(token)

    def passes(self) -> list[Tensor]:
        """Attention rows (B, R, N) of each forward pass, fp32; zero where `columns` is -1.

        Where layers or heads are stored, (B, R, C * N): the rows of all C of them concatenated, layer by layer.
        ValueError where nothing was recorded.
        """
        self._close()
        if not self._passes:
            layers = "all" if self.layers is None else sorted(self.layers)
            raise ValueError(f"no attention was recorded for layers {layers}: the decoder has no such layer")
        return self._passes

    def gathered(self, count: int, model: Any) -> Tensor:
        """(B, count, N) rows of all passes; UserError for another number of rows, as they would be of other tokens."""
        rows = torch.cat(self.passes(), dim=1)
        if rows.shape[1] != count:
            raise UserError(
                f"model.path={model.name_or_path}: the layers of {type(model.get_decoder()).__name__} attend several "
                "times for each token, so its attention cannot be captured; use model.capture=none extraction=nulls"
            )
        return rows

    def record(
        self,
        layer: int,
        queries: int,
        weights_of: Callable[[Tensor], Tensor],
    ) -> None:
        """Add one layer of the current pass of `queries` tokens.

        weights_of: maps query indices (B, R), counted from the start of the pass, to weights (B, H, R, K) in fp32.
        RuntimeError where layers of one pass attend from different numbers of tokens.
        """
        if self._last_layer < 0 or layer <= self._last_layer:
            self._close()
            if self.prompt_only and self._passes:
                return
            self._length += queries
            self._query_rows, self._pass_queries = self._queries(queries), queries
        if queries != self._pass_queries:
            raise RuntimeError(f"layer {layer} attends from {queries} of {self._pass_queries} tokens: rows are missing")
        self._last_layer = layer
        if self.layers is not None and layer not in self.layers:
            return
        weights = weights_of(self._query_rows)
        weights = weights if self.heads is None else weights[:, list(self.heads)]
        self._count += 1
        if self.keep != "mean":
            apart = weights if self.keep == "heads" else weights.mean(dim=1, keepdim=True)
            self._apart.append(
                self._at_image_tokens(apart.to(self.columns.device))
            )  # layers may lie on several devices
            return
        mean, keys = weights.mean(dim=1).to(self.columns.device), weights.shape[-1]  # (B, R, K)
        self._open[keys] = self._open[keys] + mean if keys in self._open else mean

    def _close(self) -> None:
        """End the current pass, and gather its rows at the image tokens."""
        self._last_layer = -1
        if not self._count:
            return
        if self.keep == "mean":
            rows = [self._at_image_tokens(mean[:, None])[:, 0] for mean in self._open.values()]
            self._passes.append(sum(rows[1:], rows[0]) / self._count)
        else:
            self._passes.append(torch.cat(self._apart, dim=1).transpose(1, 2).flatten(2))
        self._open, self._apart, self._places, self._count = {}, [], {}, 0

    def _at_image_tokens(self, weights: Tensor) -> Tensor:
        """Weights (B, C, R, N) at the image tokens, from weights (B, C, R, K) at all keys."""
        keys = weights.shape[-1]
        if keys not in self._places:
            local = self.columns - (self._length - keys)  # a sliding window keeps only the last keys
            present = ((self.columns >= 0) & (local >= 0)).to(weights.dtype)
            self._places[keys] = local.clamp(min=0, max=keys - 1)[:, None, None], present[:, None, None]
        index, present = self._places[keys]
        return weights.gather(3, index.expand(-1, *weights.shape[1:3], -1)) * present

    def _queries(self, queries: int) -> Tensor:
        if self.rows is not None:
            return (self.rows + queries).clamp(min=0)
        last = [queries - 2, queries - 1] if not self._passes and queries > 1 else [queries - 1]
        return torch.tensor([last], device=self.columns.device).expand(self.columns.shape[0], -1)


def whole_passes(model: Any) -> dict[str, Tensor]:
    """Arguments of `generate` with which every layer attends from every token of a prompt.

    Gemma 4 runs layers that share the keys of others for the last token alone. With `logits_to_keep` as indices
    instead of a number it runs them for all tokens.
    """
    shares = getattr(model.config.get_text_config(decoder=True), "num_kv_shared_layers", 0)
    return {"logits_to_keep": torch.tensor([-1])} if shares else {}


def as_recorded(model: Any) -> dict[str, Tensor]:
    """`whole_passes` while attention or hidden states are recorded, else an empty dict."""
    return whole_passes(model) if _ACTIVE.get() is not None or _ALL_TOKENS.get() else {}


@contextmanager
def running_all_tokens() -> Iterator[None]:
    """Let every layer run for every token of a prompt inside the `with` block, as while attention is recorded."""
    token = _ALL_TOKENS.set(True)
    try:
        yield
    finally:
        _ALL_TOKENS.reset(token)


class AttentionLeaf:
    """The last query's attention in one layer, as a leaf that the layers after it are differentiated by."""

    def __init__(self, layer: int) -> None:
        self.layer = layer
        self._weights: Tensor | None = None

    @contextmanager
    def active(self) -> Iterator[AttentionLeaf]:
        """Make the leaf of the forward pass inside the `with` block."""
        token = _LEAF.set(self)
        try:
            yield self
        finally:
            _LEAF.reset(token)

    def attend(self, weights: Tensor, value: Tensor) -> Tensor:
        """Output (B, 1, H, D) of weights (B, H, 1, K), which become the leaf, over values (B, G, K, D)."""
        self._weights = weights.detach().requires_grad_()
        grouped = self._weights.to(value.dtype).view(len(weights), value.shape[1], -1, weights.shape[-1])
        return (grouped @ value).flatten(1, 2)[:, None]

    def weights(self) -> Tensor:
        """(B, H, 1, K) the leaf; ValueError where the layer did not attend."""
        if self._weights is None:
            raise ValueError(f"layer {self.layer} gives no attention weights")
        return self._weights


@dataclass(frozen=True)
class Scoring:
    """The settings with which a decoder turns products of queries and keys into attention weights.

    scaling: factor of the products. softcap: tanh bound of the scores (Gemma 2). sinks: (H) scores of a key without a
    value, which takes its share of every row's weight (gpt-oss). causal: True where a missing mask means a causal one.
    """

    scaling: float
    softcap: float | None = None
    sinks: Tensor | None = None
    causal: bool = True

    def scores(self, products: Tensor) -> Tensor:
        """Scores from products of queries and keys, same shape, before any mask."""
        scores = products * self.scaling
        return scores if self.softcap is None else torch.tanh(scores / self.softcap) * self.softcap

    def weights(self, scores: Tensor) -> Tensor:
        """Softmax (B, H, R, K) of masked scores; a row sums to 1 less the share of its sink."""
        if self.sinks is None:
            return scores.softmax(dim=-1)
        sinks = self.sinks.to(scores.dtype)[:, None, None].expand(*scores.shape[:-1], 1)
        return torch.cat([scores, sinks], dim=-1).softmax(dim=-1)[..., :-1]


def attention_rows(query: Tensor, key: Tensor, mask: Tensor | None, rows: Tensor, scoring: Scoring) -> Tensor:
    """Softmax rows (B, H, R, K) in fp32 of the queries at `rows` (B, R); key heads of grouped queries are not repeated.

    mask: (B or 1, H or 1, Q, K), bool (True attends) or additive; None is causal or full, by `scoring.causal`.
    """
    batch, heads, queries, width = query.shape
    groups, keys = key.shape[1], key.shape[2]
    index = rows[:, None, :, None].expand(-1, heads, -1, width)
    chosen = query.gather(2, index).float().view(batch, groups, heads // groups, rows.shape[1], width)
    scores = scoring.scores(chosen @ key.float()[:, :, None].transpose(-1, -2)).flatten(1, 2)  # (B, H, R, K)
    if mask is not None:
        wide = mask[..., :keys].expand(batch, -1, -1, -1)
        row_mask = wide.gather(2, rows[:, None, :, None].expand(-1, wide.shape[1], -1, wide.shape[3]))
        scores = (
            scores.masked_fill(~row_mask, float("-inf")) if row_mask.dtype == torch.bool else scores + row_mask.float()
        )
    elif scoring.causal:
        causal = torch.arange(keys, device=key.device) <= (rows + (keys - queries))[..., None]  # (B, R, K)
        scores = scores.masked_fill(~causal[:, None], float("-inf"))
    return scoring.weights(scores)


def capturing_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The attention function registered with transformers, with the signature of its `sdpa_attention_forward`.

    UserError for an unknown keyword, as it may change the result.
    """
    _check_keywords(module, kwargs)
    recorder, sinks, bias = _ACTIVE.get(), kwargs.get("s_aux"), kwargs.pop("position_bias", None)
    causal = kwargs.get("is_causal")
    scoring = Scoring(
        scaling=kwargs.get("scaling") or query.shape[-1] ** -0.5,
        softcap=kwargs.get("softcap"),
        sinks=sinks,
        causal=bool(getattr(module, "is_causal", True) if causal is None else causal),
    )
    queries, layer = query.shape[2], getattr(key, "layer", None)
    if isinstance(layer, Layer) and value is layer.values:
        layer.attended = True
    else:
        layer = None  # the decoder attends to keys that it computed from the cached states (latent attention)
    if bias is not None:
        attention_mask = _biased(attention_mask, bias, scoring.causal and queries > 1)
    recorded = (
        scoring if sinks is None or recorder is None or _excludes_sinks(module, sinks) else replace(scoring, sinks=None)
    )
    every_row = queries == 1 or (recorder is not None and recorder.every_row)
    if isinstance(layer, Layer) and every_row and recorded is scoring:
        weights, output = decoding_step(query, layer, attention_mask, scoring)
        if recorder is not None:
            recorder.record(_layer_of(module), queries, lambda _: weights)
        return output, None
    if isinstance(layer, Layer):
        key, value = layer.whole()
    if recorder is not None:
        recorder.record(
            _layer_of(module),
            queries,
            lambda rows: attention_rows(query, key, attention_mask, rows.to(query.device), recorded),
        )
    if scoring.softcap is not None or sinks is not None:  # torch's own attention has neither
        output = _attend(query, key, value, attention_mask, scoring)
    else:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    leaf = _LEAF.get()
    if leaf is not None and leaf.layer == _layer_of(module):
        rows = torch.full((query.shape[0], 1), queries - 1, device=query.device)
        last = leaf.attend(attention_rows(query, key, attention_mask, rows, scoring), value)
        output = torch.cat([output[:, :-1], last], dim=1)
    return output, None


def decoding_step(query: Tensor, layer: Layer, mask: Tensor | None, scoring: Scoring) -> tuple[Tensor, Tensor]:
    """Weights (B, H, Q, K) in fp32 and output (B, Q, H, D) of the last queries (B, H, Q, D), from one product."""
    batch, heads, queries, width = query.shape
    grouped = query.reshape(batch, layer.keys.shape[1], -1, width)
    scores = scoring.scores(layer.scores(grouped)).view(batch, heads, queries, -1)
    if mask is None and queries > 1 and scoring.causal:
        keys = scores.shape[-1]
        mask = torch.ones(queries, keys, dtype=torch.bool, device=scores.device).tril(keys - queries)[None, None]
    if mask is not None:
        key_mask = mask[..., : scores.shape[-1]]
        scores = scores.masked_fill(~key_mask, float("-inf")) if key_mask.dtype == torch.bool else scores + key_mask
    weights = scoring.weights(scores)
    output = layer.mix(weights.reshape(batch, layer.keys.shape[1], -1, weights.shape[-1]))
    return weights, output.reshape(batch, heads, queries, -1).transpose(1, 2)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scoring: Scoring) -> Tensor:
    """Attention output (B, Q, H, D) as `eager` computes it, in chunks of queries of at most `_AT_ONCE` weights."""
    batch, heads, queries, _ = query.shape
    outputs = []
    at_once = max(1, _AT_ONCE // (batch * heads * key.shape[2]))
    for chunk in torch.split(torch.arange(queries, device=query.device), at_once):
        weights = attention_rows(query, key, mask, chunk.expand(batch, -1), scoring)
        # A padding position attends to nothing: its row is NaN, and must not spread to other rows.
        weights = weights.nan_to_num(0.0).to(query.dtype)
        grouped = weights.view(batch, key.shape[1], heads // key.shape[1], len(chunk), -1)
        outputs.append((grouped @ value[:, :, None]).flatten(1, 2).transpose(1, 2))
    return torch.cat(outputs, dim=1)


def _biased(mask: Tensor | None, bias: Tensor, causal: bool) -> Tensor:
    """A position bias (B or 1, H, Q, K) with the mask added to it; for mask None, a causal one where `causal`."""
    if mask is None and causal:
        queries, keys = bias.shape[-2:]
        mask = torch.ones(queries, keys, dtype=torch.bool, device=bias.device).tril(keys - queries)
    if mask is None:
        return bias
    mask = mask[..., : bias.shape[-1]]
    return bias.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else bias + mask


def _excludes_sinks(module: torch.nn.Module, sinks: Tensor) -> bool:
    """Return True where the weights from a decoder's own eager attention exclude the share of the sinks.

    Granite's eager attention scales the output instead, and returns the softmax over the keys alone. Found by a call
    with one key whose score equals the sink's.
    """
    kind = type(module)
    if kind not in _EXCLUDES_SINKS:
        eager = getattr(sys.modules[kind.__module__], "eager_attention_forward", None)
        heads = len(sinks)
        unit = sinks.new_zeros(1, heads, 1, 1)
        key = unit[:, : heads // int(getattr(module, "num_key_value_groups", 1))]
        _EXCLUDES_SINKS[kind] = eager is None or bool(
            (eager(module, unit, key, key, sinks.detach().view(1, -1, 1, 1), scaling=1.0)[1] < 0.75).all()
        )
    return _EXCLUDES_SINKS[kind]


def _check_keywords(module: torch.nn.Module, keywords: Mapping[str, Any]) -> None:
    """UserError for a keyword of an attention function that is not in `_KNOWN`, as it may change the result."""
    if unknown := sorted(name for name in keywords.keys() - _KNOWN if keywords[name] is not None):
        path = getattr(getattr(module, "config", None), "_name_or_path", "") or "this model"
        raise UserError(
            f"model.path={path}: {type(module).__name__} gives its attention {', '.join(unknown)}, which is not known "
            "to the capture and may change the result; use model=plain extraction=nulls"
        )


def _layer_of(module: torch.nn.Module) -> int:
    index = module.layer_idx
    if not isinstance(index, int):
        raise TypeError(f"{type(module).__name__} does not say which layer it is: its attention cannot be captured")
    return index


_EXCLUDES_SINKS: dict[type, bool] = {}  # cache of `_excludes_sinks`, by class of attention
_ACTIVE: ContextVar[Recorder | None] = ContextVar("pixfound_recorder", default=None)
_LEAF: ContextVar[AttentionLeaf | None] = ContextVar("pixfound_leaf", default=None)
_ALL_TOKENS: ContextVar[bool] = ContextVar("pixfound_all_tokens", default=False)
AttentionInterface.register(NAME, capturing_attention)
# Without a mask function of the same name transformers passes no mask at all, and padding is ignored.
AttentionMaskInterface.register(NAME, sdpa_mask)
