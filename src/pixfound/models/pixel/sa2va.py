"""Sa2VA (arXiv 2501.04001) and RGA3 (arXiv 2506.18825): a Qwen-VL or InternVL whose hidden state prompts SAM 2.

Both are composed of transformers' class of the MLLM and of Sam2Model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pixfound.checkpoints import conversion
from pixfound.checkpoints.weight_memory import check_memory_on_the_way
from pixfound.compute.devices import pick_device
from pixfound.errors import PromptTooLong, UserError
from pixfound.models.chat_template import check_template
from pixfound.models.geometry.batch_encoder import Request
from pixfound.models.geometry.pre_resize import ResizedFirst
from pixfound.models.pixel.sa2va_backbones import LINES
from pixfound.models.pixel.seg_model import SegModel
from pixfound.models.pixel.seg_tokens import Place, generate, seg_id
from pixfound.types import Generation

Architecture = Literal["qwen2_5_vl", "qwen3_vl", "internvl"]


@dataclass(eq=False, kw_only=True)
class Sa2VA(SegModel):
    """A published Sa2VA or RGA3 checkpoint.

    architecture: transformers' model type of the MLLM.
    pixels: least and most number of pixels of its input image; None for the checkpoint's own limits.
    first_pixels: the same for a resize before the processor's (see `geometry.pre_resize`); None for no such resize.
    place: the hidden state to decode, `before` [SEG] (RGA3) or `at` [SEG] (Sa2VA).
    final_norm: True takes that state after the decoder's final norm, False before it (Sa2VA with Qwen3-VL).
    bf16_mean: normalise SAM 2's image with mean and deviation rounded to bfloat16, as Sa2VA does.
    system: a system message, or None. The other arguments are those of `SegModel`.
    """

    architecture: Architecture
    place: Place
    bf16_mean: bool
    final_norm: bool = True
    pixels: Sequence[int] | None = None
    first_pixels: Sequence[int] | None = None
    system: str | None = None

    version = 2  # 2: a [SEG] in the prompt counts, one that ends a cut answer does not

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.architecture not in LINES:
            raise UserError(f"model.architecture={self.architecture}: valid values are {', '.join(LINES)}")
        if self.place not in ("before", "at"):
            raise UserError(f"model.place={self.place}: valid values are before and at")
        self._speaker.system = self.system  # no option of SegModel: LISA's whole prompt cannot hold one

    def generate_many(self, requests: Sequence[Request]) -> list[Generation | PromptTooLong]:
        """Generations with one mask per [SEG], in order; PromptTooLong in place of a prompt that is too long."""
        model = self._model
        token = seg_id(self._processor.tokenizer, self.path)
        prompt_too = LINES[self.architecture].prompt_too
        return generate(self._speaker, requests, model.draw, token, self.place, self.seg, self.final_norm, prompt_too)

    @cached_property
    def _published(self) -> Mapping[str, Any]:
        return dict(json.loads((Path(self._folder) / "config.json").read_text()))

    @cached_property
    def _read(self) -> tuple[Any, Any]:
        """Transformers' config of the MLLM, and its processor; UserError where it has no chat template."""
        config, processor = LINES[self.architecture].read(self._folder, self.path, self._published, self.pixels)
        check_template(processor, self.path)
        return config, processor if self.first_pixels is None else ResizedFirst(processor, self.first_pixels)

    @property
    def _processor(self) -> Any:
        return self._read[1]

    @cached_property
    def _model(self) -> Any:
        from pixfound.models.pixel.sa2va_modules import Sa2VAModules

        config, processor = self._read
        seg_id(processor.tokenizer, self.path)
        checkpoint = conversion.Checkpoint(self._folder, self.path)
        device = pick_device(self.device)
        with conversion.building(self.dtype, "model.dtype"):
            check_memory_on_the_way(self._folder, self.path, self.dtype, device)
            model = Sa2VAModules(config, self._published.get("sam_config"), self.bf16_mean)
        conversion.load_strict(model, checkpoint, LINES[self.architecture].keys)
        model = model.to(device).eval()
        model.language.generation_config.eos_token_id = processor.tokenizer.eos_token_id
        model.language.generation_config.suppress_tokens = [config.image_token_id]  # only a prompt has images
        self._speaker.speak_with(model.language, processor)
        return model
