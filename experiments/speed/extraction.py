"""Masks for the phrases of three answers about an image, and the baseline: a straightforward script, written cleanly.

The script goes through one prompt's answers after the other, and for each through its images: an image is encoded for
every prompt again, and each point is decoded by itself. The segmenter is SAM's architecture scaled down, with random
weights and the published decoder. Encoding an image takes 87 times the operations of decoding a point here, and
268 times with ViT-B at 1024 pixels: what is encoded again and again weighs less here than in SAM.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from experiments.speed.measuring import compare
from PIL import Image
from transformers import (
    SamConfig,
    SamImageProcessor,
    SamMaskDecoderConfig,
    SamModel,
    SamProcessor,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from pixfound.extractors import segment_points
from pixfound.segmenters.sam import Sam
from pixfound.types.masks import RLE

PROMPTS = 3  # answers about an image
Points = list[tuple[float, float]]
Logits = npt.NDArray[np.float32]
Work = Sequence[tuple[Image.Image, Sequence[Points]]]  # images, each with the points of PROMPTS answers


def measure_extraction(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Masks of three answers about each image; both ways must give the same, but for pixels at rounding from zero."""
    save_segmenter(folder, options.side)
    work = make_work(options.images)
    ours = Sam(str(folder), device="cpu")
    model, processor = SamModel.from_pretrained(folder).eval(), SamImageProcessor.from_pretrained(folder)
    furthest = disagreement(together(ours, work), logits_one_by_one(model, processor, work))
    assert furthest <= rounding(model), f"masks differ where the logit is {furthest:.1e} of the largest"
    return compare(
        "extraction together vs point by point",
        lambda: together(ours, work),
        lambda: one_by_one(model, processor, work),
        PROMPTS * len(work),
        options.repeats,
    )


def make_work(images: int) -> Work:
    """Noise of several shapes, and for each answer one to five points."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(images):
        width, height = ((640, 480), (480, 640), (500, 375))[number % 3]
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        answers = [
            [(float(x), float(y)) for x, y in rng.random((int(rng.integers(1, 6)), 2)) * (width - 1, height - 1)]
            for _ in range(PROMPTS)
        ]
        found.append((image, answers))
    return found


def save_segmenter(folder: Path, side: int) -> Path:
    """SAM with a ViT of six layers of width 640 for pictures of `side` pixels."""
    torch.manual_seed(0)
    size = {"image_size": side, "patch_size": 16}
    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=640,
            num_hidden_layers=6,
            num_attention_heads=10,
            num_pos_feats=128,
            mlp_dim=2560,
            global_attn_indexes=[2, 5],
            initializer_range=0.02,
            **size,
        ),
        prompt_encoder_config=SamPromptEncoderConfig(image_embedding_size=side // 16, **size),
        mask_decoder_config=SamMaskDecoderConfig(),
    )
    SamModel(config).eval().save_pretrained(folder)
    pad = {"height": side, "width": side}
    SamProcessor(SamImageProcessor(size={"longest_edge": side}, pad_size=pad)).save_pretrained(folder)
    return folder


def together(segmenter: Sam, work: Work) -> list[list[RLE]]:
    """The masks of each answer, prompt by prompt: all images and prompts at once, as the pipeline does it."""
    segmenter._encoded.clear()  # nothing is left of the run before
    asked = [(image, answers[prompt]) for prompt in range(PROMPTS) for image, answers in work]
    requests = [(image, points, [None] * len(points)) for image, points in asked]
    return [[candidate.mask for candidate in found] for found in segment_points(segmenter, requests)]


def one_by_one(model: Any, processor: Any, work: Work) -> list[list[RLE]]:
    """The masks of each answer, prompt by prompt, without anything of pixfound's own segmenters."""
    return [[RLE.encode(one > 0) for one in answer] for answer in logits_one_by_one(model, processor, work)]


def logits_one_by_one(model: Any, processor: Any, work: Work) -> Iterator[list[Logits]]:
    """(H, W) of each mask of each answer, in the order of `one_by_one`."""
    for prompt in range(PROMPTS):
        for image, answers in work:
            inputs = processor(images=image, return_tensors="pt")
            with torch.inference_mode():
                embeddings = model.get_image_embeddings(inputs["pixel_values"])
            found: list[Logits] = []
            for point in answers[prompt]:
                found.extend(_logits_of(model, processor, inputs, embeddings, image, point))
            yield found


def _logits_of(
    model: Any, processor: Any, inputs: Any, embeddings: Any, image: Image.Image, point: tuple[float, float]
) -> list[Logits]:
    """The three masks of a point, before they are cut at zero."""
    height, width = inputs["reshaped_input_sizes"][0].tolist()
    where = torch.tensor([point[0] * width / image.width, point[1] * height / image.height])
    with torch.inference_mode():
        out = model(image_embeddings=embeddings, input_points=where[None, None, None], multimask_output=True)
    size = [(image.height, image.width)]
    full = processor.post_process_masks([out.pred_masks[0]], size, [(height, width)], binarize=False)[0]
    return list(full[0].numpy())


def disagreement(ours: Sequence[Sequence[RLE]], theirs: Iterable[Sequence[Logits]]) -> float:
    """The largest |logit| at a pixel that `ours` puts on the other side of zero, as a share of that mask's largest.

    Infinite where the two do not even correspond.
    """
    furthest = 0.0
    for masks, logits in zip_longest(ours, theirs, fillvalue=()):
        if len(masks) != len(logits):
            return float("inf")
        for mask, values in zip(masks, logits, strict=True):
            size = np.abs(values)
            differ = size[mask.decode() != (values > 0)]
            furthest = max(furthest, float(differ.max(initial=0) / size.max()))
    return furthest


def rounding(model: Any) -> float:
    """The error of a logit by rounding, relative to the largest: terms that are added on the way to it times epsilon.

    The longest sum of each encoder layer counts. The order of additions, and with it the error, is the processor's own;
    the share of pixels that are so near to zero depends on the weights and says nothing.
    """
    vision = model.config.vision_config
    return float(vision.num_hidden_layers * vision.mlp_dim * torch.finfo(torch.float32).eps)
