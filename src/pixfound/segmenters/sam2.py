"""SAM 2, SAM 2.1 and the tracker of SAM 3: an image is resized to the model's square without its aspect ratio."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from PIL import Image

from pixfound.checkpoints.squash import load_settings, squashed
from pixfound.segmenters.encoded import Prepared
from pixfound.segmenters.prompted import PromptedSegmenter


class Sam2(PromptedSegmenter):
    """A Sam2Model, or with `architecture=Sam3TrackerModel` the tracker of SAM 3, which takes points and boxes.

    The arguments are those of `PromptedSegmenter`. The models' own image processor needs torchvision and only resizes,
    rescales and normalises. The same arithmetic is done here with torch alone.
    """

    architectures = ("Sam2Model", "Sam3TrackerModel")

    def _prepare(self, image: Image.Image) -> Prepared:
        return Prepared(*squashed(image, self._settings))

    def _restore(self, logits: Any, size: tuple[int, int], image_size: tuple[int, int]) -> Any:
        from torch.nn.functional import interpolate

        return interpolate(logits, size=image_size, mode="bilinear", align_corners=False)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return load_settings(self._folder, self.path, "segmenter.path")
