"""Maps of gradients over the image tokens, from one forward and one backward pass over a single prompt.

Shapes: `P` tokens of the prompt, `N` image tokens, `D` width, `H` heads, `V` vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pixfound.errors import UserError
from pixfound.models.attention.prefix_sharing import runs_capture
from pixfound.models.attention.recorder import AttentionLeaf, whole_passes
from pixfound.types import FloatArray


def gradient_attention(model: Any, inputs: Mapping[str, Any], columns: Tensor, layer: int) -> FloatArray:
    """(N,) the last token's attention times the positive part of its gradient, mean over the heads of a layer.

    The gradient is that of the logarithm of the most probable next token's probability ("grad-att" of ViCrop, arXiv
    2502.17422). Attention before the last token does not change it, so only the layers after `layer` are
    differentiated, for the last token alone.
    inputs: of one prompt. columns: (N) positions of its image tokens. UserError where attention is not captured.
    """
    if not runs_capture(model):
        raise UserError(
            f"model.path={model.name_or_path}: the attention of {type(model).__name__} cannot be captured, so it has "
            "no gradient either; use extraction=entropy_gradient"
        )
    leaf = AttentionLeaf(layer)
    with torch.enable_grad(), leaf.active():
        logits = _last_logits(model, inputs)
        (gradient,) = torch.autograd.grad(logits.log_softmax(-1).max(), leaf.weights())
    weights = leaf.weights().detach() * gradient.relu()  # (1, H, 1, K)
    shift = inputs["input_ids"].shape[1] - weights.shape[-1]  # a sliding window keeps only the last keys
    local = columns.to(weights.device) - shift
    values = weights[0, :, 0].mean(dim=0)[local.clamp(min=0)] * (local >= 0)
    return _finite(values)


def entropy_gradient(model: Any, inputs: Mapping[str, Any], columns: Tensor) -> FloatArray:
    """(N,) L2 norms of the gradient of the next token's entropy, in nats, at the embeddings of the image (2604.08456).

    No attention is read, so that every decoder that is given embeddings serves. inputs, columns: as above.
    """
    leaves: list[Tensor] = []

    def replace(module: Any, arguments: Any, keywords: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        leaves.append(keywords["inputs_embeds"].detach().requires_grad_())
        return arguments, {**keywords, "inputs_embeds": leaves[-1]}

    hook = model.get_decoder().register_forward_pre_hook(replace, with_kwargs=True)
    try:
        with torch.enable_grad():
            logs = _last_logits(model, inputs).log_softmax(-1)
            entropy = -(logs.exp() * logs).nan_to_num(0.0).sum()  # a forbidden token has probability 0
            (gradient,) = torch.autograd.grad(entropy, leaves)
    finally:
        hook.remove()
    return _finite(gradient[0][columns.to(gradient.device)].float().norm(dim=-1))


def _last_logits(model: Any, inputs: Mapping[str, Any]) -> Tensor:
    """(V) logits in fp32 after the last token of one prompt, for a backward pass without gradients of the weights."""
    model.requires_grad_(False)
    logits: Tensor = model(**inputs, **whole_passes(model), use_cache=False).logits
    return logits[0, -1].float()


def _finite(values: Tensor) -> FloatArray:
    if not bool(values.isfinite().all()):
        raise FloatingPointError("the gradient is not finite")
    found: FloatArray = values.float().cpu().numpy()
    return found
