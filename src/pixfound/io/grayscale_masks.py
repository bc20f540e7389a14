"""Masks out of grey pictures, by a plain rule or as the evaluation code of arXiv 2502.04192 reads them.

That code reads with OpenCV, turns the level 255 into 1, leaves the others as they are, and combines the result bit by
bit with a truth of 0 and 1. So a pixel of an odd level may lie in the intersection, one of an even level never does,
and each adds its whole level to the union. PixCV-Bench's masks are resized linearly and cut down to whole levels, which
eats their borders. The functions here give the same levels as OpenCV without it.

Shapes: `H` height, `W` width; levels are (H, W) uint8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.io.images import has_16_bits, opened
from pixfound.types.masks import RLE

Levels = npt.NDArray[np.uint8]
Grey = Literal["threshold", "levels"]
Resize = Literal["nearest", "linear"]
_RED, _GREEN, _BLUE = 9797, 19234, 3737  # of 32768: libpng's weights of the colours as OpenCV asks for them


def read_levels(path: Path | BinaryIO) -> Levels:
    """The grey levels of a picture as OpenCV reads them, whatever its mode. Raises OSError where it is unreadable."""
    with opened(path) as picture:
        if picture.format == "JPEG":
            picture.draft("L", picture.size)  # the luminance as it is stored
        if picture.mode in ("L", "1"):
            return np.asarray(picture.convert("L"), dtype=np.uint8)
        if picture.mode in ("I", "F") and not has_16_bits(picture):
            raise OSError("its grey levels have no known range; save it with 8 bits a pixel")
        if has_16_bits(picture):
            return np.asarray(np.asarray(picture).astype(np.int64) >> 8, dtype=np.uint8)
        if picture.mode == "LA":
            return np.asarray(picture.getchannel(0), dtype=np.uint8)
        red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), dtype=np.int64), 2, 0)
    return np.asarray((red * _RED + green * _GREEN + blue * _BLUE) >> 15, dtype=np.uint8)


def mask_of(levels: Levels, size: tuple[int, int], grey: Grey = "threshold", resize: Resize = "nearest") -> RLE:
    """A mask of `size` (H, W) out of levels of any size.

    grey: `threshold` takes what is brighter than 127; `levels` keeps the levels as the paper's code does, so that
        1 is inside as 255 is, and the mask has a surplus where there are others. resize: the interpolation.
    """
    if grey == "threshold":
        inside = levels > 127
        if resize == "linear":
            return _with_surplus(linear(inside.astype(np.uint8), size).astype(np.uint8))
        return RLE.encode(nearest(inside, size))
    weights = np.where(levels == 255, 1, levels).astype(np.uint8)
    return _with_surplus(linear(weights, size).astype(np.uint8) if resize == "linear" else nearest(weights, size))


def nearest(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """(H, W) values resized to `size` by taking the nearest pixel's."""
    if values.shape == size:
        return values
    return np.asarray(Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.NEAREST), dtype=values.dtype)


def linear(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(H, W) values resized to `size` as OpenCV's bilinear resize of float32 does it, to the last bit.

    Builds of OpenCV with Intel's IPP round otherwise where neighbours differ, so that a cut level may be one off; of
    masks with two levels, nothing changes.
    """
    plain = values.astype(np.float32)
    if plain.shape == size:
        return plain
    left, right, x = _taps(plain.shape[1], size[1], clamp=True)
    upper, lower, y = _taps(plain.shape[0], size[0], clamp=False)
    rows = _blend(plain.take(left, axis=1), plain.take(right, axis=1), x)
    return _blend(rows.take(upper, axis=0), rows.take(lower, axis=0), y[:, None])


def linear_mask(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """An (H, W) mask resized to `size` as OpenCV's bilinear resize of bytes does it, in its fixed-point numbers."""
    if mask.shape == size:
        return mask
    left, right, x = _taps(mask.shape[1], size[1], clamp=True)
    upper, lower, y = _taps(mask.shape[0], size[0], clamp=False)
    plain = mask.astype(np.int32)
    rows = (plain.take(left, axis=1) * _fixed(1 - x) + plain.take(right, axis=1) * _fixed(x)) >> 4
    above = rows.take(upper, axis=0) * _fixed(1 - y)[:, None] >> 16
    below = rows.take(lower, axis=0) * _fixed(y)[:, None] >> 16
    resized: npt.NDArray[np.bool_] = (above + below + 2) >> 2 > 0
    return resized


def _blend(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], weight: Any) -> npt.NDArray[np.float32]:
    """First times (1 - weight) and second times weight, added up in place."""
    a *= 1 - weight
    b *= weight
    a += b
    return a


def _with_surplus(levels: Levels) -> RLE:
    odd = (levels & 1).astype(np.bool_)
    mask = RLE.encode(odd)
    return RLE(mask.size, mask.counts, int(levels.sum(dtype=np.int64)) - int(odd.sum()))


def _fixed(weights: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    return np.asarray(np.rint(weights * np.float32(2048)), dtype=np.int32)


def _taps(length: int, target: int, clamp: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Any]:
    """The two source pixels of each wanted pixel, and the second one's weight as float32.

    clamp: give a pixel beyond the border no weight, as is done along a row; along a column it is the border's again.
    """
    scale = 1.0 / (target / length)
    places = ((np.arange(target) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(places).astype(np.int64)
    weights = places - first.astype(np.float32)
    if clamp:
        weights[(first < 0) | (first >= length - 1)] = 0
    return np.clip(first, 0, length - 1), np.clip(first + 1, 0, length - 1), weights
