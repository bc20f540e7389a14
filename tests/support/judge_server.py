"""A chat-completions server on loopback that does what a script says, and keeps what it was sent."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Act:
    """What to do with one request. error: body of an HTTP error. raw: the body as it is. meet: wait for others.

    text: the reply, or what makes it of the request's body.
    """

    text: str | Callable[[Mapping[str, Any]], str] | None = "Yes"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    raw: str | None = None
    hang: bool = False
    cut: bool = False
    meet: threading.Barrier | None = None
    finish: str = "stop"
    usage: Mapping[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 2})


class JudgeServer:
    """Acts in the script's order; the last act is repeated. Use it with `with`. port: 0 for any that is free."""

    def __init__(self, *script: Act, port: int = 0) -> None:
        self.script = list(script) or [Act()]
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.peak = self._now = 0
        self._lock, self._release = threading.Lock(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> JudgeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, body: dict[str, Any], headers: Mapping[str, str]) -> Act:
        with self._lock:
            act = self.script[min(len(self.bodies), len(self.script) - 1)]
            self.bodies.append(body)
            self.headers.append({name.lower(): value for name, value in headers.items()})
            self._now += 1
            self.peak = max(self.peak, self._now)
        return act

    def leave(self) -> None:
        with self._lock:
            self._now -= 1

    def _handler(owner) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                act = owner.take(body, dict(self.headers.items()))
                try:
                    if act.meet:
                        act.meet.wait(5)
                    if act.hang:
                        owner._release.wait(10)
                finally:
                    owner.leave()
                if act.cut or act.hang:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.answer(act, body)

            def answer(self, act: Act, body: Mapping[str, Any]) -> None:
                message = {"role": "assistant", "content": act.text(body) if callable(act.text) else act.text}
                good = {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 0,
                    "model": f"{body['model']}-served",
                    "choices": [{"index": 0, "message": message, "finish_reason": act.finish}],
                    **({"usage": act.usage} if act.usage else {}),
                }
                said = good if act.status == 200 else {"error": act.error or {"message": "out of order"}}
                data = (act.raw if act.raw is not None else json.dumps(said)).encode()
                self.send_response(act.status)
                for name, value in {"Content-Type": "application/json", **act.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
