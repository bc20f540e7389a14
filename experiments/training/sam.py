"""The miniature SAM: its size, its loss and its training on scenes with point prompts.

Shapes: `B` images, `P` points an image, `M` = 3 masks a point, `S` = 128 pixels.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from experiments.training.optim import Optimiser
from transformers import SamConfig, SamModel, SamProcessor
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from pixfound.benchmarks.scenes import SIZE, Scene, random_scene

IMAGES, POINTS, BACKGROUND = 6, 8, 2  # images a step, points an image, of which on the background
WHOLE = 0.75  # where a point lies on a dot, the share of cases in which the whole thing is what was meant
Batch = dict[str, torch.Tensor]
Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
Point = tuple[float, float]
Target = tuple[Mask, Mask | None]


def build() -> tuple[SamModel, SamProcessor]:
    """An untrained model for images of 128 x 128 (embedding 16 x 16, masks 64 x 64), and its processor."""
    config = SamConfig(
        vision_config={
            "hidden_size": 96, "output_channels": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
            "image_size": SIZE, "patch_size": 8, "window_size": 0, "global_attn_indexes": [0, 1, 2],
            "num_pos_feats": 32, "mlp_dim": 384, "initializer_range": 0.02,
        },
        prompt_encoder_config={"hidden_size": 64, "image_size": SIZE, "patch_size": 8},
        mask_decoder_config={"hidden_size": 64, "mlp_dim": 256, "num_attention_heads": 4, "iou_head_hidden_dim": 64},
    )  # fmt: skip
    model = SamModel(config)
    # The default scale (hidden // 2) turns the codes of neighbouring points into unrelated noise.
    codes = model.shared_image_embedding.positional_embedding
    torch.nn.init.normal_(codes, std=1.0)
    codes.requires_grad_(False)
    size = {"height": SIZE, "width": SIZE}
    low = {"height": SIZE // 2, "width": SIZE // 2}
    images = SamImageProcessorPil(
        size={"longest_edge": SIZE}, pad_size=size, mask_size={"longest_edge": SIZE // 2}, mask_pad_size=low
    )
    return model, SamProcessor(images)


def dot(pixels: Pixels, mask: Mask) -> Mask:
    """The white dot of a thing, (S, S): nothing else in a scene is bright in all three channels."""
    return np.asarray(mask & (pixels.min(axis=2) > 200))


def draw(scene: Scene, rng: np.random.Generator) -> tuple[Pixels, list[Point], list[Target]]:
    """(pixels (S, S, 3), P points, P pairs of the whole's mask and the dot's, None where the point is on no dot)."""
    pixels = np.asarray(scene.render())
    masks = [scene.mask(thing) for thing in scene.things]
    around = ~np.any(masks, axis=0)
    points, targets = [], []
    for index in range(POINTS):
        if index < BACKGROUND:
            region, whole, part = around, around, None
        else:
            whole = masks[index % len(masks)]
            part = dot(pixels, whole)
            region, part = (part, part) if part.any() and rng.random() < 0.25 else (whole, part)
        rows, columns = np.nonzero(region)
        pick = int(rng.integers(len(rows)))
        points.append((float(columns[pick]), float(rows[pick])))
        inside = part is not None and bool(part[rows[pick], columns[pick]])
        targets.append((whole, part if inside else None))
    return pixels, points, targets


def batch(rng: np.random.Generator, processor: SamProcessor, images: int = IMAGES) -> Batch:
    """pixel_values (B, 3, S, S), points (B, P, 1, 2), whole and part (B, P, S, S), has_part (B, P)."""
    drawn = [draw(random_scene(rng), rng) for _ in range(images)]
    nothing = np.zeros((SIZE, SIZE), dtype=bool)
    whole = np.stack([[w for w, _ in targets] for _, _, targets in drawn])
    part = np.stack([[nothing if p is None else p for _, p in targets] for _, _, targets in drawn])
    pixels = processor.image_processor([p for p, _, _ in drawn], return_tensors="pt", input_data_format="channels_last")
    return {
        "pixel_values": pixels["pixel_values"],
        "points": torch.tensor([p for _, p, _ in drawn])[:, :, None],
        "whole": torch.from_numpy(whole).float(),
        "part": torch.from_numpy(part).float(),
        "has_part": torch.from_numpy(part.any(axis=(2, 3))).float(),
    }


def loss_of(model: SamModel, data: Batch) -> torch.Tensor:
    """20 focal + dice of the best mask + 0.15 x the mean over the masks + the error of the predicted IoU.

    A point on a dot has two right answers, the thing and the dot; each must be among the three masks.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(pixel_values=data["pixel_values"], input_points=data["points"])
    logits = F.interpolate(out.pred_masks.float().flatten(0, 1), (SIZE, SIZE), mode="bilinear", align_corners=False)
    logits = logits.view(*out.pred_masks.shape[:3], SIZE, SIZE)  # (B, P, M, S, S)
    whole, part = (_mask_loss(logits, data[k][:, :, None]) for k in ("whole", "part"))  # each (B, P, M)
    has = data["has_part"]
    best = whole.amin(-1) + has * part.amin(-1)
    spread = torch.where(has[..., None] > 0, torch.minimum(whole, part), whole).mean(-1)
    with torch.no_grad():
        ious = [_iou(logits, data[k][:, :, None]) for k in ("whole", "part")]
        expected = torch.where(has[..., None] > 0, WHOLE * ious[0] + (1 - WHOLE) * ious[1], ious[0])
    quality = F.mse_loss(out.iou_scores.float(), expected)
    return best.mean() + 0.15 * spread.mean() + quality


def train(steps: int, seed: int) -> tuple[SamModel, SamProcessor]:
    """Train from scratch; prints the loss. About 0.5 s a step on one CPU thread."""
    torch.manual_seed(seed)
    model, processor = build()
    rng = np.random.default_rng(seed)
    optimiser = Optimiser([model], steps, matrix_lr=8e-3, other_lr=2e-3, flat=0.3)
    model.train()
    start, total = time.time(), 0.0
    for step in range(steps):
        loss = loss_of(model, batch(rng, processor))
        optimiser.step(loss)
        total += float(loss.detach())
        if (step + 1) % 100 == 0:
            print(f"sam step {step + 1}/{steps} loss {total / 100:.4f} ({time.time() - start:.0f} s)", flush=True)
            total = 0.0
    return model.eval(), processor


def _mask_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """20 focal + dice, (B, P, M), of logits (B, P, M, S, S) against a target (B, P, 1, S, S)."""
    chance = logits.sigmoid()
    cross = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    missed = (chance - target).abs()
    focal = ((0.25 * target + 0.75 * (1 - target)) * missed**2 * cross).mean((-2, -1))
    overlap = (chance * target).sum((-2, -1))
    dice = 1 - (2 * overlap + 1) / (chance.sum((-2, -1)) + target.sum((-2, -1)) + 1)
    return 20 * focal + dice


def _iou(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """IoU of the thresholded masks, (B, P, M)."""
    found, wanted = logits > 0, target > 0.5
    both, either = (found & wanted).sum((-2, -1)), (found | wanted).sum((-2, -1))
    return both / either.clamp(min=1)
