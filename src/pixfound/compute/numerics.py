"""Numbers that half precision cannot hold: what comes of them is a failure with its reason, never an answer or a mask.

Shapes: `B` rows, `V` tokens of the vocabulary, `T` generated tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


def check_finite(values: Tensor, what: str) -> None:
    """FloatingPointError where any of the values is infinite or no number. what: their name, in the plural."""
    if not bool(values.isfinite().all()):
        raise FloatingPointError(f"{what} are not finite")


class FiniteLogits:
    """Notes for every token whether the logits that it was chosen from are numbers, and is asked about it at the end.

    The notes stay on the device until then, so that no step waits for it. -inf is what forbids a token; where it is the
    largest of all, none is left. Logits that are none become zeros: to sample from them would end the process on a GPU.
    """

    def __init__(self) -> None:
        self._steps: list[Tensor] = []  # (B) each

    @contextmanager
    def watching(self, model: Any) -> Iterator[None]:
        """Note what the model's last layer gives meanwhile: not every `generate` takes a processor of logits."""
        hook = model.get_output_embeddings().register_forward_hook(lambda head, given, out: self._note(out[:, -1]))
        try:
            yield
        finally:
            hook.remove()

    def _note(self, logits: Tensor) -> None:
        sound = logits.amax(dim=-1).isfinite()  # the largest of NaN and a number is NaN
        self._steps.append(sound)
        logits.masked_fill_(~sound[:, None], 0.0)

    def check(self, lengths: Sequence[int], dtype: torch.dtype) -> None:
        """FloatingPointError where one of the answers was chosen from logits that are no numbers.

        lengths: of the answers in tokens, as padding may be written behind them. Of a beam search all steps of all
        beams count. dtype: the model's.
        """
        steps = torch.stack(self._steps).cpu()  # (T, B or B x beams)
        beams = steps.shape[1] // len(lengths)
        for row, length in zip(steps.view(len(steps), len(lengths), beams).unbind(1), lengths, strict=True):
            if not (row[:length] if beams == 1 else row).all():
                raise FloatingPointError(f"the logits are not finite in {str(dtype).removeprefix('torch.')}")
