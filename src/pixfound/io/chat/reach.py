"""Check that an endpoint's server is there at all, before the first request is paid for with minutes of retries."""

from __future__ import annotations

import socket
import urllib.parse
import urllib.request

from pixfound.errors import UserError
from pixfound.io.chat.options import ChatOptions

_PATIENCE_S = 10.0


def check_reachable(options: ChatOptions) -> None:
    """UserError where nothing listens at the endpoint. Nothing is sent, and a proxy that is in between is not asked."""
    where = urllib.parse.urlsplit(options.url)
    host = where.hostname or ""
    if where.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return
    try:
        port = where.port or {"http": 80, "https": 443}[where.scheme]
        socket.create_connection((host, port), min(options.timeout_s, _PATIENCE_S)).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"{options.group}.base_url={options.url}: no server can be reached there ({error}): start it, or fix the "
            "address. What is done is kept"
        ) from error
