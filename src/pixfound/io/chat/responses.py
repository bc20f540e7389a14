"""Responses of a chat endpoint: a reply, or the reason why there is none and whether to ask again."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pixfound.errors import UserError
from pixfound.interfaces import JudgeError
from pixfound.io.chat.options import ChatOptions
from pixfound.io.text_files import parse_json

_AGAIN = (408, 409, 429)  # and all from 500
_OUR_CHOICES = ("temperature", "max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class Failure:
    """Why a request gave no reply. again: whether it may be repeated. wait: seconds that the server asks for.

    unreachable: whether there was no server to say anything.
    """

    error: UserError | JudgeError
    again: bool = False
    wait: float = 0.0
    unreachable: bool = False


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


def unusable(options: ChatOptions, found: Completion) -> Failure | None:
    """Why a completion is no reply; None where it is one."""
    group = options.group
    if options.max_cost is not None and not (found.input_tokens or found.output_tokens):
        return Failure(
            UserError(f"{options.url} reports no tokens, so {group}.max_cost cannot be kept: set {group}.max_cost=null")
        )
    if not (found.reply or "").strip():
        hint = f"; raise {group}.max_tokens" if found.finish_reason == "length" else ""
        return Failure(JudgeError(f"{options.url}: the reply is empty (finish_reason {found.finish_reason}){hint}"))
    return None


def refused(options: ChatOptions, status: int, body: object, headers: Mapping[str, str]) -> Failure:
    """The failure that an HTTP error means. headers: the response's.

    A server's own words are shown, except those about the key.
    """
    group, url, about = options.group, options.url, body if isinstance(body, dict) else {}
    said = options.clean(str(about.get("message") or body or ""))[:300]
    if status in (401, 403):
        return Failure(
            UserError(
                f"{url} refuses the key (HTTP {status}): put a valid one into the environment variable "
                f"{options.api_key_env}, or name another with {group}.api_key_env=NAME"
            )
        )
    if 300 <= status < 400:
        where = options.clean(headers.get("location", ""))[:300]
        return Failure(
            UserError(
                f"{url} redirects to {where} (HTTP {status}), which is not followed: pictures and key would go along; "
                f"if you trust that address, set {group}.base_url to it"
            )
        )
    if status == 404:
        return Failure(
            UserError(
                f"{group}.model={options.model}: not found at {url} (HTTP 404: {said}); "
                f"set {group}.model to one that it serves, or mend {group}.base_url"
            )
        )
    if status == 400 and about.get("param") in _OUR_CHOICES:
        name = "temperature" if about["param"] == "temperature" else "max_tokens"
        return Failure(UserError(f"{group}.{name}: {options.model} does not take it ({said}); set {group}.{name}=null"))
    if about.get("code") == "insufficient_quota":
        return Failure(UserError(f"{url}: the account has no credit left ({said}). What is done is kept"))
    again = status in _AGAIN or status >= 500
    return Failure(JudgeError(f"{url}: HTTP {status}: {said}"), again, seconds(headers.get("retry-after")))


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
