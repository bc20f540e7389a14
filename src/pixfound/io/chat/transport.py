"""HTTP to a chat endpoint: a time limit for a whole request, a limit of size, and no redirects."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from pixfound.io.chat.responses import NO_CREDIT

MAX_BYTES = 32 * 2**20  # of a response, unpacked


class Transport:
    """A client of the openai package, on an event loop in a thread of its own. Safe to use from several threads.

    Retries and their pauses are the package's. timeout_s: of each try. sent: called at each try. Whoever waits for a
    reply can be interrupted, and the thread never keeps Python from ending.
    """

    def __init__(self, key: str, url: str, timeout_s: float, sent: Callable[[], None]) -> None:
        import openai

        bounded = _bounded_client(timeout_s, sent)
        self._client = openai.AsyncOpenAI(api_key=key, base_url=url, timeout=None, http_client=bounded)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="chat", daemon=True).start()

    def post(self, body: Mapping[str, Any], max_retries: int) -> str:
        """The text of the response to a chat completion's body.

        Raises errors of the openai package, after its retries; a redirect is an APIStatusError.
        """
        return asyncio.run_coroutine_threadsafe(self._post(body, max_retries), self._loop).result()

    async def _post(self, body: Mapping[str, Any], max_retries: int) -> str:
        client = self._client.with_options(max_retries=max_retries)
        response = await client.chat.completions.with_raw_response.create(**body)
        text = response.text
        return str(text() if callable(text) else text)


def _bounded_client(timeout_s: float, sent: Callable[[], None]) -> Any:
    """The openai package's HTTP client, which reads proxies from the environment, with limits of time and size.

    Its own time limits start anew with every byte; that of an event loop holds from the name's look-up to the last.
    """
    import httpx2
    import openai

    class Bounded(openai.DefaultAsyncHttpxClient):
        async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            sent()
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._send_bounded(request, **options)
            except TimeoutError as error:
                raise httpx2.ReadTimeout(str(error), request=request) from error  # which the package tries again

        async def _send_bounded(self, request: Any, **options: Any) -> Any:
            response = await super().send(request, stream=True, **options)
            body = bytearray()
            try:
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_BYTES:
                        raise openai.OpenAIError(f"the response is larger than {MAX_BYTES // 2**20} MiB")
            finally:
                await response.aclose()
            headers = {n: v for n, v in response.headers.items() if n not in ("content-encoding", "content-length")}
            if response.status_code == 429 and NO_CREDIT.encode() in body:
                headers["x-should-retry"] = "false"  # no pause brings credit
            return type(response)(response.status_code, headers=headers, content=bytes(body), request=request)

    return Bounded(timeout=None, follow_redirects=False)
