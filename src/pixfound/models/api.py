"""A multi-modal LLM behind an OpenAI-compatible endpoint (vLLM, SGLang, transformers serve, OpenAI itself)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import JudgeError, TextVectors
from pixfound.io.chat.client import ChatClient
from pixfound.judges.asking import side_by_side
from pixfound.models.generation_options import without_errors
from pixfound.types import Generation, Prompt


@dataclass(eq=False)
class OpenAIModel(ChatClient):
    """Answers in text alone: it gives no attention, and where it names boxes or points, extraction=text_box reads them.

    system: a system message, or None. The other options are those of `pixfound.io.chat.options.ChatOptions`.
    """

    system: str | None = None

    group = "model"
    reply_tokens = 128  # a few sentences, or a list of boxes
    captures = False
    extractions = ("text_box", "text_point", "nulls")

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        """`generate_many`, but the first error is raised, after the other requests are done."""
        return without_errors(self.generate_many(requests))

    def generate_many(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation | JudgeError]:
        """Ask `concurrency` at a time; each request has its own outcome. A UserError ends all, and is raised."""

        def one(request: tuple[Image.Image, Prompt]) -> Generation:
            image, prompt = request
            said = self.complete(self.system, prompt.text, [image])
            text = str(said["reply"]).strip()  # some servers keep the blank of the first token
            cut = said.get("finish_reason") == "length"
            return Generation(text, (image.height, image.width), cut=cut, prompt=prompt.text)

        return side_by_side(one, requests, self.concurrency)

    def vectors(self) -> TextVectors:
        """A server shows no embeddings."""
        raise UserError("a model behind an endpoint gives no word vectors: use another source than the model's own")

    def identity(self) -> Mapping[str, Any]:
        """What a reply depends on."""
        return {**super().identity(), "system": self.system}
