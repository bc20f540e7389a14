"""No multi-modal LLM at all: for extractions that look at the image and the expression alone."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import TextVectors
from pixfound.types import Generation, Prompt


class Silent:
    """Answers nothing: its answers are unscored, neither right nor wrong, and masks are judged as of any model."""

    captures = False
    extractions = ("grounding_dino", "clipseg", "nulls")
    needs_image = False

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        """The empty text to every prompt."""
        return [
            Generation("", (image.height, image.width), unanswered="model=none was not asked") for image, _ in requests
        ]

    def vectors(self) -> TextVectors:
        """There are none."""
        raise UserError("model=none has no word vectors: use spaCy's, extraction.selectors.similarity.source=spacy")
