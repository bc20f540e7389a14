"""The KV cache of a batch whose rows share prefixes; each prefix is stored and read once.

Transformers' own cache copies all keys and values at every token, and stores a prefix once per row. Here the queries
of all rows of a prefix are multiplied with it in one product, and the tokens of each row go into preallocated room.

Shapes: `B` rows, `U` prefixes, `M` rows of the largest group, `G` key heads, `R` query heads per key head, `P` tokens
of a prefix, `S` tokens of a row after its prefix, `D` head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

_HALF = (torch.float16, torch.bfloat16)


class Groups:
    """The assignment of rows to prefixes, with conversions between row order and rows grouped by prefix.

    rows: (B) index of each row's prefix; every prefix from 0 on has at least one row.
    """

    def __init__(self, rows: Sequence[int]) -> None:
        members: list[list[int]] = [[] for _ in range(max(rows) + 1)]
        for row, group in enumerate(rows):
            members[group].append(row)
        self.rows, self.largest = list(rows), max(map(len, members))
        places = {row: i * self.largest + j for i, group in enumerate(members) for j, row in enumerate(group)}
        self._order = [row for group in members for row in (group + group[:1] * (self.largest - len(group)))]
        self._place = [places[row] for row in range(len(rows))]
        self._as_they_are = self._order == list(range(len(rows)))
        self._on: dict[torch.device, tuple[Tensor, Tensor]] = {}  # layers may lie on several devices

    def gather(self, rows: Tensor) -> Tensor:
        """(B, G, R, X) -> (U, G, M * R, X)."""
        chosen = rows if self._as_they_are else rows[self._indices(rows.device)[0]]
        _, heads, queries, width = chosen.shape
        apart = chosen.view(-1, self.largest, heads, queries, width).transpose(1, 2)
        return apart.reshape(-1, heads, self.largest * queries, width)

    def scatter(self, grouped: Tensor) -> Tensor:
        """(U, G, M * R, X) -> (B, G, R, X)."""
        prefixes, heads, _, width = grouped.shape
        apart = grouped.view(prefixes, heads, self.largest, -1, width).transpose(1, 2).flatten(0, 1)
        return apart if self._as_they_are else apart[self._indices(grouped.device)[1]]

    def _indices(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._on:
            self._on[device] = (torch.tensor(self._order, device=device), torch.tensor(self._place, device=device))
        return self._on[device]


@dataclass(frozen=True)
class Prefix:
    """Keys (U, G, D, P) and values (U, G, P, D) of one decoder layer for all prefixes. groups: the rows of each."""

    keys: Tensor
    values: Tensor
    groups: Groups


class Layer(DynamicLayer):  # type: ignore[misc]
    """The cache of one decoder layer.

    `update` returns the keys and values of the rows without their prefix. The attribute `layer` of the returned keys
    is this layer, through which the capturing attention finds the prefix. A decoder that computes keys and values from
    the cached states (latent attention) is given the prefix too.
    room: tokens to be added after the first call of `update`. prefix: None where nothing is shared.
    attended: True where the decoder attends to the keys that `update` returns; set by the capturing attention.
    """

    is_croppable = False

    def __init__(self, room: int, prefix: Prefix | None = None, attended: bool = False) -> None:
        super().__init__()
        self._room, self._added, self.prefix, self.attended = room, 0, prefix, attended

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate the buffers. Called by `update` with the first keys and values (B, G, S, D)."""
        self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
        batch, heads, tokens, _ = key_states.shape
        self._keys, self._values = (
            states.new_empty((batch, heads, tokens + self._room, states.shape[3]))
            for states in (key_states, value_states)
        )

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values (B, G, 1 or more, D); return all keys and values (B, G, S, D) after the prefix.

        Where the keys are not `attended` to, the prefix is put before them: (B, G, P + S, D).
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before, self._added = self._added, self._added + key_states.shape[2]
        self._keys[:, :, before : self._added] = key_states
        self._values[:, :, before : self._added] = value_states
        self.keys, self.values = self._keys[:, :, : self._added], self._values[:, :, : self._added]
        if self.prefix is not None and not self.attended:
            return self.whole()
        self.keys.layer = self  # type: ignore[attr-defined]
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Number of tokens of a row, its prefix included: P + S."""
        return self._added + (0 if self.prefix is None else self.prefix.values.shape[2])

    def whole(self) -> tuple[Tensor, Tensor]:
        """Keys and values (B, G, P + S, D), each row's prefix before its own tokens."""
        if self.prefix is None:
            return self.keys, self.values
        rows = self.prefix.groups.rows
        keys, values = self.prefix.keys[rows].transpose(-1, -2), self.prefix.values[rows]
        return torch.cat([keys, self.keys], dim=2), torch.cat([values, self.values], dim=2)

    def scores(self, queries: Tensor) -> Tensor:
        """Unscaled scores (B, G, R, P + S) in fp32 of one query per head (B, G, R, D) with all keys."""
        own = _product(queries, self.keys.transpose(-1, -2))
        if self.prefix is None:
            return own
        shared = _product(self.prefix.groups.gather(queries), self.prefix.keys)
        return torch.cat([self.prefix.groups.scatter(shared), own], dim=-1)

    def mix(self, weights: Tensor) -> Tensor:
        """Weighted sums (B, G, R, D) of the values. weights: (B, G, R, P + S)."""
        weights = weights.to(self.values.dtype)
        if self.prefix is None:
            return weights @ self.values
        split, groups = self.prefix.values.shape[2], self.prefix.groups
        shared = groups.gather(weights[..., :split]) @ self.prefix.values
        return groups.scatter(shared) + weights[..., split:] @ self.values

    def beginning(self, tokens: int) -> Layer:
        """A layer of the prefix and the first `tokens` of each row, on the same memory; what follows is overwritten."""
        layer = Layer(self._room, self.prefix, self.attended)
        if self.is_initialized:
            layer.dtype, layer.device, layer.is_initialized = self.dtype, self.device, True
            layer._keys, layer._values, layer._added = self._keys, self._values, tokens
        return layer

    def keep(self, indices: Tensor, prefix: Prefix | None) -> None:
        """Drop all other rows. indices: of the rows to keep. prefix: that of the rows kept."""
        self.prefix = prefix
        if self.is_initialized:
            indices = indices.to(self.device)
            self._keys, self._values = self._keys[indices], self._values[indices]
            self.keys, self.values = self._keys[:, :, : self._added], self._values[:, :, : self._added]


class RowCache(Cache):  # type: ignore[misc]
    """A transformers cache made of `Layer`s, from which rows can be dropped."""

    def beginning(self, tokens: int) -> RowCache:
        """A cache of the prefixes and the first `tokens` of each row after them, on the same memory.

        It stays as it is when rows are dropped from this one.
        """
        return RowCache(layers=[layer.beginning(tokens) for layer in self.layers])

    def batch_select_indices(self, indices: Tensor) -> None:
        """Drop all other rows, and the prefixes that no row is left of. indices: of the rows to keep."""
        if self.layers[0].prefix is None:
            for layer in self.layers:
                layer.keep(indices, None)
            return
        prefix_of_row = self.layers[0].prefix.groups.rows
        rows = [prefix_of_row[i] for i in indices.tolist()]
        used = sorted(set(rows))
        groups = Groups([used.index(row) for row in rows])
        for layer in self.layers:
            if layer.prefix is None:  # it reads another's keys, and has none of its own
                continue
            keys, values = layer.prefix.keys, layer.prefix.values
            if len(used) < len(keys):
                keys, values = keys[used], values[used]
            layer.keep(indices, Prefix(keys, values, groups))


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Batched matrix product of two (., ., ., .) tensors; fp32 for every input dtype."""
    if left.is_cuda and left.dtype in _HALF and not torch.version.hip:  # reads half precision, adds in single
        flat = torch.bmm(left.flatten(0, 1), right.flatten(0, 1), out_dtype=torch.float32)
        return flat.view(*left.shape[:2], *flat.shape[1:])
    return left.float() @ right.float()


def can_hold(model: Any, length: int) -> bool:
    """Return True where a `RowCache` can hold `length` tokens of a row, padding among them.

    False for decoders with recurrent layers, and with sliding windows shorter than `length`: padding takes positions
    of a window and steps of a recurrence.
    """
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    windows = [layer.sliding_window for layer in cache.layers if getattr(layer, "is_sliding", False)]
    return not any(cache.is_linear) and all(length <= window for window in windows)


def empty_cache(model: Any, room: int) -> RowCache:
    """A cache without shared prefixes. room: number of tokens to be generated."""
    count = model.config.get_text_config(decoder=True).num_hidden_layers
    return RowCache(layers=[Layer(room) for _ in range(count)])


def share(cache: RowCache, rows: Sequence[int], room: int) -> RowCache:
    """A cache of len(rows) rows with the rows of another cache as prefixes. rows: (B) prefix index of each new row."""
    groups = Groups(rows)
    return RowCache(layers=[Layer(room, _prefix(layer, groups), layer.attended) for layer in cache.layers])


def _prefix(layer: Layer, groups: Groups) -> Prefix | None:
    """The keys and values of a layer as a prefix; None for a layer that shares another layer's keys.

    Keys are stored (D, P): a product with few queries reads them faster when each dimension is contiguous.
    """
    if layer.keys is None:
        return None
    return Prefix(layer.keys.transpose(-1, -2).contiguous(), layer.values.contiguous(), groups)
