"""SAM 3's concept prompts: a text -> a mask of every instance, and the probability that the concept is present."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image

from pixfound.checkpoints.squash import load_settings, squashed
from pixfound.extractors.parsers.coordinates import of_image
from pixfound.extractors.text_prompted import Instances
from pixfound.extractors.text_weights import KEY
from pixfound.types import Candidate
from pixfound.types.arguments import Threshold
from pixfound.types.masks import RLE

_TOKENS = 32  # of a concept; the length that SAM 3 was trained with, and always padded to


@dataclass(eq=False)
class Sam3Concept(Instances):
    """The instances of a Sam3Model. No instance above `threshold` means that the concept is absent.

    threshold: the lowest score of an instance, its own probability times that of the concept's presence.
    mask_threshold: the probability above which a pixel is inside. The other arguments are those of `Instances`.
    The model's image processor needs torchvision and only resizes, rescales and normalises, which is done here.
    """

    threshold: Threshold = 0.3
    mask_threshold: Threshold = 0.5

    architecture = "Sam3Model"
    model_types = ("sam3", "sam3_video")

    def _look(self, image: Image.Image, text: str) -> Any:
        tokens = self._weights.tokenizer(
            text, padding="max_length", truncation=True, max_length=_TOKENS, return_tensors="pt"
        )
        names = ("input_ids", "attention_mask")
        pixels, _ = squashed(image, self._settings)
        return self._weights.outputs({**{k: tokens[k] for k in names}, "pixel_values": pixels})

    def _propose(self, image: Image.Image, outputs: Any) -> list[Candidate]:
        from torch.nn.functional import interpolate

        size = (image.height, image.width)
        scores = outputs.pred_logits[0].float().sigmoid()  # (Q,)
        if outputs.presence_logits is not None:
            scores = scores * outputs.presence_logits[0].float().sigmoid()
        candidates = []
        for index in scores.argsort(descending=True, stable=True).tolist():
            score = float(scores[index])
            if score <= self.threshold:
                break
            small = outputs.pred_masks[0, index].float().sigmoid()[None, None]  # one at a time: they may be many
            mask = interpolate(small, size=size, mode="bilinear", align_corners=False)[0, 0] > self.mask_threshold
            boxes = of_image(size, 1.0).boxes([tuple(outputs.pred_boxes[0, index].float().tolist())])
            box = boxes[0] if boxes else None  # it may lie beside the image, as its mask then does not
            candidates.append(Candidate(RLE.encode(mask.cpu().numpy()), box=box, score=round(score, 6)))
        return candidates

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return load_settings(self._weights.description, self._weights.path, KEY)
