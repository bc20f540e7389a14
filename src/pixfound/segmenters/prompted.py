"""Base of the SAM families: each image is encoded once, and all its points or boxes are decoded in one batch.

Several images with their prompts are batched in the same way where they are given together.

Shapes: `P` prompts, `K` masks a prompt, `H` x `W` image pixels, `h` x `w` the decoder's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.checkpoints import locating
from pixfound.checkpoints.loading import load_pretrained
from pixfound.compute.devices import Dtype, device_name, pick_device
from pixfound.errors import UserError, nearest
from pixfound.interfaces import Box, Point, Segmenter, SegmenterMasks
from pixfound.segmenters.encoded import EncodedImages, Prepared

_CHUNK = 64  # prompts in one call of the decoder, which bounds its memory
_RESTORED = 2**26  # logits in image pixels at a time: 256 MB


class PromptedSegmenter(Segmenter):
    """A SAM-like transformers model. A family implements preprocessing and the mapping of masks back to the image.

    path: hub id, local folder or `embedded:NAME`. revision: of the hub id. dtype: a torch dtype's name. device: auto,
    cpu, cuda or cuda:N. architecture: the transformers class; by default the first of the family's. multimask_boxes:
    True returns the decoder's several masks for a box too, False its single mask for unambiguous prompts. A point is
    ambiguous and always gets several masks.
    """

    architectures: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        path: str,
        revision: str | None = None,
        dtype: Dtype = "float32",
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
        self._encoded = EncodedImages()

    def identity(self) -> Mapping[str, Any]:
        """The identity of the weights."""
        return locating.identity(self.path, self.revision, "segmenter.path")

    def provenance(self) -> Mapping[str, Any]:
        """The requested device and dtype."""
        return {"device": device_name(self.device), "dtype": self.dtype, **locating.origin(self.path, self.revision)}

    def point_masks(self, requests: Sequence[tuple[Image.Image, Sequence[Point]]]) -> Iterator[SegmenterMasks]:
        """The masks of each point alone, in the decoder's order. Equal images are encoded once."""
        prompts = [(image, [[point] for point in points]) for image, points in requests]
        return self._segment(prompts, "input_points", multimask=True)

    def box_masks(self, requests: Sequence[tuple[Image.Image, Sequence[Box]]]) -> Iterator[SegmenterMasks]:
        """The mask of each box alone, or with `multimask_boxes` its masks in the decoder's order."""
        return self._segment(requests, "input_boxes", multimask=self.multimask_boxes)

    def _prepare(self, image: Image.Image) -> Prepared:
        """Preprocess an image."""
        raise NotImplementedError

    def _restore(self, logits: Any, size: tuple[int, int], image_size: tuple[int, int]) -> Any:
        """(P, K, H, W) logits at image resolution. logits: (P, K, h, w); size: see Prepared; image_size: (H, W)."""
        raise NotImplementedError

    def _segment(
        self, requests: Sequence[tuple[Image.Image, Sequence[Any]]], name: str, multimask: bool
    ) -> Iterator[SegmenterMasks]:
        """Yield the masks for the prompts of each request, in image pixels; each request's masks are made on demand.

        name: the model's argument for the prompts; the last axis of a prompt is x, y, x, y ...
        """
        images = [image for image, prompts in requests if prompts]
        encoded_keys = self._encoded.encode(images, self._prepare, lambda: self._model)
        sizes = {key: self._encoded.size(key) for key in encoded_keys}
        keys = iter(encoded_keys)
        together: dict[str, list[Any]] = {}  # the prompts of an image, of all its requests
        slices: list[tuple[str, slice]] = []
        for image, prompts in requests:
            key = next(keys) if prompts else ""
            scaled = self._scaled(image, prompts, key) if prompts else []
            before = together.setdefault(key, []) if prompts else []
            slices.append((key, slice(len(before), len(before) + len(scaled))))
            before.extend(scaled)
        decoded = self._decode(together, name, multimask)
        for (image, prompts), (key, rows) in zip(requests, slices, strict=True):
            shape = (image.height, image.width)
            if not prompts:
                yield SegmenterMasks(np.zeros((0, 1, *shape), bool), np.zeros((0, 1), np.float32))
                continue
            logits, scores = (values[rows] for values in decoded[key])
            yield SegmenterMasks(self._inside(logits, sizes[key], shape), scores.numpy())

    def _inside(self, logits: Any, size: tuple[int, int], image_size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """(P, K, H, W) masks of logits (P, K, h, w); for a huge image one mask at a time."""
        flat = logits.flatten(0, 1)[:, None]
        room = max(1, _RESTORED // (image_size[0] * image_size[1]))
        masks = np.empty((len(flat), *image_size), dtype=np.bool_)
        for start in range(0, len(flat), room):
            part = slice(start, start + room)
            masks[part] = (self._restore(flat[part], size, image_size) > 0).numpy()[:, 0]
        return masks.reshape(*logits.shape[:2], *image_size)

    def _scaled(self, image: Image.Image, prompts: Sequence[Any], key: str) -> list[Any]:
        """Prompts in pixels of the preprocessed image."""
        height, width = self._encoded.size(key)
        values = np.asarray(prompts, np.float64)
        scale = np.tile([width / image.width, height / image.height], values.shape[-1] // 2)
        scaled: list[Any] = (values * scale).tolist()
        return scaled

    def _decode(self, together: Mapping[str, list[Any]], name: str, multimask: bool) -> dict[str, tuple[Any, Any]]:
        """Logits (P, K, h, w) and scores (P, K) of all prompts of each encoded image.

        Raises FloatingPointError for NaN: it is not above 0, so that it would give an empty mask. A row of the
        decoder's batch holds prompts of one image, as many as an image has on average. The last row of an image is
        padded with its last prompt.
        """
        import torch

        from pixfound.compute.numerics import check_finite

        total = sum(map(len, together.values()))
        width = -(-total // max(len(together), -(-total // _CHUNK))) if total else 1
        rows = [
            (key, prompts[start : start + width])
            for key, prompts in together.items()
            for start in range(0, len(prompts), width)
        ]
        parts_of: dict[str, list[tuple[Any, Any]]] = {key: [] for key in together}
        size = max(1, _CHUNK // width)
        for part in (rows[start : start + size] for start in range(0, len(rows), size)):
            filled = [prompts + prompts[-1:] * (width - len(prompts)) for _, prompts in part]
            values = torch.tensor(filled, dtype=torch.float64).to(self._model.device, self._model.dtype)
            with torch.inference_mode():
                embeddings = self._encoded.joined([key for key, _ in part])
                out = self._model(**embeddings, **{name: values}, multimask_output=multimask)
            outputs = (out.pred_masks.float().cpu(), out.iou_scores.float().cpu())
            check_finite(outputs[0], "the segmenter's logits")
            check_finite(outputs[1], "the segmenter's scores")
            for (key, prompts), logits, scores in zip(part, *outputs, strict=True):
                parts_of[key].append((logits[: len(prompts)], scores[: len(prompts)]))
        return {
            key: (torch.cat([logits for logits, _ in parts]), torch.cat([scores for _, scores in parts]))
            for key, parts in parts_of.items()
        }

    @cached_property
    def _folder(self) -> str:
        return locating.fetch(self.path, self.revision, "segmenter.path")

    @cached_property
    def _model(self) -> Any:
        import torch
        import transformers

        architecture, dtype = getattr(transformers, self.architecture), getattr(torch, self.dtype)
        model = load_pretrained(architecture, self._folder, self.path, "segmenter.path", dtype=dtype)
        return model.to(pick_device(self.device)).eval()
