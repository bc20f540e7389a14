"""Servers that drip bytes, send too many, redirect, echo the key or never answer, over real sockets."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pixfound.errors import UserError
from pixfound.interfaces import JudgeError
from pixfound.io.chat.options import ChatOptions
from pixfound.judges.openai import OpenAIJudge
from pixfound.models.api import OpenAIModel
from tests.support.judge_server import Act, JudgeServer

pytest.importorskip("openai")
KEY = "sk-secret-0123456789"
GOOD = json.dumps({"choices": [{"message": {"content": "Yes"}, "finish_reason": "stop"}], "model": "m"}).encode()
Send = Callable[[bytes], object]


@contextmanager
def serving(answer: Callable[[Send], None]) -> Iterator[tuple[str, list[int]]]:
    """The address of a server that answers each request with what `answer` sends, and the bytes that it sent."""
    sent: list[int] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (line := self.rfile.readline()):
                    return  # only looked whether there is a server
                head += line
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            self.rfile.read(int(length.split(b":")[1]))
            with suppress(OSError):  # the client may leave
                answer(lambda data: (self.wfile.write(data), sent.append(len(data))))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", sent
        server.shutdown()


@pytest.fixture
def judge_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OpenAIJudge]:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def make(url: str, **values: object) -> OpenAIJudge:
        plain = {"model": "m", "api_key_env": "JUDGE_KEY", "cache_dir": str(tmp_path / "cache"), "max_retries": 0}
        return OpenAIJudge(**{**plain, "base_url": url, "timeout_s": 1.0, **values})  # type: ignore[arg-type]

    return make


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *lines, "", ""]).encode()


@pytest.mark.parametrize("where", ["head", "body"])
def test_the_time_limit_is_that_of_the_whole_request(where: str, judge_at: Callable[..., OpenAIJudge]) -> None:
    whole = head(f"Content-Length: {len(GOOD)}") + GOOD
    start = 20 if where == "head" else len(whole) - len(GOOD) + 5

    def drip(send: Send) -> None:
        send(whole[:start])
        for byte in whole[start:]:
            time.sleep(0.3)
            send(bytes([byte]))

    with serving(drip) as (url, _):
        begun = time.monotonic()
        with pytest.raises(JudgeError, match=r"no answer within judge\.timeout_s=1 seconds"):
            judge_at(url).ask("s", "q")
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("kind", ["plain", "error", "packed"])
def test_a_response_of_any_size_takes_little(kind: str, judge_at: Callable[..., OpenAIJudge]) -> None:
    def flood(send: Send) -> None:
        status = "400 Bad Request" if kind == "error" else "200 OK"
        if kind == "packed":
            packed = gzip.compress(bytes(200 * 2**20), 1)
            send(head("Content-Encoding: gzip", f"Content-Length: {len(packed)}", status=status) + packed)
            return
        send(head(f"Content-Length: {200 * 2**20}", status=status))
        for _ in range(200):
            send(b" " * 2**20)

    with serving(flood) as (url, sent):
        with pytest.raises(JudgeError, match="the response is larger than 32 MiB"):
            judge_at(url, timeout_s=30.0).ask("s", "q")
        assert sum(sent) < 100 * 2**20


def test_redirects_are_refused(judge_at: Callable[..., OpenAIJudge]) -> None:
    with JudgeServer(Act("stolen")) as elsewhere:

        def redirect(send: Send) -> None:
            send(head(f"Location: {elsewhere.url}/{KEY}", "Content-Length: 0", status="307 Temporary Redirect"))

        with serving(redirect) as (url, _), pytest.raises(UserError, match=r"redirects to .*judge\.base_url") as caught:
            judge_at(url).ask("s", "q")
        assert KEY not in str(caught.value)
        assert not elsewhere.bodies


def test_documents_that_no_parser_likes_are_no_completion(judge_at: Callable[..., OpenAIJudge]) -> None:
    bodies = ["[" * 100_000, GOOD.decode()[:-1] + ', "usage": {"prompt_tokens": 1e999}}']
    for body in bodies:
        with JudgeServer(Act(raw=body)) as server, pytest.raises(JudgeError, match="no chat completion"):
            judge_at(server.url).ask("s", "q")


def test_a_key_in_a_good_reply_is_taken_out_and_kept_nowhere(
    judge_at: Callable[..., OpenAIJudge], tmp_path: Path
) -> None:
    escaped = "".join(f"\\u{ord(c):04x}" for c in KEY)
    echoed = f'{{"choices": [{{"message": {{"content": "Yes {KEY}\\n {escaped}"}}, "finish_reason": "{KEY}"}}], '
    with JudgeServer(Act(raw=f'{echoed} "model": "{escaped}"}}')) as server:
        for _ in range(2):  # the second is read from the cache
            assert judge_at(server.url).ask("s", "q") == "Yes ***\n ***"
    (file,) = (path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert KEY not in file.read_text() and json.loads(file.read_text())["model"] == "***"
    file.write_text(json.dumps({"reply": f"of an older version: {KEY}"}))
    assert judge_at(server.url).ask("s", "q") == "of an older version: ***"
    model = OpenAIModel("m", server.url, "JUDGE_KEY", cache_dir=str(tmp_path / "other"))
    assert KEY not in repr(vars(model))


@pytest.mark.parametrize(("key", "reply"), [("none", "none"), ("EMPTY", "EMPTY"), ("1", "1"), ("sk-1234", "***")])
def test_a_key_that_is_a_word_for_servers_without_keys_changes_no_reply(
    key: str, reply: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    ChatOptions.group = "judge"
    assert ChatOptions("m").without_key(key) == reply


def test_one_interrupt_ends_all_that_waits(tmp_path: Path) -> None:
    script = """
import sys
from pixfound.apps.evaluate import guarded
from pixfound.judges.openai import OpenAIJudge
from tests.support.examples import drawn, make_example
judge = OpenAIJudge("m", sys.argv[1], cache_dir=sys.argv[2], timeout_s=60.0, concurrency=int(sys.argv[3]))
guarded(lambda: judge.grade([(make_example(drawn("#.")), str(i)) for i in range(16)]))
"""
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "NO_PROXY": "127.0.0.1", "PYTHONPATH": os.getcwd()}
    for concurrency in ("4", "1"):
        waits, release = threading.Event(), threading.Event()

        def hang(send: Send, waits: threading.Event = waits, release: threading.Event = release) -> None:
            waits.set()
            release.wait(30)

        with serving(hang) as (url, _):
            command = [sys.executable, "-c", script, url, str(tmp_path / "cache"), concurrency]
            with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
                assert waits.wait(60)
                begun = time.monotonic()
                process.send_signal(signal.SIGINT)
                _, said = process.communicate(timeout=30)
            assert time.monotonic() - begun < 5
            release.set()
        assert process.returncode == 2
        assert said.splitlines() == ["pixfound: interrupted; what is done is kept, run the same command to go on"]
