"""The null model, without a multi-modal LLM: for extractions that use the image and the expression alone."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import Model, TextVectors
from pixfound.types import Generation, Prompt


class Silent(Model):
    """The null model: empty answers, which are left unscored; masks are scored as those of any model."""

    extractions = ("grounding_dino", "clipseg", "nulls")
    needs_image = False

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        """Generations with empty text, marked as unanswered."""
        return [
            Generation("", (image.height, image.width), unanswered="model=none was not asked") for image, _ in requests
        ]

    def text_vectors(self) -> TextVectors:
        """Raise UserError: the null model has no embeddings."""
        raise UserError("model=none has no word vectors: use spaCy's, extraction.selectors.similarity.source=spacy")
