"""Prefix sharing: prompts about one image encode it, and prefill the tokens they have in common, once.

Shapes: `B` prompts, `U` different prefixes, `L` padded prompt length, `P` padded prefix length, `S` padded suffix
length, `N` image tokens.
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

_LEFT = 2  # last tokens of a prompt that are never shared: their attention rows are recorded


@dataclass(frozen=True)
class Prompts:
    """Arguments of `generate` for a batch of prompts.

    inputs: ids and masks (B, L), and either the images or a KV cache.
    columns: (B, N) positions of the image tokens among the ids, -1 where a prompt has fewer.
    cached: number of ids of each row that the cache holds.
    groups: (B) index of the shared prefix of each row; empty where nothing is shared.
    """

    inputs: dict[str, Any]
    columns: Tensor
    cached: int = 0
    groups: Sequence[int] = ()


def continue_from(model: Any, inputs: Mapping[str, Any]) -> Any:
    """Output of one greedy step of `generate`, KV cache included; `generate` prepares positions and masks."""
    config = greedy(model.generation_config, max_new_tokens=1, return_dict_in_generate=True)
    with torch.inference_mode():
        return model.generate(**inputs, **as_recorded(model), generation_config=config)


def greedy(config: Any, **settings: Any) -> Any:
    """A copy of a GenerationConfig with `settings` over it, and greedy unless they set `do_sample`."""
    config = copy.deepcopy(config)
    config.update(**{"do_sample": False, **settings})
    if not config.do_sample:  # a checkpoint's sampling settings mean nothing to a greedy search, and warn
        config.temperature = config.top_p = config.top_k = None
    return config


def prefill_shared(model: Any, inputs: Mapping[str, Any], columns: Tensor, images: Sequence[Any], room: int) -> Prompts:
    """Prefill the prefixes that prompts about the same image share: the image and the identical text around it.

    The ids of the result are (B, P + S): the prefix is left-padded to P, and the suffix is left-padded to S.
    The prompts are returned unshared where no two share a prefix, where the model lets the image attend to the text
    after it, and where padding counts as positions.
    inputs: of a left-padded batch (B, L). columns: (B, N) positions of the image tokens, -1 where there are fewer.
    images: (B) a hashable key of each image. room: number of tokens still to be generated.
    """
    ids = inputs["input_ids"]
    starts = inputs["attention_mask"].argmax(dim=1).tolist()
    after_image = (columns.max(dim=1).values + 1).tolist()
    groups, firsts = _groups(ids, starts, after_image, images)
    unchanged = Prompts(dict(inputs), columns)
    unshared = replace(unchanged, inputs={**inputs, "past_key_values": empty_cache(model, room)})
    if not runs_capture(model) or not can_hold(model, ids.shape[1] + room):
        return unchanged
    if len(firsts) == len(ids) or max(after_image) + _LEFT > ids.shape[1] or not leaves_padding_out(model, inputs):
        return unshared
    ends = _ends(ids, starts, groups)
    length = max(end - start for start, end in zip(starts, ends, strict=True))
    tail_length = ids.shape[1] - min(ends)
    if not _splits(inputs, columns, ends) or not can_hold(model, length + tail_length + room):
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
    prefix_inputs = {**{name: value[firsts] for name, value in heads.items()}, **pictures}
    prefix_inputs["past_key_values"] = empty_cache(model, 0)
    cache = share(continue_from(model, prefix_inputs).past_key_values, groups, room)
    keep_positions(model, groups)
    shared: dict[str, Any] = {"past_key_values": cache}
    for name in ("input_ids", "attention_mask"):
        tails = [row[end:] for row, end in zip(inputs[name], ends, strict=True)]
        shared[name] = torch.cat([heads[name], _left_pad(tails, tail_length, _fill(model, name))], dim=1)
    shift = torch.tensor([length - end for end in ends], device=ids.device)[:, None]
    return Prompts(shared, torch.where(columns >= 0, columns + shift, columns), length, groups)


def _splits(inputs: Mapping[str, Any], columns: Tensor, ends: Sequence[int]) -> bool:
    """Return True where the prefix does not depend on the tokens after it.

    Token types decide the attention mask. Where they mark the image tokens alone, these attend in both directions,
    and all of them are in the prefix. Where they do not, the whole prompt may attend in both directions (PaliGemma).
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
    """Return True where position ids skip padding, which prompts with a shared prefix have inside.

    Some models drop the positions that `generate` computes from the mask, and count padding too (EXAONE 4.5).
    """
    prompt = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    positions = torch.zeros_like(prompt["input_ids"])
    prepared = model.prepare_inputs_for_generation(**prompt, position_ids=positions, is_first_iteration=True)
    return prepared.get("position_ids") is not None


def runs_capture(model: Any) -> bool:
    """Return True where the text decoder runs the attention function `NAME`, which can read a `RowCache`."""
    return bool(model.config.get_text_config(decoder=True)._attn_implementation == NAME)


def keep_positions(model: Any, rows: Sequence[int]) -> None:
    """Select `rows` of the position offsets that some models store per row (`rope_deltas`)."""
    if getattr(model.base_model, "rope_deltas", None) is not None:
        model.base_model.rope_deltas = model.base_model.rope_deltas[list(rows)]


def _pictures(value: Tensor, tokens: Sequence[int], firsts: Sequence[int]) -> Tensor | None:
    """The rows of a processor output that belong to the examples `firsts`; None where their owners are unknown.

    Either each example has one row, or patches or tiles of all examples form one flat list, each entry of which makes
    equally many image tokens. A flat list of integers is refused: it may hold indices into another list (Molmo2),
    which change when a part is taken.
    tokens: (B) number of image tokens of each example.
    """
    if len(value) == len(tokens):
        return value[firsts]
    if not value.is_floating_point():
        return None
    total = sum(tokens)
    counts = [count * len(value) // total for count in tokens]
    if any(count * len(value) % total for count in tokens):
        return None
    ends = torch.tensor(counts).cumsum(0).tolist()
    return torch.cat([value[ends[i] - counts[i] : ends[i]] for i in firsts])


def _fill(model: Any, name: str) -> int:
    return int(model.generation_config.pad_token_id or 0) if name == "input_ids" else 0


def _groups(
    ids: Tensor, starts: Sequence[int], ends: Sequence[int], images: Sequence[Any]
) -> tuple[list[int], list[int]]:
    """The group index of each prompt (B), and the first prompt of each group (U).

    Prompts of a group have the same image and the same ids from `starts` to `ends`.
    """
    indices: dict[Any, int] = {}
    groups: list[int] = []
    firsts: list[int] = []
    for i, image in enumerate(images):
        key = (image, tuple(ids[i, starts[i] : ends[i]].tolist()))
        if key not in indices:
            indices[key] = len(firsts)
            firsts.append(i)
        groups.append(indices[key])
    return groups, firsts


def _ends(ids: Tensor, starts: Sequence[int], groups: Sequence[int]) -> list[int]:
    """(B) index of the first id after each prompt's shared prefix, at least `_LEFT` tokens before its end.

    The prefix is the longest run of ids with which all prompts of a group begin.
    """
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
    """Rows of at most `length` entries, left-padded with `fill` to (B, length)."""
    padded = rows[0].new_full((len(rows), length), fill)
    for i, row in enumerate(rows):
        padded[i, length - len(row) :] = row
    return padded
