"""Mask decoding: SAM's and SAM 2's decoders prompted by projected hidden states of an MLLM.

Shapes: `S` prompt vectors (one per [SEG]), `D` decoder width, `H` x `W` image pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pixfound.compute.numerics import check_finite
from pixfound.io.images import as_rgb
from pixfound.types.masks import RLE, BoolMask

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


def sam_logits(sam: Any, image: Image.Image, vectors: Tensor) -> Iterator[Tensor]:
    """Yield S mask logits (H, W) of a SamModel for vectors (S, D).

    LISA (arXiv 2308.00692), GLaMM (arXiv 2311.03356). Each vector is the only sparse prompt of its mask, no point.
    The decoder's single-mask output is taken. FloatingPointError where logits are not finite.
    """
    side = int(sam.config.vision_config.image_size)
    scale = side / max(image.size)
    width, height = (max(1, int(v * scale + 0.5)) for v in image.size)
    pixels = _normalised(as_rgb(image).resize((width, height), Image.Resampling.BILINEAR))
    pixels = functional.pad(pixels, (0, side - width, 0, side - height))  # zeros after the normalisation
    embedding = sam.get_image_embeddings(pixels[None].to(vectors.device, sam.dtype))
    low, _ = sam.mask_decoder(
        image_embeddings=embedding,
        image_positional_embeddings=sam.get_image_wide_positional_embeddings(),
        sparse_prompt_embeddings=vectors[None, :, None].to(sam.dtype),
        dense_prompt_embeddings=_no_mask(sam, embedding),
        multimask_output=False,
    )
    yield from _enlarged(low[0], side, (height, width), image)


def sam2_logits(sam2: Any, image: Image.Image, vectors: Tensor, bf16_mean: bool) -> Iterator[Tensor]:
    """Yield S mask logits (H, W) of a Sam2Model for vectors (S, D).

    Sa2VA (arXiv 2501.04001), RGA3 (arXiv 2506.18825). The image is resized to a square without keeping its aspect
    ratio. A vector follows two "not a point" tokens. Of three masks the one with the best predicted IoU is taken,
    regardless of the object score. Logits are resized in two steps, as in the originals.
    bf16_mean: normalise the image with a mean and a deviation rounded to bfloat16.
    FloatingPointError where logits are not finite.
    """
    side = int(sam2.config.prompt_encoder_config.image_size)
    squashed = as_rgb(image).resize((side, side), Image.Resampling.BICUBIC)
    pixels = _normalised(squashed, torch.bfloat16 if bf16_mean else torch.float32)
    maps = sam2.get_image_embeddings(pixels[None].to(vectors.device, sam2.dtype))
    point = torch.zeros(1, len(vectors), 1, 2, device=vectors.device, dtype=sam2.dtype)
    label = -torch.ones(1, len(vectors), 1, device=vectors.device, dtype=torch.int)
    nothing, dense = sam2.get_prompt_embeddings(input_points=point, input_labels=label)
    low, ious, _, _ = sam2.mask_decoder(
        image_embeddings=maps[-1],
        image_positional_embeddings=sam2.get_image_wide_positional_embeddings(),
        sparse_prompt_embeddings=torch.cat([nothing, vectors[None, :, None].to(sam2.dtype)], dim=2),
        dense_prompt_embeddings=dense,
        multimask_output=True,
        high_resolution_features=maps[:-1],
    )
    best = ious[0].argmax(dim=-1)
    chosen = low[0][torch.arange(len(best), device=best.device), best][:, None]
    yield from _enlarged(chosen, side, (side, side), image)


def to_masks(logits: Iterator[Tensor]) -> tuple[RLE, ...]:
    """Masks of logits (H, W) each: True where they are above 0."""
    return tuple(RLE.encode(mask) for mask in map(_inside, logits))


def _inside(logits: Tensor) -> BoolMask:
    return np.asarray((logits > 0).cpu())


def _enlarged(low: Tensor, side: int, part_size: tuple[int, int], image: Image.Image) -> Iterator[Tensor]:
    """Yield the decoder's logits (S, 1, h, w) resized to the image (H, W), one by one, as they are large.

    They are resized in two steps: to the model's input square, then its part with the image to the image's size.
    side: of the square, in pixels. part_size: (height, width) of the image within the square.
    FloatingPointError where logits are not finite: none of them is above 0, so the mask would be empty.
    """
    check_finite(low, "the logits of its masks")
    for logits in low.float():
        square = functional.interpolate(logits[None], (side, side), mode="bilinear", align_corners=False)
        part = square[..., : part_size[0], : part_size[1]]
        yield functional.interpolate(part, (image.height, image.width), mode="bilinear", align_corners=False)[0, 0]


def _normalised(image: Image.Image, dtype: torch.dtype = torch.float32) -> Tensor:
    """The image (3, H, W) in fp32, normalised with ImageNet's mean and deviation. dtype: to which both are rounded."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(v).to(dtype).float()[:, None, None] for v in (_MEAN, _STD))
    return (pixels - mean) / std


def _no_mask(sam: Any, embedding: Tensor) -> Tensor:
    dense: Tensor = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand_as(embedding)
    return dense
