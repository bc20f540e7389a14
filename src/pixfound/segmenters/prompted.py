"""What the SAM families share: an image is encoded once, all its points or boxes go through the decoder together.

Shapes: `P` prompts, `K` masks a prompt, `H` x `W` image pixels, `h` x `w` the decoder's own.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound import weights
from pixfound.devices import pick_device
from pixfound.errors import UserError, nearest
from pixfound.interfaces import SegmenterMasks

_KEPT = 4  # encoded images; the prompts of an image follow each other, so a few are enough
_PIXELS = 64 * 2**20  # of logits, four bytes each, that come back to the image's size together
_CHUNK = 64  # prompts in one call of the decoder, which bounds its memory


@dataclass(frozen=True)
class Prepared:
    """An image as the model is given it. pixels: (1, 3, S, S). size: (height, width) of the image within them."""

    pixels: Any
    size: tuple[int, int]


class PromptedSegmenter:
    """A transformers model of the SAM kind. A family says how an image is prepared and how masks come back to it.

    path: hub id, local folder or `embedded:NAME`. architecture: the transformers class; the first of the family's
    unless named. multimask_boxes: the decoder's several masks for a box too, and not the single one for prompts that
    are clear; a point is ambiguous and always gets several.
    """

    architectures: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        path: str,
        revision: str | None = None,
        dtype: str = "float32",
        device: str = "auto",
        architecture: str | None = None,
        multimask_boxes: bool = False,
    ) -> None:
        architecture = architecture or self.architectures[0]
        if architecture not in self.architectures:
            raise UserError(
                f"segmenter.architecture={architecture}: no class of this family; "
                f"{nearest(architecture, self.architectures)}"
            )
        self.path, self.revision, self.dtype, self.device = path, revision, dtype, device
        self.architecture, self.multimask_boxes = architecture, multimask_boxes
        self._encoded: OrderedDict[str, tuple[dict[str, Any], tuple[int, int]]] = OrderedDict()

    def identity(self) -> Mapping[str, Any]:
        """What identifies the weights."""
        return weights.identity(self.path, self.revision, "segmenter.path")

    def provenance(self) -> Mapping[str, Any]:
        """The device and dtype asked for."""
        return {"device": pick_device(self.device), "dtype": self.dtype, "path": self.path, "revision": self.revision}

    def masks(self, image: Image.Image, points: Sequence[tuple[float, float]]) -> SegmenterMasks:
        """The masks of each point alone, with their predicted IoU, in the decoder's order."""
        return self._decode(image, "input_points", [[point] for point in points], multimask=True)

    def box_masks(self, image: Image.Image, boxes: Sequence[tuple[float, float, float, float]]) -> SegmenterMasks:
        """The mask of each box alone, or with `multimask_boxes` its masks in the decoder's order."""
        return self._decode(image, "input_boxes", boxes, multimask=self.multimask_boxes)

    def _prepare(self, image: Image.Image) -> Prepared:
        """An image as the model is given it."""
        raise NotImplementedError

    def _restore(self, logits: Any, size: tuple[int, int], image_size: tuple[int, int]) -> Any:
        """(P, K, H, W) logits in the image's pixels. logits: (P, K, h, w); size: see Prepared; image_size: (H, W)."""
        raise NotImplementedError

    def _decode(self, image: Image.Image, name: str, prompts: Sequence[Any], multimask: bool) -> SegmenterMasks:
        """Masks for prompts in image pixels. name: of the model's argument; the last axis is x, y, x, y ..."""
        import torch

        image_size = (image.height, image.width)
        if not prompts:
            return SegmenterMasks(np.zeros((0, 1, *image_size), bool), np.zeros((0, 1), np.float32))
        embeddings, size = self._encode(image)
        values = torch.tensor(prompts, dtype=torch.float64)
        scale = torch.tensor([size[1] / image.width, size[0] / image.height], dtype=torch.float64)
        values = (values * scale.repeat(values.shape[-1] // 2))[None].to(self._model.device, self._model.dtype)
        masks, scores = [], []
        for start in range(0, len(prompts), _CHUNK):
            with torch.inference_mode():
                given = {name: values[:, start : start + _CHUNK]}
                out = self._model(**embeddings, **given, multimask_output=multimask)
                masks.append(self._inside(out.pred_masks[0].float().cpu(), size, image_size))
            scores.append(out.iou_scores[0].float().cpu().numpy())
        whole = masks[0] if len(masks) == 1 else np.concatenate(masks)
        return SegmenterMasks(whole, np.concatenate(scores))

    def _inside(self, logits: Any, size: tuple[int, int], image_size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """(P, K, H, W) masks of `_restore`'s logits; one after the other where all at once would fill the memory."""
        prompts, count = logits.shape[:2]
        if prompts * count * image_size[0] * image_size[1] <= _PIXELS:
            whole: npt.NDArray[np.bool_] = (self._restore(logits, size, image_size) > 0).numpy()
            return whole
        masks = np.empty((prompts, count, *image_size), dtype=np.bool_)
        for i, k in np.ndindex(prompts, count):
            masks[i, k] = (self._restore(logits[i : i + 1, k : k + 1], size, image_size) > 0).numpy()[0, 0]
        return masks

    def _encode(self, image: Image.Image) -> tuple[dict[str, Any], tuple[int, int]]:
        """The image's embeddings as arguments of the model, and the size within its square."""
        import torch

        key = hashlib.sha256(image.tobytes() + str(image.size).encode()).hexdigest()
        if key not in self._encoded:
            prepared = self._prepare(image)
            with torch.inference_mode():
                found = self._model.get_image_embeddings(prepared.pixels.to(self._model.device, self._model.dtype))
            names = ("image_embeddings", "intermediate_embeddings")  # SAM-HQ's decoder takes both
            embeddings = dict(zip(names, found, strict=True)) if isinstance(found, tuple) else {names[0]: found}
            self._encoded[key] = (embeddings, prepared.size)
            while len(self._encoded) > _KEPT:
                self._encoded.popitem(last=False)
        return self._encoded[key]

    @cached_property
    def _folder(self) -> str:
        return weights.fetch(self.path, self.revision, "segmenter.path")

    @cached_property
    def _model(self) -> Any:
        import torch
        import transformers
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # the stage has its own
        with weights.loading(self.path, "segmenter.path"):
            architecture = getattr(transformers, self.architecture)
            model = architecture.from_pretrained(self._folder, dtype=getattr(torch, self.dtype))
        return model.to(pick_device(self.device)).eval()
