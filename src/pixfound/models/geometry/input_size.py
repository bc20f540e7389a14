"""The size of a model's resized input image, for models that answer in its pixel coordinates (Qwen2.5-VL)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def input_size(inputs: Mapping[str, Any], index: int, image_processor: Any, config: Any) -> tuple[int, int] | None:
    """(H, W) in pixels of the image at `index` of a batch after the processor resized it; None where it is unknown.

    It is the grid of patches in `image_grid_thw` times the side of a patch; None without `image_grid_thw`.
    image_processor, config: the model's. The patch size is the image processor's, else the vision config's.
    """
    if "image_grid_thw" not in inputs:
        return None
    _, rows, columns = (int(v) for v in inputs["image_grid_thw"][index])
    patch = int(getattr(image_processor, "patch_size", None) or config.vision_config.patch_size)
    return rows * patch, columns * patch
