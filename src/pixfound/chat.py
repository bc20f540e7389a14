"""A client of OpenAI-compatible chat endpoints: bounded retries, a disk cache, totals of tokens and cost.

A judge (`pixfound.judges.openai`) and a model (`pixfound.models.openai`) are made of it.
"""

from __future__ import annotations

import email.utils
import hashlib
import importlib.metadata
import json
import logging
import os
import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from pixfound.errors import UserError
from pixfound.interfaces import Load
from pixfound.judges.asking import JudgeError, Replies, data_url, default_folder
from pixfound.surrogates import replace_surrogates

DEFAULT_URL = "https://api.openai.com/v1"
MAX_WAIT_S = 120.0  # a server that asks for a longer pause is not waited for
_AGAIN = (408, 409, 429)  # and all from 500
_CHARACTERS = 4  # to a token, as OpenAI counts English
_IMAGE_TOKENS = 765  # of a picture up to 1,024 x 1,024 pixels, as OpenAI documents it for gpt-4o
_OUR_CHOICES = ("temperature", "max_tokens", "max_completion_tokens")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Failure:
    """Why a request gave no reply. again: whether it may be repeated. wait: seconds that the server asks for.

    unreachable: whether there was no server to say anything.
    """

    error: UserError | JudgeError
    again: bool = False
    wait: float = 0.0
    unreachable: bool = False


class ChatClient:
    """Answers questions about images. Safe to use from several threads.

    base_url: null is OpenAI's own endpoint, whatever the environment says. api_key_env: the NAME of the
    environment variable with the key, which is read when a request is sent and never kept in a file or message.
    temperature, max_tokens: null leaves them out. timeout_s: seconds without a byte before a request is given up.
    max_retries: tries after the first. backoff_s: seconds before the first retry; doubles, with jitter. Once a request
    has spent all of its tries on a server that cannot be reached, others have one each until one of them gets through.
    concurrency: requests at a time; one that waits for its retry counts. cache_dir: null is ~/.cache/pixfound/judge.
    price_per_million_*: per million tokens, in any currency. max_cost: in that currency, for each process; requests
    under way when it is reached are still finished.
    """

    group: ClassVar[str]  # the config group that its options stand in, for messages
    reply_tokens: ClassVar[int]  # of a usual reply, for the estimate of the cost

    runtime_options = (
        *("api_key_env", "timeout_s", "max_retries", "backoff_s", "concurrency", "cache_dir"),
        *("price_per_million_input", "price_per_million_output", "max_cost"),
    )

    def __init__(
        self,
        model: str = "gpt-4o",
        base_url: str | None = None,
        api_key_env: str = "OPENAI_API_KEY",
        temperature: float | None = 0.2,
        max_tokens: int | None = 256,
        timeout_s: float = 60.0,
        max_retries: int = 5,
        backoff_s: float = 1.0,
        concurrency: int = 4,
        cache_dir: str | None = None,
        price_per_million_input: float | None = None,
        price_per_million_output: float | None = None,
        max_cost: float | None = None,
    ) -> None:
        url = (base_url or DEFAULT_URL).rstrip("/")
        prices = (price_per_million_input, price_per_million_output)
        checks = {
            "model must be a model's name": bool(model),
            "base_url must begin with http:// or https://, and hold no password": bool(
                re.match(r"https?://[^@]+$", url)
            ),
            "api_key_env must be the name of an environment variable, not the key": bool(
                re.fullmatch(r"[A-Za-z_]\w*", api_key_env)
            ),
            "temperature must be null or from 0 to 2": temperature is None or 0 <= temperature <= 2,
            "max_tokens must be null or 1 or more": max_tokens is None or max_tokens >= 1,
            "timeout_s must be more than 0": timeout_s > 0,
            "max_retries must be 0 or more": max_retries >= 0,
            "backoff_s must be 0 or more": backoff_s >= 0,
            "concurrency must be 1 or more": concurrency >= 1,
            "price_per_million_input and _output must be null or 0 or more": all(p is None or p >= 0 for p in prices),
            "max_cost must be null or more than 0": max_cost is None or max_cost > 0,
            "max_cost needs price_per_million_input and price_per_million_output": max_cost is None
            or None not in prices,
        }
        for rule, kept in checks.items():
            if not kept:
                raise UserError(f"{self.group}.{rule}")
        self.name = f"openai:{model}"
        self.model, self.base_url, self.api_key_env = model, url, api_key_env
        self.temperature, self.max_tokens = temperature, max_tokens
        self.timeout_s, self.max_retries, self.backoff_s = timeout_s, max_retries, backoff_s
        self.concurrency, self.max_cost, self._prices = concurrency, max_cost, prices
        self._replies = Replies(Path(cache_dir).expanduser() if cache_dir else default_folder())
        self._slots, self._lock = threading.Semaphore(concurrency), threading.Lock()
        self._client: Any = None
        self._unreachable = False
        self._random = random.Random()
        self._counts = {"requests": 0, "cached": 0, "input_tokens": 0, "output_tokens": 0}

    def ask(self, system: str | None, question: str, images: Sequence[Image.Image] = ()) -> str:
        """The model's answer to a question about images, from the cache where it was asked before."""
        question = replace_surrogates(question)  # it may quote a model
        shown = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in images]
        content = [{"type": "text", "text": question}, *shown] if shown else question
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:  # OpenAI's newer models refuse the old name, many other servers the new one
            body["max_completion_tokens" if self.base_url == DEFAULT_URL else "max_tokens"] = self.max_tokens
        text = json.dumps(
            {"base_url": self.base_url, **body}, sort_keys=True
        )  # elsewhere a name may mean other weights
        key = hashlib.sha256(text.encode()).hexdigest()
        kept = self._replies.get(key)
        if kept is not None:
            self._count(cached=1)
            return str(kept["reply"])
        with self._slots:
            return self._request(key, body)

    def usage(self) -> dict[str, float | None]:
        """This object's totals. requests: those sent, retries too; cost: None where a price is unknown."""
        with self._lock:
            counts = dict(self._counts)
        paid, made = self._prices
        known = paid is not None and made is not None
        cost = (counts["input_tokens"] * (paid or 0) + counts["output_tokens"] * (made or 0)) / 1e6 if known else None
        return {**counts, "cost": cost}

    def plan(self, load: Load) -> str:
        """What so many requests cost at most, by rule of thumb; raises UserError where that is over max_cost."""
        tokens_in = round(load.characters / _CHARACTERS + load.images * _IMAGE_TOKENS)
        tokens_out = load.requests * min(self.reply_tokens, self.max_tokens or self.reply_tokens)
        paid, made = self._prices
        cost = None if paid is None or made is None else (tokens_in * paid + tokens_out * made) / 1e6
        line = f"at most {load.requests} requests to {self.model}, about {tokens_in} tokens in and {tokens_out} out"
        line += (
            f", cost unknown without {self.group}.price_per_million_*" if cost is None else f", cost about {cost:.2g}"
        )
        if cost is not None and self.max_cost is not None and cost > self.max_cost:
            raise UserError(
                f"{self.group}.max_cost={self.max_cost:g} would not do: {line}. What is done is kept: raise it, or "
                "take fewer examples with limit=N"
            )
        return line

    def identity(self) -> Mapping[str, Any]:
        """What a reply depends on."""
        return {name: getattr(self, name) for name in ("model", "base_url", "temperature", "max_tokens")}

    def provenance(self) -> Mapping[str, Any]:
        """The version of the client."""
        try:
            return {"openai": importlib.metadata.version("openai")}
        except importlib.metadata.PackageNotFoundError:
            return {"openai": None}

    def _request(self, key: str, body: Mapping[str, Any]) -> str:
        """Ask the server until it replies, at most `max_retries` times more, and keep its reply."""
        attempt = 0
        while True:
            self._check_cost()
            outcome = self._once(body)
            if not isinstance(outcome, _Failure):
                self._unreachable = False
                self._replies.put(key, outcome)
                return str(outcome["reply"])
            if not outcome.again:
                raise outcome.error
            if outcome.wait > MAX_WAIT_S:
                raise JudgeError(f"{outcome.error} (the server asks for a pause of {outcome.wait:.0f} seconds)")
            if attempt >= self.max_retries or (self._unreachable and outcome.unreachable):
                self._unreachable = outcome.unreachable
                raise JudgeError(f"{outcome.error} (after {attempt + 1} {'tries' if attempt else 'try'})")
            backoff = min(self.backoff_s * 2**attempt, MAX_WAIT_S) * self._random.uniform(0.5, 1.0)
            wait, attempt = max(backoff, outcome.wait), attempt + 1
            log.info("%s; trying again in %.1f s (%d of %d)", outcome.error, wait, attempt, self.max_retries)
            time.sleep(wait)

    def _once(self, body: Mapping[str, Any]) -> dict[str, Any] | _Failure:
        """One request. Errors are returned, so that none drags the client's along, which may show the key."""
        client = self._connect()
        import openai

        self._count(requests=1)
        try:
            text = client.chat.completions.with_raw_response.create(**body).text
        except openai.APIStatusError as error:
            return self._refused(error.status_code, error.body, error.response.headers.get("retry-after"))
        except openai.APITimeoutError:
            return self._again(f"no answer within {self.group}.timeout_s={self.timeout_s:g} seconds", unreachable=True)
        except openai.APIConnectionError as error:
            return self._again(f"the connection failed ({type(error.__cause__ or error).__name__})", unreachable=True)
        except openai.OpenAIError as error:
            return _Failure(JudgeError(self._clean(f"{self.base_url}: {error}")))
        return self._read(text() if callable(text) else text)

    def _read(self, text: str) -> dict[str, Any] | _Failure:
        """The reply in a response's body; its tokens are counted even where there is none."""
        try:
            data = json.loads(text)
            choice = data["choices"][0]
            reply, why = choice["message"].get("content"), choice.get("finish_reason")
            tokens = data.get("usage") or {}
            spent = {
                "input_tokens": int(tokens.get("prompt_tokens") or 0),
                "output_tokens": int(tokens.get("completion_tokens") or 0),
            }
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return self._again("what came back is no chat completion")
        self._count(**spent)
        if self.max_cost is not None and not any(spent.values()):
            return _Failure(
                UserError(
                    f"{self.base_url} reports no tokens, so {self.group}.max_cost cannot be kept: "
                    f"set {self.group}.max_cost=null"
                )
            )
        if not isinstance(reply, str) or not reply.strip():
            hint = f"; raise {self.group}.max_tokens" if why == "length" else ""
            return _Failure(JudgeError(f"{self.base_url}: the reply is empty (finish_reason {why}){hint}"))
        return {"reply": reply, "model": data.get("model"), **spent}

    def _refused(self, status: int, body: object, retry_after: str | None) -> _Failure:
        """What an HTTP error means; a server's own words are shown, except those about the key."""
        about = body if isinstance(body, dict) else {}
        said = self._clean(str(about.get("message") or body or ""))[:300]
        if status in (401, 403):
            return _Failure(
                UserError(
                    f"{self.base_url} refuses the key (HTTP {status}): put a valid one into the environment variable "
                    f"{self.api_key_env}, or name another with {self.group}.api_key_env=NAME"
                )
            )
        if status == 404:
            return _Failure(
                UserError(
                    f"{self.group}.model={self.model}: not found at {self.base_url} (HTTP 404: {said}); "
                    f"set {self.group}.model to one that it serves, or mend {self.group}.base_url"
                )
            )
        if status == 400 and about.get("param") in _OUR_CHOICES:
            name = "temperature" if about["param"] == "temperature" else "max_tokens"
            return _Failure(
                UserError(f"{self.group}.{name}: {self.model} does not take it ({said}); set {self.group}.{name}=null")
            )
        if about.get("code") == "insufficient_quota":
            return _Failure(
                UserError(f"{self.base_url}: the account has no credit left ({said}). What is done is kept")
            )
        again = status in _AGAIN or status >= 500
        return _Failure(JudgeError(f"{self.base_url}: HTTP {status}: {said}"), again, seconds(retry_after))

    def _again(self, what: str, unreachable: bool = False) -> _Failure:
        return _Failure(JudgeError(f"{self.base_url}: {what}"), again=True, unreachable=unreachable)

    def _check_cost(self) -> None:
        usage = self.usage()
        if self.max_cost is not None and (usage["cost"] or 0) >= self.max_cost:
            raise UserError(
                f"{self.group}.max_cost={self.max_cost:g} is reached: {usage['cost']:.4g} was spent on "
                f"{usage['requests']} "
                f"requests ({usage['input_tokens']} tokens in, {usage['output_tokens']} out). What is done is kept: "
                f"raise {self.group}.max_cost and run the same command again"
            )

    def _connect(self) -> Any:
        """The client, made at the first request: what is cached needs neither the package nor a key."""
        with self._lock:
            if self._client is None:
                try:
                    import openai
                except ImportError as error:
                    raise UserError('this needs the openai package: pip install "pixfound[judge]"') from error
                key = self._key()
                if not key:
                    raise UserError(
                        f"{self.group}.api_key_env={self.api_key_env}: this environment variable is not set; "
                        f"put the key of "
                        f"{self.base_url} into it (any word for a server that asks for none)"
                    )
                self._replies.prepare()
                self._client = openai.OpenAI(api_key=key, base_url=self.base_url, timeout=self.timeout_s, max_retries=0)
            return self._client

    def _key(self) -> str:
        return os.environ.get(self.api_key_env, "").strip()

    def _clean(self, text: str) -> str:
        """A text in one line, without the key."""
        key = self._key()
        return " ".join((text.replace(key, "***") if key else text).split())

    def _count(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                self._counts[name] += number


def seconds(retry_after: str | None) -> float:
    """The seconds that a Retry-After header asks for, as a number or a date; 0 without one that can be read."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
