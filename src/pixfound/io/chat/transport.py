"""HTTP to a chat endpoint: a time limit for a whole request, a limit of size, and no redirects."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 32 * 2**20  # of a response, unpacked


class Transport:
    """A client of the openai package, on an event loop in a thread of its own. Safe to use from several threads.

    The package's own time limits start anew with every byte; that of an event loop holds from the name's look-up to
    the last byte. Whoever waits for a reply can be interrupted, and the thread never keeps Python from ending.
    """

    def __init__(self, key: str, url: str, timeout_s: float) -> None:
        import openai

        self._timeout_s = timeout_s
        self._client = openai.AsyncOpenAI(
            api_key=key, base_url=url, timeout=None, max_retries=0, http_client=_bounded_client()
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="chat", daemon=True).start()

    def post(self, body: Mapping[str, Any]) -> str:
        """The text of the response to a chat completion's body.

        TimeoutError after `timeout_s`, an error of the openai package for everything else; a redirect is an
        APIStatusError.
        """
        return asyncio.run_coroutine_threadsafe(self._post(body), self._loop).result()

    async def _post(self, body: Mapping[str, Any]) -> str:
        async with asyncio.timeout(self._timeout_s):
            response = await self._client.chat.completions.with_raw_response.create(**body)
        text = response.text
        return str(text() if callable(text) else text)


def _bounded_client() -> Any:
    """The openai package's HTTP client, which reads proxies from the environment, with a limit of size."""
    import openai

    class Bounded(openai.DefaultAsyncHttpxClient):
        async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            response = await super().send(request, stream=True, **options)
            body = bytearray()
            try:
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_BYTES:
                        raise openai.OpenAIError(f"the response is larger than {MAX_BYTES // 2**20} MiB")
            finally:
                await response.aclose()
            kept = {n: v for n, v in response.headers.items() if n not in ("content-encoding", "content-length")}
            return type(response)(response.status_code, headers=kept, content=bytes(body), request=request)

    return Bounded(timeout=None, follow_redirects=False)
