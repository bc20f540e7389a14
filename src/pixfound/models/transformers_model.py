"""The base of all adapters of transformers models: options, identity, and loading at first use.

An adapter says which parts it consists of; `TransformersModel` puts them together in a fixed order:

    _load_config      transformers' config      -> _check_config, before anything else is read
    _load_processor   the processor             -> before the weights are downloaded
    _load_model       the model, on its device
    generate          requests -> generations
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pixfound.checkpoints import locating
from pixfound.checkpoints.loading import load_config, load_model
from pixfound.checkpoints.processors import load_processor
from pixfound.compute.devices import AutoDtype, device_name, pick_device
from pixfound.errors import PromptTooLong
from pixfound.interfaces import Model, TextVectors
from pixfound.models.embeddings import InputEmbeddings
from pixfound.models.generation_options import check_generation, generation_options
from pixfound.models.geometry.batch_encoder import Request
from pixfound.types import Generation


@dataclass(eq=False)
class TransformersModel(Model):
    """A model that transformers' auto classes load; subclasses replace the parts that differ.

    path: hub id, local folder or `embedded:NAME`. revision: of the hub id. dtype: a torch dtype's name or auto.
    device: auto, cpu, cuda or cuda:N. generation: arguments of transformers' GenerationConfig; greedy by default.
    """

    path: str
    _: KW_ONLY
    revision: str | None = None
    dtype: AutoDtype = "auto"
    device: str = "auto"
    generation: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.generation = generation_options(self.generation)

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights; part of the fingerprint."""
        return locating.identity(self.path, self.revision, "model.path")

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype, and the origin of the weights."""
        return {"device": device_name(self.device), "dtype": self.dtype, **locating.origin(self.path, self.revision)}

    def generate(self, requests: Sequence[Request]) -> list[Generation | PromptTooLong]:
        """Answer a batch of (image, prompt), in order. An answer does not depend on the rest of the batch.

        PromptTooLong takes the place of the generation of a prompt that is too long. The first call loads the model:
        UserError, before its weights are downloaded, where it is not supported. FloatingPointError where logits are not
        finite.
        """
        raise NotImplementedError

    def text_vectors(self) -> TextVectors:
        """The input embeddings, read without loading the model."""
        return InputEmbeddings(self._folder, self.tokenizer)

    def commit(self) -> str | None:
        """The hub's commit hash of the weights, to pin as `revision`; None for a local folder."""
        folder = Path(self._folder)
        return folder.name if folder.parent.name == "snapshots" else None

    def loaded(self) -> Any:
        """The transformers model, on its device."""
        return self._model

    @property
    def processor(self) -> Any:
        """The model's processor, without loading the model."""
        _ = self._config  # its errors are raised first
        return self._processor

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer, without loading the model."""
        return self.processor.tokenizer

    def _fetch(self, tensors: bool) -> str:
        """The local folder of the checkpoint, downloaded for a hub id; without weights where `tensors` is False."""
        return locating.fetch(self.path, self.revision, "model.path", tensors)

    def _load_config(self) -> Any:
        return load_config(self._description, self.path)

    def _check_config(self, config: Any) -> None:
        """UserError where transformers' `config` is of an unsupported model, or options do not fit it."""
        check_generation(self.generation)

    def _load_processor(self) -> Any:
        return load_processor(self._description, self.path)

    def _load_model(self) -> Any:
        return load_model(self._folder, self.path, self.dtype, pick_device(self.device))

    @cached_property
    def _folder(self) -> str:
        return self._fetch(tensors=True)

    @cached_property
    def _description(self) -> str:
        """Folder of all files but the weights, so that errors of a model are raised before these are downloaded."""
        return self._fetch(tensors=False)

    @cached_property
    def _config(self) -> Any:
        config = self._load_config()
        self._check_config(config)
        return config

    @cached_property
    def _processor(self) -> Any:
        return self._load_processor()

    @cached_property
    def _model(self) -> Any:
        _ = self.processor  # its errors are raised before the weights are downloaded
        return self._load_model()
