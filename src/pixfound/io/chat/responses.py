"""Responses of a chat endpoint: a reply, or the error that says why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pixfound.errors import UserError
from pixfound.interfaces import JudgeError
from pixfound.io.chat.options import ChatOptions
from pixfound.io.text_files import parse_json

NO_CREDIT = "insufficient_quota"  # OpenAI's code, under the status of a rate limit
_OUR_CHOICES = ("temperature", "max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class Completion:
    """A chat completion. reply: None or blank where the model said nothing. tokens: 0 where none are reported."""

    reply: str | None
    finish_reason: str | None
    model: str | None
    input_tokens: int
    output_tokens: int


def read(text: str, clean: Callable[[str], str] = str) -> Completion | None:
    """The completion in a response's body; None where it is none. clean: takes out what must not be kept."""
    try:
        data = parse_json(text)
        choice = data["choices"][0]
        tokens = data.get("usage") or {}
        reply, finish_reason, model = (
            clean(value) if isinstance(value, str) else None
            for value in (choice["message"].get("content"), choice.get("finish_reason"), data.get("model"))
        )
        counts = (int(tokens.get(f"{name}_tokens") or 0) for name in ("prompt", "completion"))
        return Completion(reply, finish_reason, model, *counts)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError, RecursionError):
        return None


def unusable(options: ChatOptions, completion: Completion) -> UserError | JudgeError | None:
    """The error of a completion that is no reply; None where it is one."""
    group = options.group
    if options.max_cost is not None and not (completion.input_tokens or completion.output_tokens):
        return UserError(
            f"{options.url} reports no tokens, so {group}.max_cost cannot be kept: set {group}.max_cost=null"
        )
    if not (completion.reply or "").strip():
        hint = f"; raise {group}.max_tokens" if completion.finish_reason == "length" else ""
        return JudgeError(f"{options.url}: the reply is empty (finish_reason {completion.finish_reason}){hint}")
    return None


def refused(options: ChatOptions, body: object, response: Any) -> UserError | JudgeError:
    """The error that an HTTP status means. body: what the openai package found of an error in it.

    A server's own words are shown, except those about the key.
    """
    group, url, status, headers = options.group, options.url, response.status_code, response.headers
    error = body if isinstance(body, dict) else {}
    message = options.clean(str(error.get("message") or body or ""))[:300]
    if status in (401, 403):
        return UserError(
            f"{url} refuses the key (HTTP {status}): put a valid one into the environment variable "
            f"{options.api_key_env}, or name another with {group}.api_key_env=NAME"
        )
    if 300 <= status < 400:
        where = options.clean(headers.get("location", ""))[:300]
        return UserError(
            f"{url} redirects to {where} (HTTP {status}), which is not followed: pictures and key would go along; "
            f"if you trust that address, set {group}.base_url to it"
        )
    if status == 404:
        return UserError(
            f"{group}.model={options.model}: not found at {url} (HTTP 404: {message}); "
            f"set {group}.model to one that it serves, or correct {group}.base_url"
        )
    if status == 400 and error.get("param") in _OUR_CHOICES:
        name = "temperature" if error["param"] == "temperature" else "max_tokens"
        return UserError(f"{group}.{name}: {options.model} does not take it ({message}); set {group}.{name}=null")
    if error.get("code") == NO_CREDIT:
        return UserError(f"{url}: the account has no credit left ({message}). What is done is kept")
    pause = f"; the server asks for a pause, Retry-After: {headers['retry-after']}" if "retry-after" in headers else ""
    return JudgeError(f"{url}: HTTP {status}: {message} (after {tries(response.request)}{pause})")


def tries(request: Any) -> str:
    """The number of times that a request was sent, as the openai package notes in its headers."""
    number = 1 + int(request.headers.get("x-stainless-retry-count", 0))
    return f"{number} {'tries' if number > 1 else 'try'}"
