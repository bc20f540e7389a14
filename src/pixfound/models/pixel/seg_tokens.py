"""Generation with [SEG] tokens: the answers, and the hidden states from which masks are decoded.

Shapes: `T` generated tokens, `S` [SEG] among them, `D` hidden width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from pixfound.errors import PromptTooLong, UserError
from pixfound.models.geometry.batch_encoder import Request
from pixfound.models.huggingface import HuggingFace
from pixfound.types import Generation
from pixfound.types.masks import RLE

Seg = Literal["all", "first"]
Place = Literal["before", "at"]
SEG = "[SEG]"
Draw = Callable[[Image.Image, Tensor], tuple[RLE, ...]]


def check_seg(seg: str) -> None:
    """UserError for a value of `model.seg` other than all and first."""
    if seg not in ("all", "first"):
        raise UserError(f"model.seg={seg}: valid values are all and first")


def seg_id(tokenizer: Any, path: str) -> int:
    """The id of [SEG]; UserError where the tokenizer has no such token."""
    found = tokenizer.convert_tokens_to_ids(SEG)
    if found is None or found == tokenizer.unk_token_id:
        raise UserError(f"model.path={path}: its tokenizer has no token [SEG], so it draws no masks; use model=hf")
    return int(found)


def generate(
    speaker: HuggingFace,
    requests: Sequence[Request],
    draw: Draw,
    token: int,
    place: Place,
    seg: Seg,
    final_norm: bool = True,
    prompt_too: bool = True,
) -> list[Generation | PromptTooLong]:
    """Generations with one mask per [SEG], in order; PromptTooLong in place of a prompt that is too long.

    An answer without [SEG] has no mask, on purpose. The originals search [SEG] in all ids but the last, which has no
    hidden state of its own, so an answer cut right after [SEG] has no mask for it where `place` is `at`.

    draw: image and hidden states (S, D) -> masks. token: id of [SEG].
    place: the hidden state to decode, `before` (the one that predicts [SEG]) or `at` (its own).
    seg: `all` decodes every [SEG], `first` the first alone.
    final_norm: True takes that state after the decoder's final norm, False before it.
    prompt_too: True counts a [SEG] in the prompt, as originals do that generate from ids instead of embeddings.
    """
    found: list[Generation | PromptTooLong] = []
    for request, said in zip(requests, speaker.answer_many(requests), strict=True):
        if isinstance(said, PromptTooLong):
            found.append(said)
            continue
        generation, ids = said
        known = ids if place == "before" else ids[:-1]
        where = [i for i, one in enumerate(known) if one == token]
        if prompt_too and SEG in generation.prompt:
            asked = speaker.encode([request])["input_ids"][0].tolist()
            where = [i - len(asked) for i, one in enumerate(asked) if one == token] + where
        where = where[: None if seg == "all" else 1]
        masks: tuple[RLE, ...] = ()
        if where:
            with torch.inference_mode():
                masks = draw(request[0], hidden_states(speaker, request, ids, where, place, final_norm))
        found.append(replace(generation, masks=masks))
    return found


def hidden_states(
    speaker: HuggingFace,
    request: Request,
    ids: Sequence[int],
    where: Sequence[int],
    place: Place,
    final_norm: bool = True,
) -> Tensor:
    """(S, D) hidden states of the last layer for the answer tokens at `where`, from one pass over prompt and answer.

    ids: of the answer's tokens. where: indices of [SEG] among them; negative ones count from the prompt's end (-1 is
    its last token). place, final_norm: see `generate`.
    """
    inputs = speaker.encode([request])
    prompt = inputs["input_ids"]
    told = torch.tensor([list(ids)], device=prompt.device, dtype=prompt.dtype)
    fill = {"input_ids": told, "attention_mask": torch.ones_like(told)}
    whole = {
        name: torch.cat([value, fill.get(name, torch.zeros_like(told)).to(value.dtype)], dim=1)
        if value.shape == prompt.shape
        else value
        for name, value in inputs.items()
    }
    model, before = speaker.loaded().model, []
    watch = model.language_model.norm.register_forward_pre_hook(lambda _, arguments: before.append(arguments[0]))
    try:
        after = model(**whole, use_cache=False).last_hidden_state
    finally:
        watch.remove()
    states: Tensor = (after if final_norm else before[-1])[0]
    first = prompt.shape[1] - (place == "before")
    return states[[first + i for i in where]]
