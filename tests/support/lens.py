"""The lens of an answer against `output_hidden_states=True`, the independent way to the same hidden states."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pixfound.models.decoder_model import DecoderModel
from pixfound.models.geometry.batch_encoder import Request
from pixfound.types import FloatArray
from pixfound.types.lens import Lens


def logits_of(model: Any, inputs: dict[str, Any], states: torch.Tensor) -> torch.Tensor:
    """(P, V) the logits that a model itself makes of hidden states (1, P, D), in place of those of its last layer."""
    hook = model.get_decoder().register_forward_hook(lambda _, __, out: out.__class__(last_hidden_state=states))
    with torch.inference_mode():
        logits = model(**inputs, use_cache=False).logits
    hook.remove()
    return logits[0]


def check_lens(model: DecoderModel, request: Request) -> Lens:
    """Hidden states by `output_hidden_states=True`, and the model's own logits of them, within 1e-5 of the largest."""
    ((found, ids),) = model.answer([request])
    inputs, language, lens = model.encode([request]), model.loaded(), found.lens
    with torch.inference_mode():
        out = language.generate(
            **inputs, **model.generation, output_hidden_states=True, output_logits=True,
            return_dict_in_generate=True,
        )  # fmt: skip
        states, last = out.hidden_states[0][1:-1], out.hidden_states[0][-1]
        norm = getattr(language.get_decoder(), "norm", None) or language.get_decoder().embedding_norm
        of_first, of_last = (logits_of(language, inputs, each) for each in (norm(states[0]), last))
    assert lens is not None and lens.layers == tuple(range(len(states) + 1))
    where = (inputs["input_ids"][0] == language.config.image_token_id).nonzero()[:, 0]
    classes, prompt = list(lens.classes), inputs["input_ids"][0].tolist()
    for layer, logits in ((0, of_first), (-1, of_last)):
        near(lens.logits[layer], logits[where][:, classes].T)
        near(lens.normalisers[layer], logits[where].logsumexp(dim=1))
    count = len(lens.prompt)
    start = next(i for i in range(len(prompt)) if prompt[i : i + count] == list(lens.prompt))
    near(lens.text[:count], of_last[start : start + count, classes])
    near(lens.text[count:], torch.stack(out.logits)[:, 0, classes])
    assert (lens.first, lens.last, list(lens.answer)) == (int(of_last[start].argmax()), prompt[-1], ids)
    return lens


def near(found: FloatArray, expected: torch.Tensor) -> None:
    assert found.shape == tuple(expected.shape)
    assert np.abs(found - expected.numpy()).max() < 1e-5 * (1 + float(expected.abs().max()))
