"""Hugging Face image-text-to-text models, loaded by transformers' auto classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pixfound.checkpoints import locating
from pixfound.checkpoints.device_map import DeviceMap, check_device_map
from pixfound.checkpoints.loading import load_config, load_model
from pixfound.checkpoints.processors import load_processor
from pixfound.compute.devices import pick_device
from pixfound.models.chat_template import read_template
from pixfound.models.decoder_model import DecoderModel
from pixfound.models.geometry.batch_encoder import ImageLayout


@dataclass(eq=False, kw_only=True)
class HuggingFace(DecoderModel):
    """A model loaded with AutoModelForImageTextToText and asked through its chat template.

    device_map: `auto` spreads a model too large for one GPU over all GPUs; a map of modules to devices places them so.
        For a single process. system: a system message, or None.
    image_layout: `native` leaves the image to the model's processor; `pad` makes it a square first, with bars of the
        processor's mean colour, as LLaVA-1.5's own code and arXiv 2502.04192 do.
    trust_remote_code: True runs Python files that come with the weights; never unless it is typed.
    chat_template: None for the model's own; a file with a Jinja template, or its text; `none` for prompts of bare text.
    The other arguments are those of `DecoderModel`.
    """

    device_map: DeviceMap = None
    system: str | None = None
    image_layout: ImageLayout = "native"
    trust_remote_code: bool = False
    chat_template: str | None = None

    # `identity` has the last two: the flag of remote code, and the text of the template
    runtime_options: ClassVar[tuple[str, ...]] = (
        *DecoderModel.runtime_options,
        "device_map",
        "trust_remote_code",
        "chat_template",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_device_map(self.device_map, self.device)
        self._template = read_template(self.chat_template)

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights, and options that change the prompt or the code; part of the fingerprint."""
        return {
            **super().identity(),
            **({"trust_remote_code": True} if self.trust_remote_code else {}),
            **({} if self._template is None else {"chat_template": self._template}),
        }

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype, the origin of the weights, and `trust_remote_code` where it is set."""
        return {
            **super().provenance(),
            **({} if self.device_map is None else {"device": self.device_map}),
            **({"trust_remote_code": True} if self.trust_remote_code else {}),
        }

    def _encoder_options(self) -> Mapping[str, Any]:
        return {"system": self.system, "image_layout": self.image_layout, "template": self._template}

    def _fetch(self, tensors: bool) -> str:
        return locating.fetch(self.path, self.revision, "model.path", tensors, code=self.trust_remote_code)

    def _load_config(self) -> Any:
        return load_config(self._description, self.path, self.trust_remote_code)

    def _load_processor(self) -> Any:
        return load_processor(self._description, self.path, code=self.trust_remote_code)

    def _load_model(self) -> Any:
        device, code = pick_device(self.device), self.trust_remote_code
        return load_model(self._folder, self.path, self.dtype, device, self.device_map, code)
