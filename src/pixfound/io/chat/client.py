"""A client of OpenAI-compatible chat endpoints: a disk cache, totals of tokens and cost.

A judge (`pixfound.judges.openai`) and a model (`pixfound.models.api`) are made of it.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import JudgeError, Load
from pixfound.io.chat import responses
from pixfound.io.chat.options import DEFAULT_URL, ChatOptions
from pixfound.io.chat.reach import check_reachable
from pixfound.io.chat.replies import Replies, default_folder
from pixfound.io.chat.responses import Completion
from pixfound.io.chat.transport import Transport
from pixfound.io.surrogates import replace_surrogates

_CHARACTERS = 4  # to a token, as OpenAI counts English
_IMAGE_TOKENS = 765  # of a picture up to 1,024 x 1,024 pixels, as OpenAI documents it for gpt-4o


class ChatClient(ChatOptions):
    """Answers questions about images. Safe to use from several threads. A subclass may change the options' defaults."""

    reply_tokens: ClassVar[int]  # of a usual reply, for the estimate of the cost

    def __post_init__(self) -> None:
        super().__post_init__()
        self.name = f"openai:{self.model}"
        self._replies = Replies(Path(self.cache_dir).expanduser() if self.cache_dir else default_folder())
        self._slots, self._lock = threading.Semaphore(self.concurrency), threading.Lock()
        self._transport: Transport | None = None
        self._unreachable = False
        self._counts = {"requests": 0, "cached": 0, "input_tokens": 0, "output_tokens": 0}

    def ask(self, system: str | None, question: str, images: Sequence[Image.Image] = ()) -> str:
        """The model's answer to a question about images, from the cache where it was asked before."""
        return str(self.complete(system, question, images)["reply"])

    def complete(
        self, system: str | None, question: str, images: Sequence[Image.Image] = ()
    ) -> Mapping[str, str | int | None]:
        """The fields of the `Completion` that answers a question about images, from the cache where there is one."""
        key, body = self._key_and_body(system, question, images)
        reply = self._replies.get(key)
        if reply is not None:
            self._count(cached=1)
            return {**reply, "reply": self.without_key(reply["reply"])}
        with self._slots:
            return self._request(key, body)

    def forget(self, system: str | None, question: str, images: Sequence[Image.Image] = ()) -> None:
        """Drop the reply to a question from the cache: it is asked anew the next time."""
        self._replies.drop(self._key_and_body(system, question, images)[0])

    def _key_and_body(
        self, system: str | None, question: str, images: Sequence[Image.Image]
    ) -> tuple[str, dict[str, Any]]:
        """(the hash that names a request in the cache, its body)."""
        question = replace_surrogates(question)  # it may quote a model
        image_parts = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in images]
        content = [{"type": "text", "text": question}, *image_parts] if image_parts else question
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:  # OpenAI's newer models refuse the old name, many other servers the new one
            body["max_completion_tokens" if self.url == DEFAULT_URL else "max_tokens"] = self.max_tokens
        text = json.dumps({"base_url": self.url, **body}, sort_keys=True)  # elsewhere a name may mean other weights
        return hashlib.sha256(text.encode()).hexdigest(), body

    def check(self) -> None:
        """UserError where a request could not be sent: no package, no key, no server."""
        self._connect()

    def usage(self) -> dict[str, float | None]:
        """This object's totals. requests: those sent, retries too; cost: None where a price is unknown."""
        with self._lock:
            counts = dict(self._counts)
        return {**counts, "cost": self.cost(counts["input_tokens"], counts["output_tokens"])}

    def plan(self, load: Load) -> str:
        """Estimate an upper bound of the cost of a load, by rule of thumb, as one line of text.

        Raises UserError where that is over max_cost.
        """
        tokens_in = round(load.characters / _CHARACTERS + load.images * _IMAGE_TOKENS)
        tokens_out = load.requests * min(self.reply_tokens, self.max_tokens or self.reply_tokens)
        cost = self.cost(tokens_in, tokens_out)
        unknown = f"cost unknown without {self.group}.price_per_million_*"
        line = f"at most {load.requests} requests to {self.model}, about {tokens_in} tokens in and {tokens_out} out, "
        line += unknown if cost is None else f"cost about {cost:.2g}"
        if cost is not None and self.max_cost is not None and cost > self.max_cost:
            raise UserError(
                f"{self.group}.max_cost={self.max_cost:g} would not do: {line}. What is done is kept: raise it, or "
                "take fewer examples with limit=N"
            )
        return line

    def provenance(self) -> Mapping[str, Any]:
        """The version of the client."""
        try:
            return {"openai": importlib.metadata.version("openai")}
        except importlib.metadata.PackageNotFoundError:
            return {"openai": None}

    def _request(self, key: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the server, and keep its reply."""
        self._check_cost()
        outcome = self._send(body)
        if isinstance(outcome, Exception):
            raise outcome
        self._replies.put(key, asdict(outcome))
        return asdict(outcome)

    def _send(self, body: Mapping[str, Any]) -> Completion | UserError | JudgeError:
        """One request with its retries. Errors are returned: raised here, the openai package's would show the key."""
        transport = self._connect()
        import openai

        try:
            text = transport.post(body, 0 if self._unreachable else self.max_retries)
        except openai.APIConnectionError as error:
            self._unreachable = True
            late = isinstance(error, openai.APITimeoutError)
            why = f"the connection failed ({type(error.__cause__ or error).__name__})"
            why = f"no answer within {self.group}.timeout_s={self.timeout_s:g} seconds" if late else why
            return JudgeError(f"{self.url}: {why} (after {responses.tries(error.request)})")
        except openai.APIStatusError as error:
            self._unreachable = False
            return responses.refused(self, error.body, error.response)
        except openai.OpenAIError as error:
            return JudgeError(self.clean(f"{self.url}: {error}"))
        self._unreachable = False
        completion = responses.read(text, self.without_key)
        if completion is None:
            return JudgeError(f"{self.url}: the response is no chat completion")
        self._count(input_tokens=completion.input_tokens, output_tokens=completion.output_tokens)
        return responses.unusable(self, completion) or completion

    def _check_cost(self) -> None:
        usage = self.usage()
        if self.max_cost is not None and (usage["cost"] or 0) >= self.max_cost:
            raise UserError(
                f"{self.group}.max_cost={self.max_cost:g} is reached: {usage['cost']:.4g} was spent on "
                f"{usage['requests']} requests ({usage['input_tokens']} tokens in, {usage['output_tokens']} out). "
                f"What is done is kept: raise {self.group}.max_cost and run the same command again"
            )

    def _connect(self) -> Transport:
        """The connection, made at the first request: what is cached needs neither the package nor a key."""
        with self._lock:
            if self._transport is None:
                key = self.key()
                if not key:
                    raise UserError(
                        f"{self.group}.api_key_env={self.api_key_env}: this environment variable is not set; put the "
                        f"key of {self.url} into it (any word for a server that asks for none)"
                    )
                self._replies.prepare(f"{self.group}.cache_dir")
                check_reachable(self)
                try:
                    self._transport = Transport(key, self.url, self.timeout_s, lambda: self._count(requests=1))
                except ImportError as error:
                    raise UserError('this needs the openai package: pip install "pixfound[judge]"') from error
            return self._transport

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                self._counts[name] += number


def data_url(image: Image.Image) -> str:
    """A picture as a PNG data URL, its pixels unchanged; modes that chat models do not read become RGB."""
    stream = io.BytesIO()
    plain = image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGB")
    plain.save(stream, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
