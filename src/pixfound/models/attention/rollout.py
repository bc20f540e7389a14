"""Attention rollout over the layers of a decoder, as DecAF has it (arXiv 2510.19592).

Shapes: `H` heads, `P` tokens of a prompt, `N` image tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pixfound.errors import UserError
from pixfound.models.attention.decoder_layers import attending_layers
from pixfound.models.attention.prefix_sharing import runs_capture
from pixfound.models.attention.recorder import Recorder, whole_passes
from pixfound.types import FloatArray


class Rollout(Recorder):
    """The product over layers of half the attention, its heads weighed, and half the identity.

    A head's weight is the mean over all queries of its largest value at an image token, over that of the strongest
    head. Memory is that of one layer's attention. columns: (N) positions of the image tokens. first: the first layer.
    """

    def __init__(self, columns: Tensor, first: int) -> None:
        super().__init__(columns[None])
        self.first = first
        self.product: Tensor | None = None  # (P, P)

    def record(self, layer: int, queries: int, weights_of: Callable[[Tensor], Tensor]) -> None:
        """Add a layer of the pass over all tokens; see `Recorder.record`."""
        if layer >= self.first:
            self.add(weights_of(torch.arange(queries, device=self.columns.device)[None])[0])

    def add(self, attention: Tensor) -> None:
        """Add the attention (H, P, P) of a layer."""
        strength = attention[:, :, self.columns[0].to(attention.device)].amax(dim=-1).mean(dim=-1)
        weights = (strength / strength.max()).nan_to_num(0.0)
        step = torch.tensordot(weights, attention, dims=1) / (2 * len(attention))
        step.diagonal().add_(0.5)
        self.product = step if self.product is None else step @ self.product.to(step.device)


def rollout_row(model: Any, inputs: Mapping[str, Any], columns: Tensor) -> FloatArray:
    """(N,) the last token's row of the rollout over the layers from the middle on, at the image tokens.

    inputs: of one prompt. columns: (N) positions of its image tokens. UserError where attention is not captured;
    FloatingPointError where it is not finite.
    """
    if not runs_capture(model):
        raise UserError(
            f"model.path={model.name_or_path}: the attention of {type(model).__name__} cannot be captured, so it has "
            "no rollout; use extraction=entropy_gradient"
        )
    layers = attending_layers(model.config.get_text_config(decoder=True))
    rollout = Rollout(columns, layers[len(layers) // 2])
    with torch.inference_mode(), rollout.active():
        model(**inputs, **whole_passes(model), use_cache=False)
    assert rollout.product is not None
    values = rollout.product[-1, columns.to(rollout.product.device)]
    if not bool(values.isfinite().all()):
        raise FloatingPointError("the captured attention is not finite")
    found: FloatArray = values.float().cpu().numpy()
    return found
