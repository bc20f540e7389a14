"""Baselines without a multi-modal LLM: the referring expression itself prompts a detector or a segmenter.

The model's answer is not used, so comparison with these rows shows the effect of the model. Finding nothing is the
deliberate answer of an empty mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from pixfound.checkpoints import locating
from pixfound.compute.devices import Dtype, device_name
from pixfound.errors import UserError
from pixfound.extractors.text import Combine
from pixfound.extractors.text_weights import KEY, Recent, shared
from pixfound.interfaces import Extractor
from pixfound.io.images import as_rgb, picture_keys
from pixfound.types import Candidate, Generation
from pixfound.types.masks import union

_CANDIDATES = 64  # images and texts whose candidates are cached, at least those of a batch


@dataclass(eq=False)
class TextPrompted(Extractor):
    """Base class of text-prompted models. A family implements inference and the conversion of outputs to masks.

    path: hub id or local folder. revision: of the hub id. device: auto, cpu, cuda
    or cuda:N. template: the model's text prompt, `{}` is the expression. A candidate's score is the model's confidence.
    The text is in lower case, as in the training of these models, and truncated to the model's length. The weights are
    loaded at the first image; raises UserError where they are of another kind of model.
    """

    path: str
    _: KW_ONLY
    revision: str | None = None
    dtype: Dtype = "float32"
    device: str = "auto"
    template: str = "{}"

    architecture: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        if self.template.count("{}") != 1:
            raise UserError(f"template={self.template}: must hold {{}} once, where the expression goes")
        self._weights = shared(self.architecture, self.path, self.revision, self.dtype, self.device)
        self._candidates: Recent[list[Candidate]] = Recent(_CANDIDATES)

    def identity(self) -> Mapping[str, Any]:
        """The identity of the weights; raises UserError for another kind of model, before weights are read."""
        location = locating.locate(self.path, KEY)
        if Path(location).is_dir():
            self._weights.check(self.model_types, location)
        return locating.identity(self.path, self.revision, KEY)

    def provenance(self) -> Mapping[str, Any]:
        """The device, the dtype, and the origin of the weights."""
        return {"device": device_name(self.device), "dtype": self.dtype, **locating.origin(self.path, self.revision)}

    def extract_one(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """Candidates, the most confident first; empty where nothing was found, or for an empty expression."""
        text = expression.strip().rstrip(".").strip().lower()
        if not text:
            return []
        text = self.template.replace("{}", text)
        key = f"{picture_keys([image])[0]} {text}"
        return list(self._candidates.get(key, lambda: self._propose(image, self._outputs(image, text, key))))

    def _outputs(self, image: Image.Image, text: str, key: str) -> Any:
        """The model's outputs, cached so that extractors with the same weights run the model once."""
        if "model" not in vars(self._weights):
            self._weights.check(self.model_types, self._weights.description)
        return self._weights.recent_outputs.get(key, lambda: self._look(as_rgb(image), text))

    def _look(self, image: Image.Image, text: str) -> Any:
        """The model's outputs for an image and a text."""
        raise NotImplementedError

    def _propose(self, image: Image.Image, outputs: Any) -> list[Candidate]:
        """A candidate for each detected instance, the most confident first."""
        raise NotImplementedError


@dataclass(eq=False)
class Instances(TextPrompted):
    """A `TextPrompted` that may find several instances.

    combine: `union` makes one candidate of all instances, with the score of the most confident one, `instances` the
    same that keeps each, `candidates` makes one of each.
    """

    combine: Combine = field(default="union", kw_only=True)

    def extract_one(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """Candidates, the most confident first, or their union; empty where nothing was found, or for no expression."""
        instances = super().extract_one(image, generation, expression)
        if self.combine == "candidates" or not instances:
            return instances
        mask = union([c.mask for c in instances], (image.height, image.width))
        parts = tuple(instances) if self.combine == "instances" and len(instances) > 1 else ()
        return [
            Candidate(
                mask, box=instances[0].box if len(instances) == 1 else None, score=instances[0].score, parts=parts
            )
        ]
