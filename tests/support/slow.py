"""Parts that take their time, without weights: for tests of what happens to a run meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import Extractor, Model, Selector, TextVectors
from pixfound.types import Candidate, Choice, Example, Generation, Kind, Prompt
from pixfound.types.masks import RLE


class Slow(Model):
    """Says `A` and draws the left half. seconds: of each batch. log: a file that gets a line for each."""

    runtime_options = ("seconds", "log")

    def __init__(self, seconds: float = 0.0, log: str | None = None) -> None:
        self.seconds, self.log = seconds, log

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        if self.log:
            with Path(self.log).open("a") as stream:
                stream.write(f"{os.getpid()} {requests[0][1].example_id}\n")
        time.sleep(self.seconds)
        found = []
        for image, _ in requests:
            mask = np.zeros((image.height, image.width), dtype=np.bool_)
            mask[:, : image.width // 2] = True
            found.append(Generation("A", (image.height, image.width), masks=(RLE.encode(mask),)))
        return found

    def text_vectors(self) -> TextVectors:
        raise UserError("there are none")


class SlowMasks(Extractor):
    """Proposes the generation's masks, each alone, after `seconds`."""

    needs_image = False
    runtime_options = ("seconds",)

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def extract_one(self, image: Image.Image, generation: Generation, expression: str) -> list[Candidate]:
        time.sleep(self.seconds)
        return [Candidate(mask) for mask in generation.masks]


class SlowFirst(Selector):
    """Takes the first candidate after `seconds`."""

    runtime_options = ("seconds",)

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def select_one(self, example: Example, candidates: Sequence[Candidate], kind: Kind) -> Choice:
        time.sleep(self.seconds)
        return Choice("candidate", 0)
