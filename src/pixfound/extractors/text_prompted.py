"""Baselines without a multi-modal LLM: the referring expression itself prompts a detector or a segmenter.

What the model said is never looked at, so their rows show what it adds. Nothing found is an empty mask on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from pixfound.checkpoints import locating
from pixfound.compute.devices import device_name
from pixfound.errors import UserError
from pixfound.extractors.text import Combine, check_combine
from pixfound.extractors.text_weights import KEY, Last, shared
from pixfound.io.images import as_rgb, picture_keys
from pixfound.types import Candidate, Generation
from pixfound.types.masks import union


@dataclass(eq=False)
class TextPrompted:
    """What they share. A family says how its model looks at an image and a text, and which masks that means.

    path: hub id or local folder. revision: of the hub id. dtype: float32, bfloat16 or float16. device: auto, cpu, cuda
    or cuda:N. template: what the model is told, `{}` is the expression. A candidate's score is the model's confidence.
    The text is in lower case, as these models were trained; what is too long for the model is cut off. The weights are
    read at the first image; UserError where they are of another kind of model.
    """

    path: str
    _: KW_ONLY
    revision: str | None = None
    dtype: str = "float32"
    device: str = "auto"
    template: str = "{}"

    architecture: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        if self.template.count("{}") != 1:
            raise UserError(f"template={self.template}: must hold {{}} once, where the expression goes")
        self._weights = shared(self.architecture, self.path, self.revision, self.dtype, self.device)
        self._found: Last[list[Candidate]] = Last()

    def identity(self) -> Mapping[str, Any]:
        """What identifies the weights; a folder with another kind of model is noticed here, before any is read."""
        found = locating.locate(self.path, KEY)
        if Path(found).is_dir():
            self._weights.check(self.model_types, found)
        return locating.identity(self.path, self.revision, KEY)

    def provenance(self) -> Mapping[str, Any]:
        """The device and dtype asked for."""
        return {"device": device_name(self.device), "dtype": self.dtype, **locating.origin(self.path, self.revision)}

    def candidates(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """The most confident first; none where nothing was found, or where there is nothing to look for."""
        text = expression.strip().rstrip(".").strip().lower()
        if not text:
            return []
        text = self.template.replace("{}", text)
        key = f"{picture_keys([image])[0]} {text}"
        return list(self._found.get(key, lambda: self._propose(image, self._outputs(image, text, key))))

    def _outputs(self, image: Image.Image, text: str, key: str) -> Any:
        """What the model says; extractors that share the weights ask it once."""
        if "model" not in vars(self._weights):
            self._weights.check(self.model_types, self._weights.description)
        return self._weights.seen.get(key, lambda: self._look(as_rgb(image), text))

    def _look(self, image: Image.Image, text: str) -> Any:
        """The model's outputs for an image and a text."""
        raise NotImplementedError

    def _propose(self, image: Image.Image, outputs: Any) -> list[Candidate]:
        """A candidate for each thing that was found, the most confident first."""
        raise NotImplementedError


@dataclass(eq=False)
class Instances(TextPrompted):
    """A `TextPrompted` that may find several things.

    combine: `union` makes one candidate of all that was found, with the score of the most confident, `candidates` makes
    one of each.
    """

    combine: Combine = field(default="union", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_combine(self.combine)

    def candidates(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        """The most confident first, or all in one; none where nothing was found, or there is nothing to look for."""
        found = super().candidates(image, generation, expression)
        if self.combine == "candidates" or not found:
            return found
        mask = union([c.mask for c in found], (image.height, image.width))
        return [Candidate(mask, box=found[0].box if len(found) == 1 else None, score=found[0].score)]


def check_share(name: str, value: float) -> None:
    """UserError for a threshold of a probability that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UserError(f"{name}={value}: give a number of at least 0 and below 1")
