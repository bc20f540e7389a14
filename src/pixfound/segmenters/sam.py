"""SAM and SAM-HQ: the longer side of an image is resized to that of the model's square, and the rest is padded."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from PIL import Image

from pixfound.checkpoints import locating
from pixfound.errors import PictureTooNarrow
from pixfound.segmenters.encoded import Prepared
from pixfound.segmenters.prompted import PromptedSegmenter


class Sam(PromptedSegmenter):
    """A SamModel, or with `architecture=SamHQModel` a SAM-HQ. The arguments are those of `PromptedSegmenter`."""

    architectures = ("SamModel", "SamHQModel")

    def _prepare(self, image: Image.Image) -> Prepared:
        square = self._processor.size["longest_edge"]
        if 2 * square * min(image.size) < max(image.size):  # transformers would ask for a side of 0
            size = f"{image.width} x {image.height}"
            raise PictureTooNarrow(f"a picture of {size} pixels is too narrow for a segmenter of {square}")
        inputs = self._processor(images=image, return_tensors="pt")
        height, width = (int(side) for side in inputs["reshaped_input_sizes"][0])
        return Prepared(inputs["pixel_values"], (height, width))

    def _restore(self, logits: Any, size: tuple[int, int], image_size: tuple[int, int]) -> Any:
        full = self._processor.post_process_masks([logits], [image_size], [size], binarize=False)
        return full[0]

    @cached_property
    def _processor(self) -> Any:
        from transformers import AutoImageProcessor

        with locating.loading(self.path, "segmenter.path"):
            return AutoImageProcessor.from_pretrained(self._folder, trust_remote_code=False)
