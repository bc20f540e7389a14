"""Checkpoints in their authors' own format, converted to transformers' modules while they are loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pixfound.checkpoints import conversion
from pixfound.models.decoder_model import DecoderModel


@dataclass(eq=False, kw_only=True)
class ConvertedModel(DecoderModel):
    """A `DecoderModel` that a subclass builds from the published config.json and loads strictly.

    Unexpected or missing keys, and a tensor of another shape, are a UserError at the first request.
    """

    def _fetch(self, tensors: bool) -> str:
        return conversion.fetch(self.path, self.revision, "model.path", tensors)

    @cached_property
    def _published(self) -> Mapping[str, Any]:
        """The published config.json."""
        published = json.loads((Path(self._description) / "config.json").read_text())
        self._check_published(published)
        return dict(published)

    def _check_published(self, published: Mapping[str, Any]) -> None:
        """UserError where the published config is of another model."""
