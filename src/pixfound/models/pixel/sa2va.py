"""Sa2VA (arXiv 2501.04001) and RGA3 (arXiv 2506.18825): a Qwen-VL or InternVL whose hidden state prompts SAM 2.

Both are composed of transformers' class of the MLLM and of Sam2Model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from pixfound.checkpoints import conversion
from pixfound.checkpoints.weight_memory import check_memory_on_the_way
from pixfound.compute.devices import pick_device
from pixfound.models.chat_template import check_template
from pixfound.models.geometry.pre_resize import ResizedFirst
from pixfound.models.pixel.sa2va_backbones import LINES
from pixfound.models.pixel.seg_model import SegModel
from pixfound.models.pixel.seg_tokens import Place, SegStates, seg_id

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

    version: ClassVar[int] = 2  # 2: a [SEG] in the prompt counts, one that ends a cut answer does not

    @property
    def _states(self) -> SegStates:
        return SegStates(self.place, self.final_norm, LINES[self.architecture].prompt_too)

    def _encoder_options(self) -> Mapping[str, Any]:
        return {"system": self.system}

    @cached_property
    def _config_and_processor(self) -> tuple[Any, Any]:
        """Transformers' config of the MLLM, and its processor; UserError where it has no chat template or no [SEG]."""
        line = LINES[self.architecture]
        config, processor = line.read(self._description, self.path, self._published, self.pixels)
        check_template(processor, self.path)
        seg_id(processor.tokenizer, self.path)
        return config, processor if self.first_pixels is None else ResizedFirst(processor, self.first_pixels)

    def _load_config(self) -> Any:
        return self._config_and_processor[0]

    def _load_processor(self) -> Any:
        return self._config_and_processor[1]

    def _load_modules(self) -> Any:
        from pixfound.models.pixel.sa2va_modules import Sa2VAModules

        checkpoint, device = conversion.Checkpoint(self._folder, self.path), pick_device(self.device)
        with conversion.building(self.dtype, "model.dtype"):
            check_memory_on_the_way(self._folder, self.path, self.dtype, device)
            modules = Sa2VAModules(self._config, self._published.get("sam_config"), self.bf16_mean)
        conversion.load_strict(modules, checkpoint, LINES[self.architecture].keys)
        modules = modules.to(device).eval()
        modules.language.generation_config.eos_token_id = self.tokenizer.eos_token_id
        modules.language.generation_config.suppress_tokens = [self._config.image_token_id]  # only a prompt has images
        return modules
