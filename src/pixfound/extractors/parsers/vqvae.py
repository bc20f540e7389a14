"""Decoder of the VQ-VAE from PaliGemma's segmentation codes to masks (arXiv 2301.02229, 2407.07726).

The weights are one file that Google published separately from the models, `SOURCE`, with the names and axis order of
PyTorch. Shapes: `B` masks, `C` channels.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from pixfound.errors import UserError
from pixfound.extractors.parsers.coordinates import Box
from pixfound.extractors.parsers.grammars import CODES_PER_MASK, NUM_CODES, Codes
from pixfound.types.masks import RLE

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = "gs://big_vision/paligemma/vae-oid.npz"
_EMBEDDING, _WIDTH, _CHANNELS = "_vq_vae._embedding", 512, (128, 128, 64, 32, 16)
_BLOCKS, _UPSAMPLINGS = ("decoder.2.net", "decoder.3.net"), ("decoder.4", "decoder.6", "decoder.8", "decoder.10")


def shapes() -> dict[str, tuple[int, ...]]:
    """The file's arrays by name. Weights of convolutions are (out, in, h, w), of transposed ones (in, out, h, w)."""
    return {_EMBEDDING: (NUM_CODES, _WIDTH), **dict(_layers())}


def _layers() -> Iterator[tuple[str, tuple[int, ...]]]:
    first = _CHANNELS[0]
    kernels = {"decoder.0": (first, _WIDTH, 1, 1), "decoder.12": (1, _CHANNELS[-1], 1, 1)}
    for block in _BLOCKS:
        kernels |= {f"{block}.{i}": (first, first, side, side) for i, side in ((0, 3), (2, 3), (4, 1))}
    for name, size in kernels.items():
        yield from ((f"{name}.weight", size), (f"{name}.bias", size[:1]))
    for name, before, after in zip(_UPSAMPLINGS, _CHANNELS, _CHANNELS[1:], strict=False):
        yield from ((f"{name}.weight", (before, after, 4, 4)), (f"{name}.bias", (after,)))


class MaskDecoder:
    """Decodes codes with the weights in a file.

    path: of a local copy of `SOURCE`. key: its config key, for error messages. Raises UserError where the file is
    missing or another one. Its four megabytes are read immediately, so that errors precede the loading of models.
    """

    def __init__(self, path: str, key: str) -> None:
        remedy = f"set {key} to a local copy of {SOURCE}"
        file = Path(path).expanduser()
        if not file.is_file():
            raise UserError(f"{key}={path}: there is no such file; {remedy}")
        try:
            with np.load(file, allow_pickle=False) as stored:
                self._arrays = {name: np.asarray(stored[name], dtype=np.float32) for name in stored.files}
        except (OSError, ValueError, zipfile.BadZipFile, AttributeError, EOFError) as error:
            raise UserError(f"{key}={path}: cannot be read as an .npz of plain arrays ({error}); {remedy}") from error
        for name, size in shapes().items():
            actual = self._arrays[name].shape if name in self._arrays else None
            if actual != size:
                problem = "is missing" if actual is None else f"has the shape {actual} in place of {size}"
                raise UserError(f"{key}={path}: the array {name} {problem}; {remedy}")
        self.digest = hashlib.sha256(file.read_bytes()).hexdigest()

    def decode(self, codes: Sequence[Codes]) -> npt.NDArray[np.float32]:
        """(B, 64, 64) the masks of B times 16 codes, about -1 outside and 1 inside."""
        import torch
        from torch.nn import functional

        weights = {name: torch.from_numpy(array) for name, array in self._arrays.items()}

        def conv(x: Tensor, name: str) -> Tensor:
            weight = weights[f"{name}.weight"]
            return functional.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

        side = round(CODES_PER_MASK**0.5)
        with torch.inference_mode():
            x = weights[_EMBEDDING][torch.tensor(codes)].reshape(len(codes), side, side, _WIDTH).permute(0, 3, 1, 2)
            x = conv(x, "decoder.0").relu()
            for block in _BLOCKS:
                inner = conv(conv(x, f"{block}.0").relu(), f"{block}.2").relu()
                x = x + conv(inner, f"{block}.4")
            for name in _UPSAMPLINGS:
                weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
                x = functional.conv_transpose2d(x, weight, bias, stride=2, padding=1).relu()
            return np.asarray(conv(x, "decoder.12")[:, 0].numpy())


def paste(values: npt.NDArray[np.float32], box: Box, size: tuple[int, int]) -> RLE:
    """Resize a decoded mask (64, 64) to its box in an image of `size` (H, W); values above 0 are inside.

    Interpolation precedes the threshold, as in the evaluation of the authors. Corners are rounded to pixel edges.
    """
    x0, y0, x1, y1 = (round(value) for value in box)
    mask = np.zeros(size, dtype=np.bool_)
    if x0 < x1 and y0 < y1:
        sized = Image.fromarray(values).resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR)
        mask[y0:y1, x0:x1] = np.asarray(sized) > 0
    return RLE.encode(mask)
