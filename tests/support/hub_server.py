"""A server on loopback that answers huggingface_hub like the Hub, and fails where a test says so."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repo:
    """A dataset. files: content by path. lfs: paths listed with a sha256. error: status and code of any answer."""

    files: dict[str, bytes]
    lfs: frozenset[str] = frozenset()
    error: tuple[int, str] | None = None
    revisions: tuple[str, ...] = ("main", COMMIT)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one GET: an HTTP status, other bytes, a connection cut after some, or silence."""

    status: int = 200
    body: bytes | None = None
    cut_after: int | None = None
    hang: bool = False


@dataclass
class HubServer:
    """Serves datasets; `faults` are used up one for each GET of the path. Use it with `with`."""

    repos: Mapping[str, Repo]
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    gets: Counter[str] = field(default_factory=Counter)
    ranges: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> HubServer:
        self._lock, self._release = threading.Lock(), threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, path: str, range_: str | None) -> Fault:
        """Count a GET; what is to go wrong with it."""
        with self._lock:
            self.gets[path] += 1
            if range_:
                self.ranges.append((path, range_))
            left = self.faults.get(path, [])
            return left.pop(0) if left else Fault()

    def _handler(owner) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.answer(head=True)

            def do_GET(self) -> None:
                self.answer(head=False)

            def answer(self, head: bool) -> None:
                path = unquote(urlsplit(self.path).path)
                listed = re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/(?:revision|tree)/([^/]+))?", path)
                file = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
                found = listed or file
                repo = owner.repos.get(found[1]) if found else None
                if repo is None:
                    return self.send(401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "not found"}, head)
                if repo.error:
                    return self.send(repo.error[0], b"{}", {"X-Error-Code": repo.error[1]}, head)
                assert found
                if (found[2] or "main") not in repo.revisions:
                    return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, head)
                return self.listing(found[1], repo, "/tree/" in path) if listed else self.file(repo, found[3], head)

            def listing(self, name: str, repo: Repo, tree: bool) -> None:
                """The files of the repository, or what it is."""
                entries = []
                for path, content in repo.files.items():
                    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                    entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": blob}
                    if path in repo.lfs:
                        sha256 = hashlib.sha256(content).hexdigest()
                        entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
                    entries.append(entry)
                body = entries if tree else {"id": name, "sha": COMMIT, "private": False, "tags": []}
                self.send(200, json.dumps(body).encode(), {"Content-Type": "application/json"}, head=False)

            def file(self, repo: Repo, path: str, head: bool) -> None:
                fault = Fault() if head else owner.take(path, self.headers.get("Range"))
                if fault.hang:
                    owner._release.wait(30)
                    self.close_connection = True
                    return None
                if path not in repo.files or fault.status == 404:
                    return self.send(404, b"", {"X-Error-Code": "EntryNotFound"}, head)
                if fault.status != 200:
                    return self.send(fault.status, b"", {}, head)
                content = repo.files[path]
                etag = (hashlib.sha256 if path in repo.lfs else hashlib.sha1)(content).hexdigest()
                headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
                body = fault.body if fault.body is not None else content
                range_ = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
                if self.headers.get("If-Range", headers["ETag"]) != headers["ETag"]:
                    range_ = None
                if range_ and not head:
                    start = int(range_[1])
                    if start >= len(body):
                        return self.send(416, b"", {"Content-Range": f"bytes */{len(body)}"}, head)
                    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    return self.send(206, body[start:], headers, head, fault.cut_after)
                return self.send(200, body, headers, head, fault.cut_after)

            def send(
                self, status: int, body: bytes, headers: Mapping[str, str], head: bool, cut: int | None = None
            ) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if not head:
                    self.wfile.write(body if cut is None else body[:cut])
                if cut is not None:
                    self.wfile.flush()
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
