"""The base class of LISA, GLaMM, Sa2VA and RGA3: their common options, and the MLLM that generates the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pixfound.checkpoints import conversion
from pixfound.errors import PromptTooLong
from pixfound.interfaces import BatchFit, TextVectors
from pixfound.models.attention.layer_attention import Keep
from pixfound.models.embeddings import InputEmbeddings
from pixfound.models.generation_options import without_errors
from pixfound.models.geometry.batch_encoder import Request
from pixfound.models.huggingface import HuggingFace
from pixfound.models.pixel.seg_tokens import Seg, check_seg
from pixfound.models.transformers_model import Capture
from pixfound.types import Generation


@dataclass(eq=False, kw_only=True)
class SegModel:
    """An MLLM that decodes a mask for each [SEG] it generates; subclasses load the published checkpoint.

    The checkpoint is loaded strictly at the first request: UserError for unexpected or missing keys, and for a tensor
    of another shape.

    path, revision, dtype, device, capture, layers, heads, generation, keep, answer_prefix: as in `HuggingFace`.
    seg: `all` decodes a mask for every [SEG], `first` for the first alone, as the scripts of arXiv 2502.04192 do.
    """

    path: str
    revision: str | None = None
    dtype: str = "bfloat16"
    device: str = "auto"
    seg: Seg = "all"
    capture: Capture = "none"
    layers: Sequence[int] | None = None
    heads: Sequence[int] | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)
    keep: Keep = "mean"
    answer_prefix: str | None = None

    def __post_init__(self) -> None:
        check_seg(self.seg)
        self._speaker = HuggingFace(
            self.path,
            self.revision,
            self.dtype,
            self.device,
            capture=self.capture,
            layers=self.layers,
            heads=self.heads,
            generation=self.generation,
            keep=self.keep,
            answer_prefix=self.answer_prefix,
        )

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """Generations of `generate_many`; raises the first PromptTooLong among them."""
        return without_errors(self.generate_many(requests))

    def generate_many(self, requests: Sequence[Request]) -> list[Generation | PromptTooLong]:
        """Generations with one mask per [SEG], in order; PromptTooLong in place of a prompt that is too long."""
        raise NotImplementedError

    def identity(self) -> Mapping[str, Any]:
        """Values that identify the weights; part of the fingerprint."""
        return self._speaker.identity()

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype."""
        return self._speaker.provenance()

    @property
    def captures(self) -> bool:
        """True where generations carry attention."""
        return self._speaker.captures

    def vectors(self) -> TextVectors:
        """The input embeddings, read without loading the model."""
        return InputEmbeddings(self._folder, self._processor.tokenizer)

    def fit(self, requests: Sequence[Request]) -> BatchFit:
        """Number of prompts like these that fit into memory in one batch; masks are decoded one answer at a time."""
        _ = self._model
        return self._speaker.fit(requests)

    @cached_property
    def _folder(self) -> str:
        return conversion.fetch(self.path, self.revision, "model.path")

    @property
    def _processor(self) -> Any:
        """The MLLM's processor, with [SEG] among its tokens."""
        raise NotImplementedError

    @property
    def _model(self) -> Any:
        """The loaded modules; loading them hands the MLLM to `_speaker`, which generates the text."""
        raise NotImplementedError
