"""Baselines without a multi-modal LLM: the referring expression itself prompts a detector or a segmenter.

What the model said is never looked at, so their rows show what it adds. Nothing found is an empty mask on purpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from PIL import Image

from pixfound import weights
from pixfound.devices import pick_device
from pixfound.errors import UserError
from pixfound.extractors.text_weights import KEY, Last, shared
from pixfound.masks import union
from pixfound.types import Candidate, Generation

Combine = Literal["union", "candidates"]


class TextPrompted:
    """What they share. A family says how its model looks at an image and a text, and which masks that means.

    path: hub id or local folder. template: what the model is told, `{}` is the expression. combine: `union` makes one
    candidate of all that was found, `candidates` makes one of each; a candidate's score is the model's confidence.
    The text is in lower case, as these models were trained; what is too long for the model is cut off.
    """

    architecture: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        path: str,
        revision: str | None = None,
        dtype: str = "float32",
        device: str = "auto",
        template: str = "{}",
        combine: Combine = "union",
    ) -> None:
        if combine not in ("union", "candidates"):
            raise UserError(f"combine={combine}: valid values are union and candidates")
        if template.count("{}") != 1:
            raise UserError(f"template={template}: must hold {{}} once, where the expression goes")
        self.template, self.combine = template, combine
        self._weights = shared(self.architecture, path, revision, dtype, device)
        self._found: Last[list[Candidate]] = Last()

    def identity(self) -> Mapping[str, Any]:
        """What identifies the weights; a folder with another kind of model is noticed here, before any is read."""
        found = weights.locate(self._weights.path, KEY)
        if Path(found).is_dir():
            self._weights.check(self.model_types, found)
        return weights.identity(self._weights.path, self._weights.revision, KEY)

    def provenance(self) -> Mapping[str, Any]:
        """The device and dtype asked for."""
        w = self._weights
        return {"device": pick_device(w.device), "dtype": w.dtype, "path": w.path, "revision": w.revision}

    def candidates(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """The most confident first; none where nothing was found, or where there is nothing to look for."""
        text = expression.strip().rstrip(".").strip().lower()
        if not text:
            return []
        text = self.template.replace("{}", text)
        key = hashlib.sha256(image.tobytes() + f"{image.size}{image.mode}{text}".encode()).hexdigest()
        found = self._found.get(key, lambda: self._propose(image, self._outputs(image, text, key)))
        if self.combine == "candidates" or not found:
            return list(found)
        mask = union([c.mask for c in found], (image.height, image.width))
        return [Candidate(mask, box=found[0].box if len(found) == 1 else None, score=found[0].score)]

    def _outputs(self, image: Image.Image, text: str, key: str) -> Any:
        """What the model says; extractors that share the weights ask it once."""
        if "model" not in vars(self._weights):
            self._weights.check(self.model_types, self._weights.description)
        return self._weights.seen.get(key, lambda: self._look(image.convert("RGB"), text))

    def _look(self, image: Image.Image, text: str) -> Any:
        """The model's outputs for an image and a text."""
        raise NotImplementedError

    def _propose(self, image: Image.Image, outputs: Any) -> list[Candidate]:
        """A candidate for each thing that was found, the most confident first."""
        raise NotImplementedError


def check_share(name: str, value: float) -> float:
    """A threshold of a probability; UserError where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UserError(f"{name}={value}: give a number of at least 0 and below 1")
    return float(value)
