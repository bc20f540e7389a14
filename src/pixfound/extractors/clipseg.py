"""CLIPSeg: a segmentation map for the expression from CLIP's image and text encoders (arXiv 2112.10003)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from pixfound.extractors.text_prompted import TextPrompted
from pixfound.types import Candidate
from pixfound.types.arguments import Threshold
from pixfound.types.masks import RLE


@dataclass(eq=False)
class ClipSeg(TextPrompted):
    """One mask of the pixels with a probability above `threshold`, after bilinear resizing of the map to the image.

    The mask's score is the mean probability inside it. The other arguments are those of `TextPrompted`.
    """

    threshold: Threshold = 0.5

    architecture = "CLIPSegForImageSegmentation"
    model_types = ("clipseg",)

    def _look(self, image: Image.Image, text: str) -> Any:
        length = self._weights.text_length()
        inputs = self._weights.processor(
            images=image, text=[text], truncation=True, max_length=length, return_tensors="pt"
        )
        return self._weights.outputs(inputs).logits

    def _propose(self, image: Image.Image, outputs: Any) -> list[Candidate]:
        from torch.nn.functional import interpolate

        logits = outputs.float().cpu().reshape(1, 1, *outputs.shape[-2:])
        size = (image.height, image.width)
        probability = interpolate(logits, size=size, mode="bilinear", align_corners=False)[0, 0].sigmoid().numpy()
        mask = probability > self.threshold
        return [Candidate(RLE.encode(mask), score=round(float(probability[mask].mean()), 6))] if mask.any() else []
