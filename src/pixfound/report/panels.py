"""The pictures of one example: masks, attention and candidates over its image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pixfound.io.overlays import draw_heat, draw_overlay
from pixfound.types import Candidate
from pixfound.types.masks import RLE, BoolMask

LARGEST = 2048  # pixels, the longer side at which a picture is drawn before it is shown


def shrunk(image: Image.Image) -> Image.Image:
    """The image, or where its longer side is over LARGEST one of that size."""
    scale = LARGEST / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def mask_at(mask: RLE, size: tuple[int, int]) -> BoolMask:
    """A mask's pixels in a picture of `size` (width, height): the nearest ones where that is not its own."""
    pixels = mask.decode()
    if pixels.shape == (size[1], size[0]):
        return pixels
    rows, columns = (np.arange(side) * full // side for side, full in zip(reversed(size), mask.size, strict=True))
    nearest: BoolMask = pixels[rows[:, None], columns[None]]
    return nearest


def overlay(image: Image.Image, mask: BoolMask, colour: tuple[int, int, int]) -> Image.Image:
    """The image with a mask half-transparent over it, with a white rim. mask: (H, W)."""
    return draw_overlay(image, mask, colour=colour, opacity=0.55, rim=max(1, max(image.size) // 128))


def heat_panel(
    image: Image.Image, heat: npt.NDArray[np.float32] | None, chosen: Candidate | None, full: tuple[int, int]
) -> Image.Image:
    """The attention over the image in grey, and the point of the candidate. full: (H, W) of the point's frame."""
    panel = draw_heat(image, heat)
    if chosen is not None and chosen.point is not None:
        x, y = chosen.point[0] * image.width / full[1], chosen.point[1] * image.height / full[0]
        radius = max(image.size) / 28
        draw = ImageDraw.Draw(panel)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline="cyan", width=max(1, int(radius / 2)))
    return panel


def candidate_panel(image: Image.Image, candidates: Sequence[Candidate], chosen: Candidate | None) -> Image.Image:
    """Up to nine candidates in small, those of the chosen phrase first; the chosen one framed."""
    ours = [c for c in candidates if chosen is not None and c.phrase == chosen.phrase]
    displayed = (ours + [c for c in candidates if c not in ours])[:9]
    side = 1 if len(displayed) <= 1 else 2 if len(displayed) <= 4 else 3
    panel = Image.new("RGB", image.size, (225, 225, 225))
    size = (max(1, image.width // side), max(1, image.height // side))
    for i, candidate in enumerate(displayed):
        small = overlay(image, mask_at(candidate.mask, image.size), (240, 150, 20)).resize(size)
        if candidate == chosen:
            border = max(2, size[0] // 30)
            ImageDraw.Draw(small).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=(235, 40, 40), width=border)
        panel.paste(small, ((i % side) * size[0], (i // side) * size[1]))
    return panel
