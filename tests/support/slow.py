"""A model that takes its time, without weights: for tests of what happens to a job meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import TextVectors
from pixfound.masks import RLE
from pixfound.types import Generation, Prompt


class Slow:
    """Says `A` and draws the left half. seconds: of each batch."""

    captures = False
    runtime_options = ("seconds",)

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        time.sleep(self.seconds)
        found = []
        for image, _ in requests:
            mask = np.zeros((image.height, image.width), dtype=np.bool_)
            mask[:, : image.width // 2] = True
            found.append(Generation("A", (image.height, image.width), masks=(RLE.encode(mask),)))
        return found

    def vectors(self) -> TextVectors:
        raise UserError("there are none")
