"""A transformers model that the caller has loaded, asked through the same adapter as those that a config names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pixfound.models.attention.support import check_capture
from pixfound.models.decoder_model import DecoderModel


class LoadedModel(DecoderModel):
    """An image-text-to-text model and its processor, as transformers' `from_pretrained` returns them.

    system, chat_template: as in `HuggingFace`. options: those of `DecoderModel` but `path`.
    """

    def __init__(
        self, model: Any, processor: Any, system: str | None = None, chat_template: str | None = None, **options: Any
    ) -> None:
        self._loaded_model, self._loaded_processor = model, processor
        self._options = {"system": system, "template": chat_template}
        super().__init__(path=str(model.name_or_path or type(model).__name__), **options)

    @property
    def captures(self) -> bool:
        """True where generations carry attention; UserError where it is requested and cannot be captured."""
        if self.capture != "none":
            check_capture(self._loaded_model.config, self.path)
        return self.capture != "none"

    @contextmanager
    def borrowed(self) -> Iterator[LoadedModel]:
        """Use the model inside the `with` block; what is changed of it and its processor is as before afterwards."""
        model, tokenizer = self._loaded_model, self._loaded_processor.tokenizer
        text = model.config.get_text_config()
        attention, side, pad = text._attn_implementation, tokenizer.padding_side, model.generation_config.pad_token_id
        training = model.training
        try:
            model.eval()
            yield self
        finally:
            model.train(training)
            model.set_attn_implementation({"text_config": attention})
            tokenizer.padding_side, model.generation_config.pad_token_id = side, pad

    def _encoder_options(self) -> dict[str, Any]:
        return self._options

    def _load_config(self) -> Any:
        return self._loaded_model.config

    def _load_processor(self) -> Any:
        return self._loaded_processor

    def _load_model(self) -> Any:
        return self._loaded_model
