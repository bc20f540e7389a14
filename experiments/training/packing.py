"""Several questions about a picture in one row: they share the picture's tokens and do not see each other.

Each question has the positions and the view that it would have alone, so a packed row teaches exactly what a
single prompt of the chat template asks for.

Shapes: `B` images, `L` tokens of a row, `A` answer tokens in all, `P` tokens that are shared, `N` questions of a
group, `T` tokens of the longest of them, `H` heads, `D` width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from experiments.training.questions import Turn
from experiments.training.words import BEFORE, TOKENS, question_text
from torch import nn
from transformers import AttentionInterface, PreTrainedTokenizerFast

from pixfound.benchmarks.scenes import COLOURS, PLACES, RADII, SHAPES

LETTER_WEIGHT, TELLING_WEIGHT = 8.0, 3.0  # letters and words that tell something are few among the tokens
TELLING = {"one", "two", "marked", "plain", *COLOURS, *SHAPES, *RADII, *" ".join(PLACES).split()}


@dataclass(frozen=True)
class Group:
    """Questions of about one length. tokens: (N, T) indices into B * L, padded at the end; owners: (N,) images."""

    tokens: torch.Tensor
    owners: torch.Tensor


@dataclass(frozen=True)
class Packed:
    """A batch.

    ids, positions: (B, L). shared: P. groups: all questions. order: (B * L,) where each token stands among the
    shared tokens (B * P) followed by the groups' tokens. rows: (A,) indices into B * L of the positions that
    predict an answer token. wanted: (A,) those tokens. weights: (A,).
    """

    ids: torch.Tensor
    positions: torch.Tensor
    shared: int
    groups: tuple[Group, ...]
    order: torch.Tensor
    rows: torch.Tensor
    wanted: torch.Tensor
    weights: torch.Tensor


def packed_attention(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: None, *,
    scaling: float, packed: Packed, **_: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Causal attention in which a question sees the shared tokens and itself; (B, H, L, D) to (B, L, H, D).

    The same as a block mask at a third of the time.
    """
    shape, start = query.transpose(1, 2).shape, packed.shared
    flat = [x.transpose(1, 2).reshape(-1, *x.shape[1::2]) for x in (query, key, value)]  # (B * L, H, D)
    common = [x.unflatten(0, shape[:2])[:, :start] for x in flat]  # (B, P, H, D)
    parts = [_attend(common[0], common[1], common[2], scaling).flatten(0, 1)]
    for group in packed.groups:
        own = [x[group.tokens.flatten()].unflatten(0, group.tokens.shape) for x in flat]  # (N, T, H, D)
        seen = [torch.cat([c[group.owners], o], dim=1) for c, o in zip(common[1:], own[1:], strict=True)]
        parts.append(_attend(own[0], seen[0], seen[1], scaling).flatten(0, 1))
    return torch.cat(parts)[packed.order].view(shape), None


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """Attention of (N, T, H, D) queries that are the last T of the keys."""
    last, total = query.shape[1], key.shape[1]
    hidden = torch.ones(last, total, dtype=torch.bool).triu(total - last + 1)
    scores = torch.matmul(query.transpose(1, 2) * scaling, key.permute(0, 2, 3, 1))
    shares = scores.masked_fill(hidden, -1e4).softmax(-1)
    return torch.matmul(shares, value.transpose(1, 2).to(shares.dtype)).transpose(1, 2)


AttentionInterface.register("packed", packed_attention)


class Packer:
    """Lays turns out as rows of tokens; every text is tokenized once."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        self._telling = {tokenizer.convert_tokens_to_ids(f"Ġ{word}") for word in TELLING}
        image = tokenizer.convert_tokens_to_ids("<image>")
        self.prefix = [tokenizer.bos_token_id, *self._encode(BEFORE), *[image] * TOKENS]
        self.first = len(self.prefix) - TOKENS  # index of the first image token

    def __call__(self, batch: Sequence[Sequence[Turn]]) -> Packed:
        """Pack the turns of B images."""
        rows = [self._row(turns) for turns in batch]
        length = max(len(ids) for ids, *_ in rows)
        ids = torch.full((len(rows), length), self._tokenizer.pad_token_id)
        positions = torch.zeros_like(ids)
        where, wanted, weights = [], [], []
        short: list[tuple[int, range]] = []
        long: list[tuple[int, range]] = []
        for index, (row, places, spans, answers) in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
            positions[index, : len(row)] = torch.tensor(places)
            for first, end in spans:
                span = range(index * length + first, index * length + end)
                (short if len(span) < 36 else long).append((index, span))
            for at, weight in answers:
                where.append(index * length + at - 1)
                wanted.append(row[at])
                weights.append(weight)
        groups = tuple(_group(spans) for spans in (short, long) if spans)
        shared = len(self.prefix)
        order = torch.zeros(len(rows), length, dtype=torch.long)
        order[:, :shared] = torch.arange(len(rows) * shared).view(len(rows), shared)
        offset = len(rows) * shared
        for group in groups:  # backwards: the padding repeats the first token, whose true place comes last
            places = torch.arange(group.tokens.numel()) + offset
            order.view(-1)[group.tokens.flatten().flip(0)] = places.flip(0)
            offset += group.tokens.numel()
        return Packed(
            ids, positions, shared, groups, order.flatten(), torch.tensor(where), torch.tensor(wanted),
            torch.tensor(weights),
        )  # fmt: skip

    def _row(
        self, turns: Sequence[Turn]
    ) -> tuple[list[int], list[int], list[tuple[int, int]], list[tuple[int, float]]]:
        """(ids, positions, (first, end) of each question, (index, weight) of each answer token)."""
        ids, places = list(self.prefix), list(range(len(self.prefix)))
        spans, answers = [], []
        for turn in turns:
            question, answer = self._encode(question_text(turn)), self._encode(f" {turn.answer}")
            answer = [*answer, self._tokenizer.eos_token_id]
            start = len(ids) + len(question)
            weights = [TELLING_WEIGHT if token in self._telling else 1.0 for token in answer]
            if turn.kind == "choice":
                weights[0] = LETTER_WEIGHT
            answers += [(start + i, weight) for i, weight in enumerate(weights)]
            spans.append((len(ids), start + len(answer)))
            ids += question + answer
            places += range(len(self.prefix), len(self.prefix) + len(question) + len(answer))
        return ids, places, spans, answers

    def _encode(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            assert self._tokenizer.unk_token_id not in self._known[text], text
        return self._known[text]


def _group(spans: Sequence[tuple[int, range]]) -> Group:
    longest = max(len(span) for _, span in spans)
    padded = [[*span, *[span[0]] * (longest - len(span))] for _, span in spans]
    return Group(torch.tensor(padded), torch.tensor([index for index, _ in spans]))
