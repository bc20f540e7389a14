"""SAM through transformers: an image is encoded once, all its points go through the decoder in one call.

Shapes: `P` points, `K` masks a point, `H` x `W` image pixels.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from pixfound import weights
from pixfound.devices import pick_device
from pixfound.interfaces import SegmenterMasks

_KEPT = 4  # encoded images; the prompts of an image follow each other, so a few are enough
_CHUNK = 64  # points in one call of the decoder, which bounds its memory


class Sam:
    """A SamModel. path: hub id, local folder or `embedded:NAME`."""

    def __init__(self, path: str, revision: str | None = None, dtype: str = "float32", device: str = "auto") -> None:
        self.path, self.revision, self.dtype, self.device = path, revision, dtype, device
        self._encoded: OrderedDict[str, tuple[Any, list[list[int]]]] = OrderedDict()

    def identity(self) -> Mapping[str, Any]:
        """What identifies the weights."""
        return weights.identity(self.path, self.revision, "segmenter.path")

    def provenance(self) -> Mapping[str, Any]:
        """The device and dtype asked for."""
        return {"device": pick_device(self.device), "dtype": self.dtype, "path": self.path, "revision": self.revision}

    def masks(self, image: Image.Image, points: Sequence[tuple[float, float]]) -> SegmenterMasks:
        """Three masks for each point alone, with their predicted IoU, in the decoder's order."""
        import torch

        height, width = image.height, image.width
        if not points:
            return SegmenterMasks(np.zeros((0, 3, height, width), bool), np.zeros((0, 3), np.float32))
        embedding, reshaped = self._encode(image)
        scale = torch.tensor([reshaped[0][1] / width, reshaped[0][0] / height])
        prompts = (torch.tensor(points, dtype=torch.float64) * scale)[None, :, None]  # (1, P, 1, 2), as SAM sees them
        masks, scores = [], []
        for start in range(0, len(points), _CHUNK):
            with torch.inference_mode():
                out = self._model(
                    image_embeddings=embedding,
                    input_points=prompts[:, start : start + _CHUNK].to(self._model.device, self._model.dtype),
                    multimask_output=True,
                )
            full = self._processor.post_process_masks(out.pred_masks.float().cpu(), [(height, width)], reshaped)
            masks.append(full[0].numpy().astype(bool))
            scores.append(out.iou_scores[0].float().cpu().numpy())
        return SegmenterMasks(np.concatenate(masks), np.concatenate(scores))

    def _encode(self, image: Image.Image) -> tuple[Any, list[list[int]]]:
        """The image's embedding, and the (H, W) that it was resized to before padding, as a list of one."""
        import torch

        key = hashlib.sha256(image.tobytes() + str(image.size).encode()).hexdigest()
        if key not in self._encoded:
            inputs = self._processor(images=image, return_tensors="pt")
            pixels = inputs["pixel_values"].to(self._model.device, self._model.dtype)
            with torch.inference_mode():
                embedding = self._model.get_image_embeddings(pixels)
            self._encoded[key] = (embedding, inputs["reshaped_input_sizes"].tolist())
            while len(self._encoded) > _KEPT:
                self._encoded.popitem(last=False)
        return self._encoded[key]

    @cached_property
    def _folder(self) -> str:
        return weights.fetch(self.path, self.revision, "segmenter.path")

    @cached_property
    def _processor(self) -> Any:
        from transformers import SamProcessor

        with weights.loading(self.path, "segmenter.path"):
            return SamProcessor.from_pretrained(self._folder)

    @cached_property
    def _model(self) -> Any:
        import torch
        from transformers import SamModel
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # the stage has its own
        with weights.loading(self.path, "segmenter.path"):
            model = SamModel.from_pretrained(self._folder, dtype=getattr(torch, self.dtype))
        return model.to(pick_device(self.device)).eval()
