"""A model that says one text to every prompt, with what each extraction could take from it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pixfound.interfaces import Model, TextVectors
from pixfound.models.huggingface import HuggingFace
from pixfound.types import FloatArray, Generation, Prompt, Tile
from pixfound.types.masks import RLE

GRID = (4, 4)


class Talker(Model):
    """Its attention is noise, a row for each word; its one mask is the left half of the image.

    text: what it says. vectors_of: folder of the model whose word vectors stand for its own. draws: whether it draws.
    """

    captures = True

    def __init__(self, text: str, vectors_of: str, draws: bool = True) -> None:
        self.text, self.draws, self._vectors = text, draws, HuggingFace(vectors_of)

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        """The same for each request; an end token comes after the words."""
        spans = [*((m.start(), m.end()) for m in re.finditer(r"\S+", self.text)), (len(self.text), len(self.text))]
        found = []
        for number, (image, _) in enumerate(requests):
            rows: FloatArray = np.random.default_rng(number).random((len(spans), GRID[0] * GRID[1]), dtype=np.float32)
            tile = Tile(0, GRID, GRID[1], (0, 0, image.width, image.height))
            half = np.zeros((image.height, image.width), dtype=bool)
            half[:, : image.width // 2] = True
            masks = (RLE.encode(half),) if self.draws else ()
            found.append(
                Generation(
                    self.text,
                    (image.height, image.width),
                    spans=tuple(spans),
                    tiles=(tile,),
                    attention=rows,
                    penultimate=rows[0],
                    masks=masks,
                )
            )
        return found

    def text_vectors(self) -> TextVectors:
        """Those of another model."""
        return self._vectors.text_vectors()
