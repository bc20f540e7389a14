"""Checks for overflow and NaN in half precision: an example with such values fails with a reason.

Shapes: `B` rows, `V` tokens of the vocabulary, `T` generated tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


def check_finite(values: Tensor, what: str) -> None:
    """Raise FloatingPointError where any value is infinite or NaN. what: their name in the message, in the plural."""
    if not bool(values.isfinite().all()):
        raise FloatingPointError(f"{what} are not finite")


class FiniteLogits:
    """Records for every token if its logits contained NaN or overflowed; `check` reports it after generation.

    The flags stay on the device until `check`, so that no step synchronises. -inf is valid, as it forbids a token; a
    row with -inf as its maximum has no token left. Invalid logits are replaced by zeros, because sampling from them
    would abort the process on a GPU.
    """

    def __init__(self) -> None:
        self._steps: list[Tensor] = []  # (B) each

    @contextmanager
    def watching(self, model: Any) -> Iterator[None]:
        """Check the output of the model's last layer inside the `with` block.

        A hook is used because not every `generate` takes a logits processor.
        """
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
        """Raise FloatingPointError where the logits of one of the answers contained NaN or overflowed.

        lengths: of the answers in tokens, without the padding after them. In a beam search all steps of all beams
        count. dtype: the model's.
        """
        steps = torch.stack(self._steps).cpu()  # (T, B or B x beams)
        beams = steps.shape[1] // len(lengths)
        for row, length in zip(steps.view(len(steps), len(lengths), beams).unbind(1), lengths, strict=True):
            if not (row[:length] if beams == 1 else row).all():
                raise FloatingPointError(f"the logits are not finite in {str(dtype).removeprefix('torch.')}")
