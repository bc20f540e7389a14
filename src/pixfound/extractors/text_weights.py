"""Weights of models with an image and a text as input, loaded at the first use and shared between extractors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from pixfound.checkpoints import locating
from pixfound.checkpoints.loading import load_pretrained
from pixfound.checkpoints.processors import missing_package
from pixfound.compute.devices import pick_device
from pixfound.errors import UserError

KEY = "extraction.extractors.NAME.path"  # an extractor does not know its own name
T = TypeVar("T")
_OUTPUTS = 8  # as many as a batch has examples; those of SAM 3 take 66 MB each


class Recent(Generic[T]):
    """Cache of the `size` results that were used last."""

    def __init__(self, size: int) -> None:
        self._size, self._results = size, dict[str, T]()

    def get(self, key: str, compute: Callable[[], T]) -> T:
        """The cached result of `key`; else that of `compute()`, which is cached."""
        if key in self._results:
            self._results[key] = self._results.pop(key)  # to the end
        else:
            while len(self._results) >= self._size:  # before there is a new one
                del self._results[next(iter(self._results))]
            self._results[key] = compute()
        return self._results[key]


class TextWeights:
    """A transformers model with its processor; create it with `shared`.

    architecture: the model's class, or an auto class. recent_outputs: cache of outputs for the last images and texts,
    so that extractors with the same weights run the model once on a batch.
    """

    def __init__(self, architecture: str, path: str, revision: str | None, dtype: str, device: str) -> None:
        self.architecture, self.path, self.revision = architecture, path, revision
        self.dtype, self.device = dtype, device
        self.recent_outputs: Recent[Any] = Recent(_OUTPUTS)

    def check(self, model_types: tuple[str, ...], folder: str) -> None:
        """Raise UserError where the config in `folder` has a model type other than these."""
        from transformers import PretrainedConfig

        with locating.loading(self.path, KEY):
            values, _ = PretrainedConfig.get_config_dict(folder)
        if values.get("model_type") not in model_types:
            raise UserError(
                f"{KEY}={self.path}: holds a model of the type {values.get('model_type')}; this extractor takes "
                f"{' or '.join(model_types)}"
            )

    @cached_property
    def description(self) -> str:
        """The folder with config, tokenizer and processor; tensors are not required."""
        return locating.fetch(self.path, self.revision, KEY, tensors=False)

    @cached_property
    def processor(self) -> Any:
        """The model's own processor; raises UserError with the name of a missing package."""
        return self._processor("AutoProcessor")

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer alone: some processors need torchvision."""
        return self._processor("AutoTokenizer")

    @cached_property
    def model(self) -> Any:
        """The model in eval mode on its device."""
        import torch
        import transformers

        folder = locating.fetch(self.path, self.revision, KEY)
        architecture, dtype = getattr(transformers, self.architecture), getattr(torch, self.dtype)
        model = load_pretrained(architecture, folder, self.path, KEY, dtype=dtype)
        return model.to(pick_device(self.device)).eval()

    def outputs(self, inputs: Any) -> Any:
        """The model's outputs for a processor's inputs, moved to its device and dtype.

        Raises FloatingPointError for logits or masks that are not finite, which would give no candidates.
        """
        import torch

        from pixfound.compute.numerics import check_finite

        device, dtype = self.model.device, self.model.dtype
        moved = {k: v.to(device, dtype) if v.is_floating_point() else v.to(device) for k, v in inputs.items()}
        with torch.inference_mode():
            outputs = self.model(**moved)
        for name in ("logits", "pred_logits", "pred_masks"):
            if getattr(outputs, name, None) is not None:
                check_finite(outputs[name].amax(dim=-1), f"the model's {name}")  # -inf: of tokens of padding
        return outputs

    def text_length(self) -> int:
        """The maximum number of text tokens of the model; in GroundingDINO it is below the limit of BERT."""
        config = self.model.config
        positions = int(config.text_config.max_position_embeddings)
        compared = int(getattr(config, "max_text_len", positions))
        return min(positions, compared, int(self.processor.tokenizer.model_max_length))

    def _processor(self, kind: str) -> Any:
        import transformers

        try:
            return getattr(transformers, kind).from_pretrained(self.description)
        except Exception as error:  # tokenizers raises nothing narrower for a damaged file
            raise missing_package(error, f"{KEY}={self.path}") from error


_alive: WeakValueDictionary[tuple[str | None, ...], TextWeights] = WeakValueDictionary()


def shared(architecture: str, path: str, revision: str | None, dtype: str, device: str) -> TextWeights:
    """The weights for these arguments; the same object while any reference exists, so that they are loaded once."""
    key = (architecture, path, revision, dtype, device)
    weights = _alive.get(key)
    if weights is None:
        weights = _alive[key] = TextWeights(architecture, path, revision, dtype, device)
    return weights
