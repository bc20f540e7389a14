"""A model that says what a test tells it to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from pixfound.interfaces import Model
from pixfound.types import Generation, Prompt


class Saying(Model):
    """replies: an example's id -> what is said to its ground prompt; the empty text to all other prompts."""

    def __init__(self, replies: Mapping[str, str]) -> None:
        self.replies = replies

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        return [
            Generation(self.replies[prompt.example_id] if prompt.kind == "ground" else "", (image.height, image.width))
            for image, prompt in requests
        ]
