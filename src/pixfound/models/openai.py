"""A multi-modal LLM behind an OpenAI-compatible endpoint (vLLM, SGLang, transformers serve, OpenAI itself)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from pixfound.chat import ChatClient
from pixfound.errors import UserError
from pixfound.interfaces import TextVectors
from pixfound.judges.asking import JudgeError, side_by_side
from pixfound.types import Generation, Prompt


class OpenAIModel(ChatClient):
    """Answers in text alone: it gives no attention, and where it names boxes or points, extraction=text_box reads them.

    system: a system message, or None. The other arguments are those of `pixfound.chat.ChatClient`.
    """

    group = "model"
    reply_tokens = 128  # a few sentences, or a list of boxes
    captures = False

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float | None = 0.0,
        max_tokens: int | None = 512,
        timeout_s: float = 60.0,
        max_retries: int = 5,
        backoff_s: float = 1.0,
        concurrency: int = 4,
        cache_dir: str | None = None,
        price_per_million_input: float | None = None,
        price_per_million_output: float | None = None,
        max_cost: float | None = None,
        system: str | None = None,
    ) -> None:
        super().__init__(
            model=model,
            base_url=base_url,
            api_key_env=api_key_env,
            temperature=temperature,
            max_tokens=max_tokens,
            timeout_s=timeout_s,
            max_retries=max_retries,
            backoff_s=backoff_s,
            concurrency=concurrency,
            cache_dir=cache_dir,
            price_per_million_input=price_per_million_input,
            price_per_million_output=price_per_million_output,
            max_cost=max_cost,
        )
        self.system = system

    def generate(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation]:
        """`generate_many`, but the first error is raised, after the other requests are done."""
        said = self.generate_many(requests)
        for found in said:
            if isinstance(found, JudgeError):
                raise found
        return [found for found in said if isinstance(found, Generation)]

    def generate_many(self, requests: Sequence[tuple[Image.Image, Prompt]]) -> list[Generation | JudgeError]:
        """Ask `concurrency` at a time; each request has its own outcome. A UserError ends all, and is raised."""

        def one(request: tuple[Image.Image, Prompt]) -> Generation:
            image, prompt = request
            said = self.ask(self.system, prompt.text, [image]).strip()  # some servers keep the blank of the first token
            return Generation(said, (image.height, image.width))

        return side_by_side(one, requests, self.concurrency)

    def vectors(self) -> TextVectors:
        """A server shows no embeddings."""
        raise UserError("a model behind an endpoint gives no word vectors: use another source than the model's own")

    def identity(self) -> Mapping[str, Any]:
        """What a reply depends on."""
        return {**super().identity(), "system": self.system}
