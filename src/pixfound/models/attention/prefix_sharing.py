"""One image, several prompts: the image is encoded and its tokens are prefilled once for all of them.

Shapes: `B` prompts, `U` different prefixes, `L` padded prompt length, `P` padded prefix length, `S` padded length of
what follows the prefix, `N` image columns.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pixfound.models.attention.kv_cache import can_hold, empty_cache, share
from pixfound.models.attention.recorder import NAME, as_recorded

_LEFT = 2  # tokens that each prompt keeps for itself: the rows of its last two are wanted


@dataclass(frozen=True)
class Prompts:
    """What `generate` goes on from.

    inputs: ids and masks (B, L), and either the pictures or a cache. columns: (B, N) of the image tokens among the
    ids. cached: how many of the ids the cache holds.
    """

    inputs: dict[str, Any]
    columns: Tensor
    cached: int = 0


def continue_from(model: Any, inputs: Mapping[str, Any]) -> Any:
    """The output of one greedy step of `generate`, with the cache: positions and masks are those of generation."""
    config = greedy(model.generation_config, max_new_tokens=1, return_dict_in_generate=True)
    with torch.inference_mode():
        return model.generate(**inputs, **as_recorded(model), generation_config=config)


def greedy(config: Any, **settings: Any) -> Any:
    """A copy of a generation config that takes the likeliest token, unless the settings say otherwise."""
    config = copy.deepcopy(config)
    config.update(**{"do_sample": False, **settings})
    if not config.do_sample:  # a checkpoint's sampling settings mean nothing to a greedy search, and warn
        config.temperature = config.top_p = config.top_k = None
    return config


def prefill_shared(model: Any, inputs: Mapping[str, Any], columns: Tensor, images: Sequence[Any], room: int) -> Prompts:
    """Prefill what prompts about the same image have in common: the image, and the text around it that is the same.

    inputs: of a left-padded batch (B, L). columns: (B, N), -1 where there are fewer. images: (B) a key each.
    room: tokens that are still to be generated. The prompts as they were where nothing is shared, or where the model
    lets the image see the text behind it, or counts padding. The result's ids are (B, P + S), padded on the left of the
    prefix and again on the left of what follows.
    """
    ids = inputs["input_ids"]
    starts = inputs["attention_mask"].argmax(dim=1).tolist()
    after_image = (columns.max(dim=1).values + 1).tolist()
    groups, firsts = _groups(ids, starts, after_image, images)
    as_they_were = Prompts(dict(inputs), columns)
    unshared = replace(as_they_were, inputs={**inputs, "past_key_values": empty_cache(model, room)})
    if not runs_capture(model) or not can_hold(model, ids.shape[1] + room):
        return as_they_were
    if len(firsts) == len(ids) or max(after_image) + _LEFT > ids.shape[1] or not leaves_padding_out(model, inputs):
        return unshared
    ends = _ends(ids, starts, groups)
    length = max(end - start for start, end in zip(starts, ends, strict=True))
    rest = ids.shape[1] - min(ends)
    if not _splits(inputs, columns, ends) or not can_hold(model, length + rest + room):
        return unshared
    per_token = {name: value for name, value in inputs.items() if value.shape == ids.shape}
    heads = {
        name: _left_pad([row[a:b] for row, a, b in zip(v, starts, ends, strict=True)], length, _fill(model, name))
        for name, v in per_token.items()
    }
    tokens = (columns >= 0).sum(dim=1).tolist()
    pictures = {name: _pictures(value, tokens, firsts) for name, value in inputs.items() if name not in per_token}
    if any(value is None for value in pictures.values()):
        return unshared
    once = {**{name: value[firsts] for name, value in heads.items()}, **pictures}
    once["past_key_values"] = empty_cache(model, 0)
    cache = share(continue_from(model, once).past_key_values, groups, room)
    keep_positions(model, groups)
    whole: dict[str, Any] = {"past_key_values": cache}
    for name in ("input_ids", "attention_mask"):
        tails = [row[end:] for row, end in zip(inputs[name], ends, strict=True)]
        whole[name] = torch.cat([heads[name], _left_pad(tails, rest, _fill(model, name))], dim=1)
    shift = torch.tensor([length - end for end in ends], device=ids.device)[:, None]
    return Prompts(whole, torch.where(columns >= 0, columns + shift, columns), length)


def _splits(inputs: Mapping[str, Any], columns: Tensor, ends: Sequence[int]) -> bool:
    """Whether the prefix does not depend on what follows.

    Token types say who sees whom: where they mark the image alone it sees itself in both directions, and all of it is
    in the prefix; where they do not mark it, the whole prompt may see itself (PaliGemma).
    """
    ids = inputs["input_ids"]
    for name, value in inputs.items():
        if name in ("input_ids", "attention_mask") or value.shape != ids.shape:
            continue
        marked = value.gather(1, columns.clamp(min=0)) != 0
        behind = any(bool(row[end:].any()) for row, end in zip(value, ends, strict=True))
        if behind or not bool((marked | (columns < 0)).all()):
            return False
    return True


def leaves_padding_out(model: Any, inputs: Mapping[str, Any]) -> bool:
    """Whether a token's position counts the tokens before it, and not the padding, which shared prompts have inside.

    Some models drop the positions that `generate` made of the mask (EXAONE 4.5), and count all there is.
    """
    told = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    positions = torch.zeros_like(told["input_ids"])
    made = model.prepare_inputs_for_generation(**told, position_ids=positions, is_first_iteration=True)
    return made.get("position_ids") is not None


def runs_capture(model: Any) -> bool:
    """Whether the text decoder runs pixfound's own attention, which can read a `RowCache`."""
    return bool(model.config.get_text_config(decoder=True)._attn_implementation == NAME)


def keep_positions(model: Any, rows: Sequence[int]) -> None:
    """Some models remember how far positions lag behind, a number for each row: keep those of these rows."""
    if getattr(model.base_model, "rope_deltas", None) is not None:
        model.base_model.rope_deltas = model.base_model.rope_deltas[list(rows)]


def _pictures(value: Tensor, tokens: Sequence[int], firsts: Sequence[int]) -> Tensor | None:
    """The rows of the examples `firsts`; None where it is not known whose a row is.

    A row is an example, or all are in one flat list, patches or tiles, each of which makes equally many image tokens.
    A flat list of whole numbers may be of places in another one (Molmo2), which would not be the same in a part of it.
    """
    if len(value) == len(tokens):
        return value[firsts]
    if not value.is_floating_point():
        return None
    whole = sum(tokens)
    counts = [count * len(value) // whole for count in tokens]
    if any(count * len(value) % whole for count in tokens):
        return None
    ends = torch.tensor(counts).cumsum(0).tolist()
    return torch.cat([value[ends[i] - counts[i] : ends[i]] for i in firsts])


def _fill(model: Any, name: str) -> int:
    return int(model.generation_config.pad_token_id or 0) if name == "input_ids" else 0


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


def _ends(ids: Tensor, starts: Sequence[int], groups: Sequence[int]) -> list[int]:
    """Where each prompt goes on alone: after what all of its group begin with, `_LEFT` tokens or more from its end."""
    texts = [row[start:].tolist() for row, start in zip(ids, starts, strict=True)]
    shared: dict[int, int] = {}
    for group in set(groups):
        members = [text for text, g in zip(texts, groups, strict=True) if g == group]
        common = next(
            (i for i, tokens in enumerate(zip(*members, strict=False)) if len(set(tokens)) > 1), len(members[0])
        )
        shared[group] = min(common, min(len(text) for text in members) - _LEFT)
    return [start + shared[group] for start, group in zip(starts, groups, strict=True)]


def _left_pad(rows: Sequence[Tensor], length: int, fill: int) -> Tensor:
    """(B, length) of rows of at most `length`."""
    padded = rows[0].new_full((len(rows), length), fill)
    for i, row in enumerate(rows):
        padded[i, length - len(row) :] = row
    return padded
