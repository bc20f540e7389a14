"""Masks of predictions: grey pictures, and COCO results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pixfound.errors import UserError
from pixfound.io.coco import read_coco_results
from pixfound.io.grayscale_masks import Grey, mask_of, read_levels
from pixfound.io.images import opened
from pixfound.io.predictions.naming import Owners
from pixfound.types.masks import RLE

Scored = list[tuple[RLE, float | None]]  # masks of an example, with their scores
Resize = Literal["error", "nearest", "linear"]


def read_mask(path: Path, size: tuple[int, int], resize: Resize = "error", grey: Grey = "threshold") -> RLE:
    """A mask of `size` (H, W) from a picture, whose pixels brighter than mid-grey are inside.

    resize: treatment of a picture of another size: `error`, or as in `pixfound.io.grayscale_masks`. grey: `levels`
    keeps its grey levels as the paper's code does. Raises ValueError.
    """
    try:
        levels = read_levels(path)
    except OSError as error:
        raise ValueError(f"{path}: is no readable picture ({error}); write it again") from error
    if levels.shape != size and resize == "error":
        raise ValueError(
            f"{path}: is {levels.shape[0]} x {levels.shape[1]} pixels (height x width), the image {size[0]} x "
            f"{size[1]}; write it in the image's size, or take the nearest pixels with model.resize=nearest"
        )
    return mask_of(levels, size, grey, "linear" if resize == "linear" else "nearest")


def read_results(path: Path, owners: Owners, key: str) -> Mapping[str, Scored]:
    """The masks of each example, with their scores, from a COCO results file: a list of `image_id`, `segmentation`.

    image_id: an example's id or number, or its image's file name or stem. Masks must be of the image's size.
    """
    masks: dict[str, Scored] = {}
    for result in read_coco_results(path, key):
        id = owners.of(result.image_id) or owners.find(Path(result.image_id).stem, f"{result.where}: image_id")
        if id is not None:
            masks.setdefault(id, []).append((result.mask(owners.images[id].size), result.score))
    if not masks:
        raise UserError(f"{key}={path}: has no mask for an example of this benchmark: check `image_id`")
    return masks


def check_picture(path: Path, size: tuple[int, int], resize: Resize, key: str) -> None:
    """Raise a UserError unless a file is a whole picture of `size` (H, W), or may be resized; no pixel is decoded."""
    try:
        with opened(path) as picture:
            width, height = picture.size
            picture.verify()
    except OSError as error:
        raise UserError(f"{key}: {path} is no readable picture ({error}); write it again") from error
    if (height, width) != size and resize == "error":
        raise UserError(
            f"{key}: {path} is {height} x {width} pixels (height x width), the image {size[0]} x {size[1]}; "
            "write it in the image's size, or take the nearest pixels with model.resize=nearest"
        )
