"""Downloads from hosts other than the Hub.

pooch retries and renames, but begins each attempt anew. Here `NAME.part` keeps what has arrived and
`NAME.version` which version of the file that is (ETag or date), so that the next attempt asks for the rest alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pixfound.apps.data.files import sha256_of
from pixfound.errors import UserError

_RETRIES = 3
_CHUNK = 1 << 16  # bytes, of which a break loses less than one


def fetch(url: str, folder: Path, sha256: str | None = None, progress: bool = True) -> tuple[Path, str]:
    """Download a file into a folder, in which it appears when it is whole; one that is there is not downloaded again.

    sha256: that it must have; it is whole when it has the length that the server announces. Returns the path and the
    SHA-256; progress: shows a bar in a terminal. Raises UserError; a later call goes on with what has arrived.
    """
    import pooch
    import requests

    name = unquote(PurePosixPath(urlsplit(url).path).name)
    pooch.get_logger().setLevel("WARNING")
    store = pooch.create(folder, "", registry={name: None}, urls={name: url}, retry_if_failed=_RETRIES)

    def download(url: str, output_file: str, _: Any) -> None:
        _go_on(url, folder / name, progress and sys.stderr.isatty())
        os.replace(folder / f"{name}.part", output_file)

    try:
        path = Path(store.fetch(name, downloader=download))
    except requests.RequestException as error:
        if error.response is not None:
            reason = f"answers with the error {error.response.status_code}"
        else:
            reason = f"cannot be reached, or broke off ({type(error).__name__})"
        raise UserError(f"{url}: {reason}; run the same command again to go on, or get the file yourself") from error
    except EOFError as error:
        raise UserError(f"{url}: {error}; get the file yourself") from error
    digest = sha256_of(path)
    if sha256 not in (None, digest):
        path.unlink()
        change = f"{digest[:12]}..., not the {str(sha256)[:12]}... of before"
        raise UserError(f"{url}: has the sha256 {change}; look at what changed in it")
    return path, digest


def _go_on(url: str, target: Path, progress: bool) -> None:
    """Fill `target`.part; raises requests.RequestException where the transfer breaks off, after which the next call
    goes on, and EOFError where its end could not be told from that.
    """
    import pooch
    import requests

    version_file = target.with_name(f"{target.name}.version")
    with target.with_name(f"{target.name}.part").open("ab") as stream:
        start = stream.tell()
        version = version_file.read_text() if start and version_file.is_file() else ""
        headers = {"Accept-Encoding": "identity"}
        if version:
            headers |= {"Range": f"bytes={start}-", "If-Range": version}

        def begin(response: Any, **_: Any) -> None:
            """Before any content is read: begin anew where the server does not send the rest of the same version."""
            status, sent = response.status_code, response.headers
            same = _version(sent) == version and sent.get("Content-Range", "").startswith(f"bytes {start}-")
            if status not in (200, 206, 416) or (status == 206 and same):
                return
            stream.truncate(0)
            version_file.write_text(_version(sent) if status == 200 else "")
            if status == 206:
                raise requests.ConnectionError("sends another part than the one that was asked for")
            if "Content-Length" not in sent and sent.get("Transfer-Encoding") != "chunked" and status == 200:
                raise EOFError("does not say how long the file is, so that half of it could be taken for all")

        pooch.HTTPDownloader(progressbar=progress, chunk_size=_CHUNK, headers=headers, hooks={"response": begin})(
            url, stream, None
        )


def _version(headers: Any) -> str:
    """What `If-Range` takes: the ETag, unless it is a weak one, else the date."""
    etag = headers.get("ETag", "")
    return str(etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", ""))
