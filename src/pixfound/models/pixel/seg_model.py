"""The base class of LISA, GLaMM, Sa2VA and RGA3: MLLMs whose [SEG] tokens prompt a mask decoder.

Shapes: `S` decoded [SEG] tokens, `D` hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pixfound.compute.devices import AutoDtype
from pixfound.models.converted_model import ConvertedModel
from pixfound.models.decoder_model import Capture
from pixfound.models.geometry.batch_encoder import Request
from pixfound.models.pixel.seg_tokens import SEG, Seg, SegStates, hidden_states, seg_id, seg_positions
from pixfound.types import Generation


@dataclass(eq=False, kw_only=True)
class SegModel(ConvertedModel):
    """An MLLM that decodes a mask for each [SEG] it generates.

    Two parts are replaced by subclasses: `_load_modules` and `_states`.

    seg: `all` decodes a mask for every [SEG], `first` for the first alone, as the scripts of arXiv 2502.04192 do.
    The other arguments are those of `DecoderModel`.
    """

    dtype: AutoDtype = "bfloat16"
    capture: Capture = "none"
    seg: Seg = "all"

    @property
    def _states(self) -> SegStates:
        """The hidden states that are decoded."""
        raise NotImplementedError

    def _load_modules(self) -> Any:
        """The loaded modules: `language` is the MLLM, `draw` maps an image and hidden states (S, D) to S masks."""
        raise NotImplementedError

    def _load_model(self) -> Any:
        return self._modules.language

    @cached_property
    def _modules(self) -> Any:
        _ = self._encoder  # its errors are raised before the weights are downloaded
        return self._load_modules()

    def _finish(self, request: Request, generation: Generation, ids: Sequence[int]) -> Generation:
        """The generation with one mask per [SEG]; an answer without [SEG] has no mask, on purpose."""
        states = self._states
        in_prompt = states.prompt_too and SEG in generation.prompt
        prompt_ids = self.encode([request])["input_ids"][0].tolist() if in_prompt else []
        positions = seg_positions(prompt_ids, ids, seg_id(self.tokenizer, self.path), states.place)
        positions = positions[: None if self.seg == "all" else 1]
        if not positions:
            return generation
        import torch

        with torch.inference_mode():
            vectors = hidden_states(self, request, ids, positions, states.place, states.final_norm)
            return replace(generation, masks=self._modules.draw(request[0], vectors))
