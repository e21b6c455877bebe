"""The page for Prometheus: what is asked for is answered, all else is told off or hung up on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from cloud_hub.scraping import MAX_CLIENTS, MAX_HEADER_BYTES, MetricsPage
from holdfast.host.loopback import Endpoint


@contextlib.asynccontextmanager
async def _served() -> AsyncIterator[int]:
    page = MetricsPage(lambda: ("text/plain; version=0.0.4", b"up 1\n"))
    port = await page.start(Endpoint("127.0.0.1", 0))
    try:
        yield port
    finally:
        await page.close()


async def _ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("line", "status", "body"),
    [
        (b"GET /metrics HTTP/1.1", b"200", b"up 1\n"),
        (b"GET /metrics?name=up HTTP/1.1", b"200", b"up 1\n"),
        (b"HEAD /metrics HTTP/1.1", b"200", b""),
        (b"GET / HTTP/1.1", b"404", b"there is only /metrics\n"),
        (b"POST /metrics HTTP/1.1", b"405", b"GET /metrics\n"),
        (b"\x16\x03\x01", b"405", b"GET /metrics\n"),
    ],
)
async def test_what_is_answered(line: bytes, status: bytes, body: bytes) -> None:
    async with _served() as port:
        answer = await _ask(port, line + b"\r\nHost: x\r\n\r\n")
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert content == body


@pytest.mark.promise("rule.limits")
async def test_a_request_has_a_limit_and_so_have_those_who_ask() -> None:
    async with _served() as port:
        assert await _ask(port, b"GET /" + b"x" * 2 * MAX_HEADER_BYTES) == b""
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CLIENTS)]
        request = b"GET /metrics HTTP/1.1\r\n\r\n"
        assert await _ask(port, request) == b""
        for _, writer in silent:
            writer.close()
        # Until it was noticed that those are gone; a limit of many rounds, for a busy machine.
        assert any([await _ask(port, request) for _ in range(200)])
