"""A transformers model and its processor, loaded at first use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from PIL import Image

from pixfound.checkpoints import locating
from pixfound.checkpoints.device_map import DeviceMap, check_device_map, input_device
from pixfound.checkpoints.loading import check_served, load_config, load_model
from pixfound.checkpoints.processors import load_processor
from pixfound.compute.devices import check_dtype, device_name, pick_device
from pixfound.errors import UserError
from pixfound.interfaces import TextVectors
from pixfound.models.attention.support import can_capture, check_capture, check_capture_early
from pixfound.models.chat_template import read_template
from pixfound.models.embeddings import InputEmbeddings
from pixfound.models.geometry.batch_encoder import Encoder, ImageLayout, Request
from pixfound.types import Prompt, Tile

Capture = Literal["step", "forced", "none"]


@dataclass(eq=False)
class TransformersModel:
    """A model loaded with AutoModelForImageTextToText.

    path: hub id, local folder or `embedded:NAME`. revision: of the hub id. dtype: a torch dtype's name or auto.
    device: auto, cpu, cuda or cuda:N. device_map: `auto` spreads a model too large for one GPU over all GPUs; a map of
        modules to devices places them so. For a single process. system: a system message, or None.
    capture: `step` records an attention row at every decoding step; `forced` generates without capture, and reads all
        rows in one teacher-forced pass afterwards. Both give the same rows. `none` records nothing.
    image_layout: `native` leaves the image to the model's processor; `pad` makes it a square first, with bars of the
        processor's mean colour, as LLaVA-1.5's own code and arXiv 2502.04192 do.
    trust_remote_code: True runs Python files that come with the weights; never unless it is typed.
    chat_template: None for the model's own; a file with a Jinja template, or its text; `none` for prompts of bare text.
    """

    path: str
    revision: str | None = None
    dtype: str = "auto"
    device: str = "auto"
    device_map: DeviceMap = None
    system: str | None = None
    capture: Capture = "step"
    image_layout: ImageLayout = "native"
    trust_remote_code: bool = False
    chat_template: str | None = None

    version: ClassVar[int] = 2  # 2: attention sinks are honoured
    # `identity` has the last two: the flag of remote code, and the text of the template
    runtime_options: ClassVar[tuple[str, ...]] = ("device_map", "trust_remote_code", "chat_template")

    def __post_init__(self) -> None:
        if self.image_layout not in ("native", "pad"):
            raise UserError(f"model.image_layout={self.image_layout}: valid values are native and pad")
        if self.capture not in ("step", "forced", "none"):
            raise UserError(f"model.capture={self.capture}: valid values are step, forced and none")
        check_dtype(self.dtype, "model.dtype", auto=True)
        check_device_map(self.device_map, self.device)
        if not isinstance(self.trust_remote_code, bool):
            raise UserError(f"model.trust_remote_code={self.trust_remote_code}: valid values are true and false")
        self._template = read_template(self.chat_template)

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights, and options that change the prompt or the code; part of the fingerprint."""
        return {
            **locating.identity(self.path, self.revision, "model.path"),
            **({"trust_remote_code": True} if self.trust_remote_code else {}),
            **({} if self._template is None else {"chat_template": self._template}),
        }

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype, the origin of the weights, and `trust_remote_code` where it is set."""
        return {
            "device": device_name(self.device) if self.device_map is None else self.device_map,
            "dtype": self.dtype,
            **locating.origin(self.path, self.revision),
            **({"trust_remote_code": True} if self.trust_remote_code else {}),
        }

    @property
    def captures(self) -> bool:
        """True where generations carry attention; UserError where it is requested and cannot be captured."""
        if self.capture != "none":
            check_capture_early(locating.locate(self.path, "model.path"), self.path)
        return self.capture != "none"

    def cautions(self) -> list[str]:
        """Warnings about its answers, one line each; read from the processor, without the weights."""
        if self._encoder.template is not None:
            return []
        return [f"model.path={self.path}: is asked without a chat template: its prompts are the image and bare text"]

    def vectors(self) -> TextVectors:
        """The input embeddings, read without loading the model."""
        return InputEmbeddings(self._folder, self.tokenizer)

    def encode(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Model inputs of a batch, left-padded, on the model's device and in its dtype."""
        model = self._model
        device = input_device(model)
        inputs = {name: value.to(device) for name, value in self._encoder.encode(requests).items()}
        return {name: v.to(model.dtype) if v.is_floating_point() else v for name, v in inputs.items()}

    def tiles(self, image: Image.Image) -> tuple[Tile, ...]:
        """Tiles of the model's image tokens, in pixels of the image; without loading or running the model."""
        inputs = self._encoder.encode([(image, Prompt("", "open", "", "?"))])
        count = int((inputs["input_ids"] == self._config.image_token_id).sum())
        return self._encoder.tiles(inputs, 0, count, image)

    def commit(self) -> str | None:
        """The hub's commit hash of the weights, to pin as `revision`; None for a local folder."""
        folder = Path(self._folder)
        return folder.name if folder.parent.name == "snapshots" else None

    def check_asked(self, config: Any) -> None:
        """UserError where options of a subclass do not fit the model's config. config: transformers'."""

    def speak_with(self, model: Any, processor: Any) -> None:
        """Use this transformers model and processor from now on, instead of loading those at `path`."""
        from pixfound.models.attention.recorder import NAME

        self.check_asked(model.config)
        if can_capture(model.config):
            model.set_attn_implementation({"text_config": NAME})
        processor.tokenizer.padding_side = "left"
        model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
        self._config, self._model = model.config, model
        self._encoder = Encoder(processor, model.config, self.path, self.system, self.image_layout, self._template)

    def loaded(self) -> Any:
        """The transformers model, on its device."""
        return self._model

    @cached_property
    def _folder(self) -> str:
        return locating.fetch(self.path, self.revision, "model.path", code=self.trust_remote_code)

    @cached_property
    def _description(self) -> str:
        """Folder of all files but the weights, so that errors of a model are raised before these are downloaded."""
        return locating.fetch(self.path, self.revision, "model.path", tensors=False, code=self.trust_remote_code)

    @cached_property
    def _config(self) -> Any:
        config = load_config(self._description, self.path, self.trust_remote_code)
        if self.captures:
            check_capture(config, self.path)
        check_served(config, self.path)
        self.check_asked(config)
        return config

    @cached_property
    def _encoder(self) -> Encoder:
        config = self._config
        processor = load_processor(self._description, self.path, code=self.trust_remote_code)
        return Encoder(processor, config, self.path, self.system, self.image_layout, self._template)

    @property
    def processor(self) -> Any:
        """The model's processor, without loading the model."""
        return self._encoder.processor

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer, without loading the model."""
        return self._encoder.tokenizer

    @cached_property
    def _model(self) -> Any:
        _ = self._encoder  # its errors are raised before the weights are downloaded
        from pixfound.models.attention.recorder import NAME

        # Without capture too: this attention is needed to share prefixes, and to drop rows that have ended.
        attention = NAME if can_capture(self._config) else None
        device = pick_device(self.device)
        model = load_model(
            self._folder,
            self.path,
            self.dtype,
            device,
            attention,
            required=self.captures,
            device_map=self.device_map,
            code=self.trust_remote_code,
        )
        model.generation_config.pad_token_id = self.tokenizer.pad_token_id
        return model
