"""SAM 2, SAM 2.1 and the tracker of SAM 3: the whole image is squashed to the model's square."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from pixfound import weights
from pixfound.segmenters.prompted import Prepared, PromptedSegmenter


class Sam2(PromptedSegmenter):
    """A Sam2Model, or with `architecture=Sam3TrackerModel` what SAM 3 has for points and boxes.

    The arguments are those of `PromptedSegmenter`. Their own image processor needs torchvision, and does no more than
    to resize, rescale and normalise: that is done here, with torch alone and the same arithmetic.
    """

    architectures = ("Sam2Model", "Sam3TrackerModel")

    def _prepare(self, image: Image.Image) -> Prepared:
        import torch
        from torch.nn.functional import interpolate

        settings = self._settings
        size = (int(settings["size"]["height"]), int(settings["size"]["width"]))
        pixels = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)[None]
        resized = interpolate(
            pixels, size=size, mode="bilinear", align_corners=False, antialias=True
        )  # 8 bits, rounded
        mean, std = (torch.tensor(settings[name])[:, None, None] for name in ("image_mean", "image_std"))
        return Prepared((resized.float() * settings.get("rescale_factor", 1 / 255) - mean) / std, size)

    def _restore(self, logits: Any, size: tuple[int, int], image_size: tuple[int, int]) -> Any:
        from torch.nn.functional import interpolate

        return interpolate(logits, size=image_size, mode="bilinear", align_corners=False)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """The checkpoint's own image processing: size, image_mean, image_std, rescale_factor."""
        from transformers.image_processing_base import ImageProcessingMixin

        with weights.loading(self.path, "segmenter.path"):
            settings, _ = ImageProcessingMixin.get_image_processor_dict(self._folder)
            missing = {"size", "image_mean", "image_std"} - settings.keys()
            if missing:
                raise ValueError(f"its preprocessor_config.json names no {' and no '.join(sorted(missing))}")
            return dict(settings)
