"""The masks that the pixel-level miniature draws on PixShapes, through the package's own loader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml
from experiments.training.intervals import Item
from experiments.training.segmenting import REQUEST

from pixfound.benchmarks.scenes import SIZE
from pixfound.models.pixel.lisa import Lisa
from pixfound.types import Example, Prompt
from pixfound.types.masks import iou, union

CONFIG = Path(__file__).parents[2] / "conf" / "model" / "tiny_pixel.yaml"


def load(folder: Path) -> Lisa:
    """The model in tiny_pixel/ and tiny_clip/ of a folder, on the CPU."""
    prompt = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["prompt"]
    return Lisa(
        path=str(folder / "tiny_pixel"), vision_tower=str(folder / "tiny_clip"), prompt=prompt, dtype="float32",
        device="cpu", generation={"max_new_tokens": 48},
    )  # fmt: skip


def mask_items(model: Lisa, examples: Sequence[Example], batch: int = 32) -> dict[str, list[Item]]:
    """IoU of what is drawn with what is named, where it is present; whether anything is drawn, present and absent."""
    items: dict[str, list[Item]] = {}
    for start in range(0, len(examples), batch):
        some = examples[start : start + batch]
        asked = [Prompt(e.id, "ground", "lisa", REQUEST.format(expression=e.expression)) for e in some]
        said = model.generate([(e.image.load(), p) for e, p in zip(some, asked, strict=True)])
        for example, generation in zip(some, said, strict=True):
            pair, drawn = str(example.pair_id), union(generation.masks, (SIZE, SIZE))
            items.setdefault(f"drawn_{'absent' if example.absent else 'present'}", []).append(
                Item(pair, float(drawn.area > 0))
            )
            if not example.absent:
                value = iou(drawn, example.gt_mask)
                items.setdefault("iou_present", []).append(Item(pair, value))
                items.setdefault("iou_over_half", []).append(Item(pair, float(value > 0.5)))
                items.setdefault(f"iou_present/{example.tags['category']}", []).append(Item(pair, value))
    return items
