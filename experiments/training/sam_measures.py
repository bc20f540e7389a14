"""How well the miniature SAM segments held-out scenes from one point, through its processor."""

from __future__ import annotations

import numpy as np
import torch
from experiments.training.intervals import Item
from experiments.training.questions import VALIDATION_SEED
from experiments.training.sam import Mask, dot
from transformers import SamModel, SamProcessor

from pixfound.benchmarks.scenes import random_scene


@torch.no_grad()
def sam_items(model: SamModel, processor: SamProcessor, scenes: int = 400) -> dict[str, list[Item]]:
    """IoUs from a random point on a thing, on a dot (part) and on the background; one of each a scene.

    best: of the three masks, the one nearest to the truth. top: the one of the highest predicted IoU.
    background_snap: whether the top mask of a background point is rather a thing (IoU over 0.5 with one).
    """
    rng = np.random.default_rng(VALIDATION_SEED + 1)
    items: dict[str, list[Item]] = {}
    for index in range(scenes):
        scene = random_scene(rng)
        image = scene.render()
        masks = [scene.mask(t) for t in scene.things]
        around = ~np.any(masks, axis=0)
        chosen = masks[int(rng.integers(len(masks)))]
        dots = [d for d in (dot(np.asarray(image), m) for m in masks) if d.any()]
        truths = {"whole": chosen, "background": around}
        if dots:
            truths["part"] = dots[0]
        names = list(truths)
        points = [_point(truths[name], rng) for name in names]
        inputs = processor(images=image, input_points=[[[p] for p in points]], return_tensors="pt")
        out = model(pixel_values=inputs["pixel_values"], input_points=inputs["input_points"])
        found = processor.post_process_masks(out.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"])[
            0
        ].numpy()  # (points, 3, H, W)
        tops = out.iou_scores[0].argmax(-1).tolist()
        for row, name in enumerate(names):
            ious = [iou(m, truths[name]) for m in found[row]]
            items.setdefault(f"{name}_best", []).append(Item(str(index), max(ious)))
            if name != "part":  # a dot's point is read as the thing three times in four
                items.setdefault(f"{name}_top", []).append(Item(str(index), ious[tops[row]]))
            if name == "background":
                snapped = max(iou(found[row][tops[row]], m) for m in masks) > 0.5
                items.setdefault("background_snap", []).append(Item(str(index), float(snapped)))
    return items


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union; of two empty masks, 1."""
    either = (a | b).sum()
    return float((a & b).sum() / either) if either else 1.0


def _point(mask: Mask, rng: np.random.Generator) -> list[float]:
    rows, columns = np.nonzero(mask)
    pick = int(rng.integers(len(rows)))
    return [float(columns[pick]), float(rows[pick])]
