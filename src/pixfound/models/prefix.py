"""One image, several prompts: the image is encoded and its tokens are prefilled once for all of them.

Shapes: `B` prompts, `U` different prefixes, `L` padded prompt length, `P` padded prefix length, `S` padded length of
what follows the prefix, `N` image columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prefilled:
    """Inputs of `generate` that go on from a cache.

    inputs: (B, P + S) ids and masks, padded on the left of the prefix and again on the left of what follows, and the
    cache. columns: (B, N) of the image tokens in them. length: P.
    """

    inputs: dict[str, Any]
    columns: Tensor
    length: int


def prefill_shared(model: Any, inputs: Mapping[str, Any], columns: Tensor, images: Sequence[Any]) -> Prefilled | None:
    """Prefill what prompts about the same image have in common: everything up to the last image token.

    inputs: of a left-padded batch (B, L). columns: (B, N), -1 where there are fewer. images: (B) a key each.
    None where nothing is shared, or where the model's positions or inputs cannot be split this way.
    """
    ids = inputs["input_ids"]
    starts = inputs["attention_mask"].argmax(dim=1).tolist()
    ends = (columns.max(dim=1).values + 1).tolist()
    groups, firsts = _groups(ids, starts, ends, images)
    per_image = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}
    if len(firsts) == len(ids) or max(ends) + 2 > ids.shape[1]:
        return None
    if hasattr(model.base_model, "rope_deltas"):  # positions that depend on the picture's grid: state beside the cache
        return None
    if any(len(value) != len(ids) or value.shape[:2] == ids.shape for value in per_image.values()):
        return None  # pictures in one flat list, or token types, which decide who sees whom inside the prefix
    length = max(end - start for start, end in zip(starts, ends, strict=True))
    rest = ids.shape[1] - min(ends)
    prefix, whole = {}, {}
    for name, fill in (("input_ids", int(model.generation_config.pad_token_id or 0)), ("attention_mask", 0)):
        heads = [row[start:end] for row, start, end in zip(inputs[name], starts, ends, strict=True)]
        tails = [row[end:] for row, end in zip(inputs[name], ends, strict=True)]
        padded = _left_pad(heads, length, fill)
        prefix[name] = padded[firsts]
        whole[name] = torch.cat([padded, _left_pad(tails, rest, fill)], dim=1)
    positions = (prefix["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    images_once = {name: value[firsts] for name, value in per_image.items()}
    with torch.inference_mode():
        cache = model(**prefix, **images_once, position_ids=positions, use_cache=True, logits_to_keep=1).past_key_values
    cache.batch_select_indices(torch.tensor(groups, device=ids.device))
    shift = torch.tensor([length - end for end in ends], device=ids.device)[:, None]
    return Prefilled({**whole, "past_key_values": cache}, torch.where(columns >= 0, columns + shift, columns), length)


def _groups(
    ids: Tensor, starts: Sequence[int], ends: Sequence[int], images: Sequence[Any]
) -> tuple[list[int], list[int]]:
    """For each prompt the number of its group, and for each group its first prompt."""
    known: dict[Any, int] = {}
    groups: list[int] = []
    firsts: list[int] = []
    for i, image in enumerate(images):
        key = (image, tuple(ids[i, starts[i] : ends[i]].tolist()))
        if key not in known:
            known[key] = len(firsts)
            firsts.append(i)
        groups.append(known[key])
    return groups, firsts


def _left_pad(rows: Sequence[Tensor], length: int, fill: int) -> Tensor:
    """(B, length) of rows of at most `length`."""
    padded = rows[0].new_full((len(rows), length), fill)
    for i, row in enumerate(rows):
        padded[i, length - len(row) :] = row
    return padded
