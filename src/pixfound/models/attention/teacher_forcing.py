"""Teacher forcing: answers whose text, or its beginning, is given; attention of whole answers takes one pass.

Shapes: `B` batch, `P` padded prompt length, `T` tokens of an answer, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from pixfound.models.attention.hidden_states import HiddenStates
from pixfound.models.attention.prefix_sharing import Prompts, continue_from
from pixfound.models.attention.recorder import Recorder
from pixfound.types import FloatArray


def answer_ids(tokenizer: Any, prompt_ids: Tensor, text: str, **options: Any) -> list[int]:
    """Token ids of `text` as a model would write it after a prompt (P), and the end token.

    options: of the tokenizer; `split_special_tokens=True` reads what looks like a special token as plain text.
    """
    glue = _glue(tokenizer, prompt_ids)
    ids = list(tokenizer(glue + text, add_special_tokens=False, **options)["input_ids"])
    return [*ids, tokenizer.eos_token_id]


def answer_spans(tokenizer: Any, prompt_ids: Tensor, text: str) -> tuple[tuple[int, int], ...]:
    """Character spans in `text` of its tokens after a prompt (P), read as plain text, and of the end token.

    For tokenizers that do not give back each text as it was. ValueError for one without offsets (a slow tokenizer).
    """
    glue = _glue(tokenizer, prompt_ids)
    options = {"add_special_tokens": False, "split_special_tokens": True, "return_offsets_mapping": True}
    try:
        offsets = tokenizer(glue + text, **options)["offset_mapping"]
    except NotImplementedError as error:
        raise ValueError(f"the tokenizer writes {text!r} in another way, and gives no offsets") from error
    spans = [(max(0, start - len(glue)), max(0, end - len(glue))) for start, end in offsets]
    return (*spans, (len(text), len(text)))


def _glue(tokenizer: Any, prompt_ids: Tensor) -> str:
    """The space between a prompt (P) and an answer, where one is needed."""
    before = tokenizer.decode(prompt_ids[-1:])
    return "" if before[-1:].isspace() or int(prompt_ids[-1]) in tokenizer.all_special_ids else " "


def begin_answers(inputs: Mapping[str, Any], prefixes: Sequence[Sequence[int]], pad: int) -> dict[str, Any]:
    """Left-padded inputs with the first answer tokens appended: (B, P) -> (B, P + longest of `prefixes`).

    prefixes: (B) token ids each; pad: id of the padding token. Inputs of other shapes than the ids are left alone.
    """
    ids, longest = inputs["input_ids"], max(len(prefix) for prefix in prefixes)
    padding, appended = {"input_ids": pad}, {"attention_mask": 1}
    extended = dict(inputs)
    for name, value in inputs.items():
        if value.shape != ids.shape:
            continue
        extended[name] = value.new_full((len(ids), ids.shape[1] + longest), padding.get(name, 0))
        for row, before, tokens in zip(extended[name], value, prefixes, strict=True):
            after = list(tokens) if name == "input_ids" else [appended.get(name, 0)] * len(tokens)
            row[longest - len(after) :] = torch.cat([before, before.new_tensor(after)])
    return extended


def forced_rows(
    model: Any,
    prompts: Prompts,
    recorder: Recorder | None,
    answers: Sequence[Sequence[int]],
    states: HiddenStates | None = None,
) -> list[FloatArray]:
    """Attention (1 + T, N) of each answer: the row of the penultimate prompt token, then a row per answer token.

    The rows equal those recorded while decoding, and there are none without a recorder. One pass reads the prompts, and
    one all answer tokens. Both are steps of `generate`, so positions and masks are prepared as in generation.
    states: collects hidden states of both passes; None for none.
    """
    with _recording(recorder, states):
        prefill = continue_from(model, prompts.inputs)
    inputs = {**prompts.inputs, "past_key_values": prefill.past_key_values}
    return forced_rows_after(model, inputs, recorder, answers, states)


def forced_rows_after(
    model: Any,
    inputs: Mapping[str, Any],
    recorder: Recorder | None,
    answers: Sequence[Sequence[int]],
    states: HiddenStates | None = None,
) -> list[FloatArray]:
    """The same, where the prompts have been read: `recorder` has their rows, and a cache among `inputs` their keys."""
    longest = max(len(ids) for ids in answers)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    with _recording(recorder, states):
        if longest > 1:
            # Shorter answers are padded on the right with their prompt's last token; no token attends to later ones.
            forced = ids[:, -1:].repeat(1, longest - 1)
            for i, answer in enumerate(answers):
                forced[i, : len(answer) - 1] = torch.tensor(list(answer[:-1]), dtype=forced.dtype)
            if recorder is not None:
                recorder.rows = torch.arange(1 - longest, 0, device=ids.device).expand(len(ids), -1)
                recorder.every_row = True
            further = {
                "input_ids": torch.cat([ids, forced], dim=1),
                "attention_mask": torch.cat([mask, torch.ones_like(forced)], dim=1),
            }
            continue_from(model, {**further, "past_key_values": inputs["past_key_values"]})
    if states is not None:
        states.end_round(range(len(ids)), longest)
    if recorder is None:
        return []
    rows = recorder.gathered(1 + longest, model).cpu().numpy()
    return [rows[i, : 1 + len(ids)] for i, ids in enumerate(answers)]


@contextmanager
def _recording(*recorders: Recorder | HiddenStates | None) -> Iterator[None]:
    """Record every forward pass inside the `with` block by each of these that is not None."""
    with ExitStack() as stack:
        for each in recorders:
            if each is not None:
                stack.enter_context(each.active())
        yield
