"""Resizing of an image to a model's square, equal to the image processors of SAM 2 and SAM 3 but without torchvision.

The aspect ratio is not kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from pixfound.checkpoints import locating
from pixfound.io.images import as_rgb


def load_settings(folder: str, path: str, key: str) -> dict[str, Any]:
    """A checkpoint's image processing: size, image_mean, image_std, rescale_factor. path, key: for error messages."""
    from transformers.image_processing_base import ImageProcessingMixin

    with locating.loading(path, key):
        settings, _ = ImageProcessingMixin.get_image_processor_dict(folder)
        missing = {"size", "image_mean", "image_std"} - settings.keys()
        if missing:
            raise ValueError(f"its preprocessor_config.json names no {' and no '.join(sorted(missing))}")
        return dict(settings)


def squashed(image: Image.Image, settings: dict[str, Any]) -> tuple[Any, tuple[int, int]]:
    """(1, 3, S, S) resized, rescaled and normalised pixels, and their (height, width)."""
    import torch
    from torch.nn.functional import interpolate

    size = (int(settings["size"]["height"]), int(settings["size"]["width"]))
    pixels = torch.from_numpy(np.array(as_rgb(image))).permute(2, 0, 1)[None]
    resized = interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)  # 8 bits, rounded
    mean, std = (torch.tensor(settings[name])[:, None, None] for name in ("image_mean", "image_std"))
    return (resized.float() * settings.get("rescale_factor", 1 / 255) - mean) / std, size
