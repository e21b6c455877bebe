"""The page that Prometheus reads: GET /metrics over plain HTTP, and nothing else.

It is served by the hub's own event loop, so a page is of one moment, and a page that comes shows
that the loop runs. It tells of the hub's work in numbers and has no rights to check, so it is for
this machine only; whoever collects from elsewhere puts an agent or a proxy beside the hub.

Invariant: a client has a line of a request, a few headers and a few seconds; beyond, it is hung up
on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from holdfast.host.loopback import Endpoint

MAX_HEADER_BYTES = 8_192
"""A scraper sends some 500."""

REQUEST_SECONDS = 5.0
MAX_CLIENTS = 16
"""Two scrapers and a few people; each page is made anew."""

Page = tuple[str, bytes]
"""Content type and content."""


class MetricsPage:
    """Serves the page that `render` makes."""

    def __init__(self, render: Callable[[], Page]) -> None:
        self._render = render
        self._clients = 0
        self._server: asyncio.Server | None = None

    async def start(self, endpoint: Endpoint) -> int:
        """Listens until `close`; gives the port. Raises OSError."""
        host = endpoint.host.strip("[]")
        self._server = await asyncio.start_server(
            self._serve, host, endpoint.port, limit=MAX_HEADER_BYTES
        )
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Listens no more. May be called again."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= MAX_CLIENTS:
                async with asyncio.timeout(REQUEST_SECONDS):
                    writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # it is gone, or is no scraper
        finally:
            self._clients -= 1
            writer.close()

    def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", "text/plain", b"GET /metrics\n", b"GET")
        if path != b"/metrics":
            return _response("404 Not Found", "text/plain", b"there is only /metrics\n", method)
        return _response("200 OK", *self._render(), method)


def _response(status: str, kind: str, body: bytes, method: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == b"HEAD" else body)
