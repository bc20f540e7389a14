"""What LISA, GLaMM, Sa2VA and RGA3 have in common: their last options, and an MLLM that speaks for them."""

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
    """An MLLM that draws where it says [SEG]. A family puts the published checkpoint together, and says what it draws.

    The checkpoint is read at the first request, strictly: UserError for a tensor too many, too few or of another shape.

    path, revision, dtype, device, capture, layers, heads, generation, keep, answer_prefix: as in `HuggingFace`.
    seg: `all` draws for every [SEG], `first` for the first alone, as the scripts of arXiv 2502.04192 do.
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
        """`generate_many`, but the first error is raised."""
        return without_errors(self.generate_many(requests))

    def generate_many(self, requests: Sequence[Request]) -> list[Generation | PromptTooLong]:
        """Answers, with a mask for every [SEG] in them; an error stands for a prompt that is too long."""
        raise NotImplementedError

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

    def vectors(self) -> TextVectors:
        """The input embeddings, without loading the model."""
        return InputEmbeddings(self._folder, self._processor.tokenizer)

    def fit(self, requests: Sequence[Request]) -> BatchFit:
        """How many prompts like these fit into memory together; masks are drawn one answer after the other."""
        _ = self._model
        return self._speaker.fit(requests)

    @cached_property
    def _folder(self) -> str:
        return conversion.fetch(self.path, self.revision, "model.path")

    @property
    def _processor(self) -> Any:
        """The MLLM's, with [SEG] among its tokens."""
        raise NotImplementedError

    @property
    def _model(self) -> Any:
        """The modules, loaded; the speaker speaks with them from then on."""
        raise NotImplementedError
