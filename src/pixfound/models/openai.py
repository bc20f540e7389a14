"""A multi-modal LLM behind an OpenAI-compatible endpoint (vLLM, SGLang, transformers serve, OpenAI itself)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from pixfound.chat import ChatClient
from pixfound.errors import UserError
from pixfound.interfaces import TextVectors
from pixfound.types import Generation, Prompt


class OpenAIModel(ChatClient):
    """Answers in text alone: it gives no attention, and where it names boxes or points, extraction=text_box reads them.

    system: a system message, or None. The other arguments are those of `pixfound.chat.ChatClient`.
    """

    group = "model"
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
        """Ask `concurrency` at a time. Raises the first error after the others are done, a UserError at once."""
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(self.ask, self.system, prompt.text, [image]) for image, prompt in requests]
            try:
                texts = [future.result() for future in futures]
            except (UserError, KeyboardInterrupt):
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [Generation(text, (image.height, image.width)) for text, (image, _) in zip(texts, requests, strict=True)]

    def vectors(self) -> TextVectors:
        """A server shows no embeddings."""
        raise UserError("a model behind an endpoint gives no word vectors: use another source than the model's own")

    def identity(self) -> Mapping[str, Any]:
        """What a reply depends on."""
        return {**super().identity(), "system": self.system}
