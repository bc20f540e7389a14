"""The optimiser of every stage: Muon for inner matrices, AdamW for the rest, one schedule for both."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


class Optimiser:
    """Muon on the 2-D weights of linear layers and AdamW on embeddings, convolutions, norms and biases.

    steps: length of the run. flat: share of it at the full rate, before the linear decay to zero. clip: largest
    norm of the gradient. Warms up over the first 30 steps.
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        steps: int,
        matrix_lr: float = 0.01,
        other_lr: float = 2e-3,
        flat: float = 0.4,
        clip: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.98),
    ) -> None:
        matrices, others = split(modules)
        self._parameters = matrices + others
        self._optimisers = [
            torch.optim.Muon(matrices, lr=matrix_lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=other_lr, weight_decay=0.0, betas=betas),
        ]
        self._rates = (matrix_lr, other_lr)
        self._steps, self._flat, self._clip, self._done = steps, flat, clip, 0

    def rate(self, step: int) -> float:
        """The factor of both rates at a step."""
        warm = min(1.0, (step + 1) / 30)
        left = (self._steps - step) / max(1.0, self._steps * (1 - self._flat))
        return warm * max(0.0, min(1.0, left))

    def step(self, loss: torch.Tensor) -> None:
        """One step down the gradient of `loss`; a loss that is not finite is an error."""
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss.item()} at step {self._done}")
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        for optimiser, rate in zip(self._optimisers, self._rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * self.rate(self._done)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self._done += 1


def split(modules: Iterable[nn.Module]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(weights of linear layers, all other weights) of what is trainable; each parameter once."""
    matrices, others, seen = [], [], set()
    for module in (m for root in modules for m in root.modules()):
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen or not parameter.requires_grad:
                continue
            seen.add(id(parameter))
            inner = isinstance(module, nn.Linear) and name == "weight" and min(parameter.shape) > 1
            (matrices if inner else others).append(parameter)
    return matrices, others
