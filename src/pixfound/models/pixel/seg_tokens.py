"""[SEG] tokens: where they are in an answer, and the hidden states from which their masks are decoded.

Shapes: `S` [SEG] tokens, `D` hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pixfound.errors import UserError
from pixfound.models.decoder_model import DecoderModel
from pixfound.models.geometry.batch_encoder import Request

if TYPE_CHECKING:
    from torch import Tensor

Seg = Literal["all", "first"]
Place = Literal["before", "at"]
SEG = "[SEG]"


@dataclass(frozen=True)
class SegStates:
    """The hidden states to decode.

    place: `before` takes the state that predicts [SEG], `at` its own.
    final_norm: True takes that state after the decoder's final norm, False before it.
    prompt_too: True counts a [SEG] in the prompt, as originals do that generate from ids instead of embeddings.
    """

    place: Place
    final_norm: bool = True
    prompt_too: bool = True


def seg_id(tokenizer: Any, path: str) -> int:
    """The id of [SEG]; UserError where the tokenizer has no such token."""
    token = tokenizer.convert_tokens_to_ids(SEG)
    if token is None or token == tokenizer.unk_token_id:
        raise UserError(f"model.path={path}: its tokenizer has no token [SEG], so it draws no masks; use model=hf")
    return int(token)


def seg_positions(prompt_ids: Sequence[int], ids: Sequence[int], token: int, place: Place) -> list[int]:
    """Indices of [SEG] among the answer's `ids`; negative ones count from the prompt's end (-1 is its last token).

    The originals search [SEG] in all ids but the last, which has no hidden state of its own, so an answer cut right
    after [SEG] has no mask for it where `place` is `at`. token: id of [SEG].
    """
    in_prompt = [i - len(prompt_ids) for i, token_id in enumerate(prompt_ids) if token_id == token]
    searched = ids if place == "before" else ids[:-1]
    return in_prompt + [i for i, token_id in enumerate(searched) if token_id == token]


def hidden_states(
    model: DecoderModel,
    request: Request,
    ids: Sequence[int],
    positions: Sequence[int],
    place: Place,
    final_norm: bool = True,
) -> Tensor:
    """(S, D) hidden states of the last layer at `positions`, from one pass over prompt and answer.

    ids: of the answer's tokens. positions: see `seg_positions`. place, final_norm: see `SegStates`.
    """
    import torch

    inputs = model.encode([request])
    prompt = inputs["input_ids"]
    answer = torch.tensor([list(ids)], device=prompt.device, dtype=prompt.dtype)
    appended = {"input_ids": answer, "attention_mask": torch.ones_like(answer)}
    full_inputs = {
        name: torch.cat([value, appended.get(name, torch.zeros_like(answer)).to(value.dtype)], dim=1)
        if value.shape == prompt.shape
        else value
        for name, value in inputs.items()
    }
    mllm, before_norm = model.loaded().model, []
    hook = mllm.language_model.norm.register_forward_pre_hook(lambda _, arguments: before_norm.append(arguments[0]))
    try:
        after_norm = mllm(**full_inputs, use_cache=False).last_hidden_state
    finally:
        hook.remove()
    last: Tensor = (after_norm if final_norm else before_norm[-1])[0]
    first = prompt.shape[1] - (place == "before")
    return last[[first + i for i in positions]]
