"""The options of a client of a chat endpoint, checked when they are made."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Interval

from pixfound.errors import UserError
from pixfound.types.arguments import Checked, NonNegative, Positive

Temperature = Annotated[float, Interval(ge=0, le=2)]
DEFAULT_URL = "https://api.openai.com/v1"


@dataclass(eq=False)
class ChatOptions(Checked):
    """Endpoint, request options and cost limits of a chat model.

    base_url: null is OpenAI's own endpoint, whatever the environment says. api_key_env: the NAME of the
    environment variable with the key, which is read when a request is sent and never kept in a file or message.
    temperature, max_tokens: null leaves them out. timeout_s: seconds for each try, to its response's last byte.
    max_retries: tries after the first, with the openai package's pauses: as long as the server asks for, up to two
    minutes, else from half a second to eight. Once a request has spent all of its tries on a server that cannot be
    reached, others have one each until one of them gets through.
    concurrency: requests at a time; one that waits for its retry counts. cache_dir: null is ~/.cache/pixfound/judge.
    price_per_million_*: per million tokens, in any currency. max_cost: in that currency, for each process; requests
    under way when it is reached are still finished.
    """

    model: str
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    temperature: Temperature | None = 0.0
    max_tokens: Positive | None = 512
    timeout_s: Annotated[float, Gt(0)] = 60.0
    max_retries: NonNegative = 5
    concurrency: Positive = 4
    cache_dir: str | None = None
    price_per_million_input: Annotated[float, Ge(0)] | None = None
    price_per_million_output: Annotated[float, Ge(0)] | None = None
    max_cost: Annotated[float, Gt(0)] | None = None

    group: ClassVar[str]  # the config group that the options stand in, for messages
    runtime_options: ClassVar[tuple[str, ...]] = (
        *("api_key_env", "timeout_s", "max_retries", "concurrency", "cache_dir"),
        *("price_per_million_input", "price_per_million_output", "max_cost"),
    )

    def __post_init__(self) -> None:
        prices = (self.price_per_million_input, self.price_per_million_output)
        checks = {
            "model must be a model's name": bool(self.model),
            "base_url must begin with http:// or https://, and hold no password": bool(
                re.match(r"https?://[^@]+$", self.url)
            ),
            "api_key_env must be the name of an environment variable, not the key": bool(
                re.fullmatch(r"[A-Za-z_]\w*", self.api_key_env)
            ),
            "max_cost needs price_per_million_input and price_per_million_output": self.max_cost is None
            or None not in prices,
        }
        for rule, holds in checks.items():
            if not holds:
                raise UserError(f"{self.group}.{rule}")

    @property
    def url(self) -> str:
        """The endpoint's address, without a slash at its end."""
        return (self.base_url or DEFAULT_URL).rstrip("/")

    def identity(self) -> Mapping[str, Any]:
        """The options that a reply depends on."""
        options = {name: getattr(self, name) for name in ("model", "temperature", "max_tokens")}
        return {**options, "base_url": self.url}

    def cost(self, tokens_in: int, tokens_out: int) -> float | None:
        """The price of the tokens; None where a price is unknown."""
        input_price, output_price = self.price_per_million_input, self.price_per_million_output
        if input_price is None or output_price is None:
            return None
        return (tokens_in * input_price + tokens_out * output_price) / 1e6

    def key(self) -> str:
        """The key as the environment has it now; empty where it has none."""
        return os.environ.get(self.api_key_env, "").strip()

    def clean(self, text: str) -> str:
        """A message of a server in one line, without the key."""
        key = self.key()
        return " ".join((text.replace(key, "***") if key else text).split())

    def without_key(self, reply: str) -> str:
        """A reply in which a server may have echoed the key.

        A key that is a mere word, such as are given to servers that ask for none, is no secret and may be an answer.
        """
        key = self.key()
        secret = len(key) >= 6 and (len(key) >= 16 or not key.isalpha())
        return reply.replace(key, "***") if secret else reply
