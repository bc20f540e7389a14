"""Sa2VA (arXiv 2501.04001) and RGA3 (arXiv 2506.18825): a Qwen-VL or InternVL whose hidden state prompts SAM 2.

All are composed of transformers' own class of the MLLM and of Sam2Model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pixfound.devices import pick_device
from pixfound.errors import UserError
from pixfound.interfaces import Fit, TextVectors
from pixfound.kept import Keep
from pixfound.models import keymap
from pixfound.models.embeddings import InputEmbeddings
from pixfound.models.encoding import Request
from pixfound.models.huggingface import Capture, HuggingFace
from pixfound.models.loading import check_memory_on_the_way
from pixfound.models.resized_first import ResizedFirst
from pixfound.models.sa2va_lines import LINES
from pixfound.models.seg_tokens import Place, Seg, check_seg, generate, seg_id
from pixfound.types import Generation

Architecture = Literal["qwen2_5_vl", "qwen3_vl", "internvl"]


class Sa2VA:
    """A Sa2VA or RGA3 checkpoint as it was published.

    path, revision, dtype, device, system, capture, layers, heads, generation, keep: as in `HuggingFace`.
    architecture: transformers' model type of the MLLM. pixels: the least and the most pixels that it is shown of an
    image, or None for its own. first_pixels: the same for a resize before the processor's (see `resized_first`), or
    None for no such resize. place: whether the state `before` [SEG] (RGA3), or the one `at` it (Sa2VA) is decoded.
    final_norm: whether that state is taken after the decoder's final norm, or before it (Sa2VA with Qwen3-VL).
    bf16_mean: normalise SAM 2's image with mean and deviation rounded to bfloat16, as Sa2VA does.
    seg: `all` draws for every [SEG], `first` for the first alone.
    """

    def __init__(
        self,
        path: str,
        architecture: Architecture,
        place: Place,
        bf16_mean: bool,
        final_norm: bool = True,
        pixels: Sequence[int] | None = None,
        first_pixels: Sequence[int] | None = None,
        revision: str | None = None,
        dtype: str = "bfloat16",
        device: str = "auto",
        system: str | None = None,
        seg: Seg = "all",
        capture: Capture = "none",
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        generation: Mapping[str, Any] | None = None,
        keep: Keep = "mean",
    ) -> None:
        check_seg(seg)
        if architecture not in LINES:
            raise UserError(f"model.architecture={architecture}: valid values are {', '.join(LINES)}")
        if place not in ("before", "at"):
            raise UserError(f"model.place={place}: valid values are before and at")
        self.path, self.revision, self.dtype, self.device, self.seg = path, revision, dtype, device, seg
        self.architecture, self.place, self.bf16_mean, self.pixels = architecture, place, bf16_mean, pixels
        self.final_norm, self.first_pixels = final_norm, first_pixels
        self._speaker = HuggingFace(
            path, revision, dtype, device, system, capture, layers, heads, generation, keep=keep
        )

    def identity(self) -> Mapping[str, Any]:
        """What identifies the weights."""
        return self._speaker.identity()

    def provenance(self) -> Mapping[str, Any]:
        """The device and dtype asked for."""
        return self._speaker.provenance()

    @property
    def captures(self) -> bool:
        """Whether its generations carry attention."""
        return self._speaker.captures

    @property
    def keep(self) -> Keep:
        """What is stored of its attention beside the mean."""
        return self._speaker.keep

    def vectors(self) -> TextVectors:
        """The input embeddings."""
        return InputEmbeddings(self._folder, self._processor.tokenizer)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Answers, with a mask for every [SEG] in them."""
        model = self._model
        token = seg_id(self._processor.tokenizer, self.path)
        return generate(self._speaker, requests, model.draw, token, self.place, self.seg, self.final_norm)

    def fit(self, requests: Sequence[Request]) -> Fit:
        """How many prompts like these fit into memory together; masks are drawn one answer after the other."""
        _ = self._model
        return self._speaker.fit(requests)

    @cached_property
    def _folder(self) -> str:
        return keymap.fetch(self.path, self.revision, "model.path")

    @cached_property
    def _published(self) -> Mapping[str, Any]:
        return dict(json.loads((Path(self._folder) / "config.json").read_text()))

    @cached_property
    def _read(self) -> tuple[Any, Any]:
        """Transformers' config of the MLLM, and its processor."""
        config, processor = LINES[self.architecture].read(self._folder, self.path, self._published, self.pixels)
        return config, processor if self.first_pixels is None else ResizedFirst(processor, self.first_pixels)

    @property
    def _processor(self) -> Any:
        return self._read[1]

    @cached_property
    def _model(self) -> Any:
        from pixfound.models.sa2va_modules import Sa2VAModules

        config, processor = self._read
        seg_id(processor.tokenizer, self.path)
        checkpoint = keymap.Checkpoint(self._folder, self.path)
        device = pick_device(self.device)
        with keymap.building(self.dtype, "model.dtype"):
            check_memory_on_the_way(self._folder, self.path, self.dtype, device)
            model = Sa2VAModules(config, self._published.get("sam_config"), self.bf16_mean)
        keymap.load_strict(model, checkpoint, LINES[self.architecture].keys)
        model = model.to(device).eval()
        model.language.generation_config.eos_token_id = processor.tokenizer.eos_token_id
        model.language.generation_config.suppress_tokens = [config.image_token_id]  # only a prompt has images
        self._speaker.speak_with(model.language, processor)
        return model
