"""A multi-modal LLM behind an OpenAI-compatible endpoint (vLLM, SGLang, transformers serve, OpenAI itself)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import JudgeError, Model, TextVectors
from pixfound.io.chat.client import ChatClient
from pixfound.judges.asking import side_by_side
from pixfound.types import Generation, Prompt


@dataclass(eq=False)
class OpenAIModel(ChatClient, Model):
    """A model that returns text without attention; extraction=text_box or text_point parses boxes or points in it.

    system: a system message, or None. The other options are those of `pixfound.io.chat.options.ChatOptions`.
    """

    system: str | None = None

    group = "model"
    reply_tokens = 128  # a few sentences, or a list of boxes
    extractions = ("text_box", "text_point", "nulls")

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation | JudgeError]:
        """Send `concurrency` requests at a time; return a Generation or JudgeError for each, in order.

        A UserError ends all requests, and is raised.
        """

        def one(request: tuple[Image.Image, Prompt]) -> Generation:
            image, prompt = request
            completion = self.complete(self.system, prompt.text, [image])
            text = str(completion["reply"]).strip()  # some servers keep the leading space of the first token
            cut = completion.get("finish_reason") == "length"
            return Generation(text, (image.height, image.width), cut=cut, prompt=prompt.text)

        return side_by_side(one, requests, self.concurrency)

    def text_vectors(self) -> TextVectors:
        """Raise UserError: a server gives no embeddings."""
        raise UserError("a model behind an endpoint gives no word vectors: use another source than the model's own")

    def identity(self) -> Mapping[str, Any]:
        """Values on which a reply depends; part of the fingerprint."""
        return {**super().identity(), "system": self.system}
