"""The size of the picture that a model is given, for models that speak of its pixels (Qwen2.5-VL)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def input_size(inputs: Mapping[str, Any], index: int, image_processor: Any, config: Any) -> tuple[int, int] | None:
    """(H, W) to which a processor that keeps the image's shape resized the picture at `index` of a batch.

    It is the grid of patches that such a processor reports times the side of a patch; None without that grid.
    image_processor, config: the model's; the latter knows the patch where the former does not.
    """
    if "image_grid_thw" not in inputs:
        return None
    _, rows, columns = (int(v) for v in inputs["image_grid_thw"][index])
    patch = int(getattr(image_processor, "patch_size", None) or config.vision_config.patch_size)
    return rows * patch, columns * patch
