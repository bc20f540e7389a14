"""The command `pixfound-view`: one page of several finished runs, served on this machine or written to a folder.

    pixfound-view outputs/runs/pixmmvp/a/attend_segment/1f... outputs/runs/pixmmvp/b/attend_segment/9c...
    pixfound-view outputs/multirun/74c26f2121e9
    pixfound-view RUN OTHER --folder compared

The exit code is 0, or 2 for a user error.
"""

from __future__ import annotations

import argparse
import getpass
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixfound.errors import UserError
from pixfound.io.terminal import complain, prepare, say

if TYPE_CHECKING:
    from pixfound.report.page import PageRun

_LOOPBACK = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    prepare()
    options = _parser().parse_args(arguments)
    try:
        _view(options.runs, options.folder, options.port)
    except UserError as error:
        complain("pixfound-view", error)
        sys.exit(2)


def _view(runs: Sequence[Path], folder: Path | None, port: int) -> None:
    from pixfound.pipeline.run_folder import find_runs
    from pixfound.report.page import write_page

    if folder is not None:
        refuse_other_files(folder)
        say(str(write_page(folder, page_runs(find_runs(runs)))))
        return
    with tempfile.TemporaryDirectory(prefix="pixfound-view-") as temporary:
        write_page(Path(temporary), page_runs(find_runs(runs)))
        with server_of(Path(temporary), port) as server:
            at = server.server_address[1]
            say(f"http://{_LOOPBACK}:{at}/ (Ctrl-C ends it)")
            account = f"{getpass.getuser()}@{socket.gethostname()}"
            say(f"from another machine first: ssh -N -L {at}:{_LOOPBACK}:{at} {account}")
            sys.stdout.flush()  # it may go to a file
            with suppress(KeyboardInterrupt):
                server.serve_forever()


def page_runs(folders: Sequence[Path]) -> list[PageRun]:
    """The runs of a page under their titles."""
    from pixfound.pipeline.run_data import RunData
    from pixfound.pipeline.run_folder import read_config, read_metrics
    from pixfound.pipeline.run_names import titles
    from pixfound.report.page import PageRun

    bodies = [read_metrics(folder) for folder in folders]
    named = titles([body["names"] for body in bodies], [read_config(folder) for folder in folders])
    return [
        PageRun(RunData.open(folder), body["names"], body["metrics"], title)
        for folder, body, title in zip(folders, bodies, named, strict=True)
    ]


def server_of(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of a folder's files on the loopback interface, on any port for 0; UserError where it is taken."""
    try:
        return ThreadingHTTPServer((_LOOPBACK, port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise UserError(f"--port {port}: cannot be used ({error.strerror}); give another, or 0 for any") from error


class _Handler(SimpleHTTPRequestHandler):
    """Files of the page, for requests to a loopback host name only: a guard against DNS rebinding."""

    def send_head(self) -> Any:
        """The file, or 403."""
        if self.headers.get("Host", "").rpartition(":")[0] not in (_LOOPBACK, "localhost"):
            return self.send_error(403)
        return super().send_head()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the console has the address."""


def refuse_other_files(folder: Path, option: str = "--folder") -> None:
    """Raise UserError for a folder that holds anything but a page, which would be deleted."""
    if folder.exists() and not (folder / "data" / "runs.js").exists() and any(folder.iterdir()):
        raise UserError(f"{option} {folder}: is there and is no page; give a new folder")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pixfound-view", description="One page of finished runs, for a browser.")
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="folder of a run, of several, or of a grid; a comparison's JSON",
    )
    parser.add_argument("--folder", type=Path, metavar="DIR", help="write the page there, and serve nothing")
    parser.add_argument("--port", type=int, default=8111, help="of the server on this machine (default: 8111; 0: any)")
    return parser


if __name__ == "__main__":
    main()
