"""The generation loop of a batch; finished rows are dropped, so that the others are not slowed down by them.

Shapes: `B` rows, `L` prompt length, `T` generated tokens, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from pixfound.compute.numerics import FiniteLogits
from pixfound.models.attention.hidden_states import HiddenStates
from pixfound.models.attention.kv_cache import RowCache
from pixfound.models.attention.prefix_sharing import Prompts, greedy, keep_positions
from pixfound.models.attention.recorder import Recorder, as_recorded
from pixfound.models.attention.teacher_forcing import forced_rows_after
from pixfound.types import FloatArray

_SHARE = 0.25  # of the rows must have ended before a batch is made smaller: that copies the other rows' KV cache


def decode(
    model: Any,
    prompts: Prompts,
    config: Any,
    recorder: Callable[[Tensor, int], Recorder] | None = None,
    forced: bool = False,
    states: HiddenStates | None = None,
) -> tuple[list[list[int]], list[FloatArray]]:
    """Decode a batch; return per answer its token ids, end token included, and its attention (1 + T, N).

    The first row of the attention is that of the penultimate prompt token.
    config: a GenerationConfig with `max_new_tokens`.
    recorder: makes a Recorder from the positions of the image tokens (B, N) and the number of cached tokens. None
        records nothing, and the list of attentions is empty.
    forced: read the attention of whole answers in one pass behind the prompts' cache, a `RowCache`, not step by step.
    states: collects hidden states of the prompts and the answers; None for none.
    FloatingPointError where logits are not finite.
    """
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    stop = {end for end in ends if end is not None}
    count = len(prompts.inputs["input_ids"])
    answers: list[list[int]] = [[] for _ in range(count)]
    parts: list[list[Tensor]] = [[] for _ in range(count)]
    alive, inputs, columns, cached = list(range(count)), prompts.inputs, prompts.columns, prompts.cached
    may_leave = isinstance(inputs.get("past_key_values"), RowCache)
    read_prompts: _ReadPrompts | None = None
    while alive:
        used = recorder(columns, cached) if recorder is not None and read_prompts is None else None
        if used is not None:
            used.prompt_only = forced
        generated, finite = len(answers[alive[0]]), FiniteLogits()
        active = [each.active() for each in (used, states) if each is not None]
        with torch.inference_mode(), finite.watching(model), ExitStack() as stack:
            for context in active:
                stack.enter_context(context)
            out = model.generate(
                **inputs,
                **as_recorded(model),
                generation_config=_remaining(config, generated),
                stopping_criteria=StoppingCriteriaList([_Leave(stop)] if may_leave else []),
            )
        length = inputs["input_ids"].shape[1]
        steps = out.sequences.shape[1] - length
        if states is not None:
            states.end_round(alive, steps)
        if forced and used is not None:
            read_prompts = _ReadPrompts.of(model, inputs, cached, used)
            used = None
        rows = used.gathered(steps + (generated == 0), model).cpu() if used is not None else None
        going_on, lengths = [], []
        for place, (row, ids) in enumerate(zip(alive, out.sequences[:, length:].tolist(), strict=True)):
            ended = next((i + 1 for i, token in enumerate(ids) if token in stop), None)
            answers[row] += ids[:ended]
            lengths.append(len(ids[:ended]))
            if rows is not None:
                parts[row].append(rows[place, : len(ids[:ended]) + (generated == 0)])
            if may_leave and ended is None and len(answers[row]) < config.max_new_tokens:
                going_on.append(place)
        finite.check(lengths, model.dtype)
        alive = [alive[place] for place in going_on]
        if alive:
            inputs, columns, cached = _without_the_others(model, inputs, out, columns, going_on)
    if read_prompts is not None:
        return answers, read_prompts.rows(model, answers)
    return answers, [torch.cat(part).numpy() for part in parts] if recorder is not None else []


@dataclass(frozen=True)
class _ReadPrompts:
    """A batch whose prompts have been read. inputs: arguments of `generate`, with a cache of the prompts alone.

    recorder: has recorded the prompts' rows. deltas: the position offsets that some models store per row.
    """

    inputs: dict[str, Any]
    recorder: Recorder
    deltas: Any

    @classmethod
    def of(cls, model: Any, inputs: dict[str, Any], cached: int, recorder: Recorder) -> _ReadPrompts:
        """Made of the arguments that the prompts were read with, before any row is dropped."""
        cache = inputs["past_key_values"].beginning(inputs["input_ids"].shape[1] - cached)
        recorder.prompt_only = False
        return cls({**inputs, "past_key_values": cache}, recorder, getattr(model.base_model, "rope_deltas", None))

    def rows(self, model: Any, answers: list[list[int]]) -> list[FloatArray]:
        """(1 + T, N) of each answer."""
        if self.deltas is not None:
            model.base_model.rope_deltas = self.deltas
        return forced_rows_after(model, self.inputs, self.recorder, answers)


def _without_the_others(
    model: Any, inputs: dict[str, Any], out: Any, columns: Tensor, rows: list[int]
) -> tuple[dict[str, Any], Tensor, int]:
    """Arguments of `generate` for these rows alone, their image token positions, and the number of cached tokens."""
    keep = torch.tensor(rows, device=columns.device)
    out.past_key_values.batch_select_indices(keep)
    keep_positions(model, rows)
    ids, mask = out.sequences[keep], inputs["attention_mask"][keep]
    new = mask.new_ones((len(rows), ids.shape[1] - mask.shape[1]))
    going_on = {
        "input_ids": ids,
        "attention_mask": torch.cat([mask, new], dim=1),
        "past_key_values": out.past_key_values,
    }
    return going_on, columns[keep], ids.shape[1] - 1


def _remaining(config: Any, generated: int) -> Any:
    """The GenerationConfig for the rest of an answer. generated: number of tokens so far."""
    least = max(0, (config.min_new_tokens or 0) - generated)
    return greedy(
        config,
        do_sample=config.do_sample,
        max_new_tokens=config.max_new_tokens - generated,
        min_new_tokens=least or None,
        return_dict_in_generate=True,
    )


class _Leave(StoppingCriteria):  # type: ignore[misc]
    """Stopping criterion that is met once a share of `_SHARE` of the rows have ended. stop: ids of the end tokens."""

    def __init__(self, stop: set[int]) -> None:
        self._stop, self._ended = sorted(stop), torch.tensor(False)

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """(B) bool: True for rows that have ended, and for all rows once enough of them have."""
        last = torch.isin(input_ids[:, -1], torch.tensor(self._stop, device=input_ids.device))
        self._ended = self._ended.to(last.device) | last
        return self._ended | (self._ended.float().mean() >= _SHARE)
