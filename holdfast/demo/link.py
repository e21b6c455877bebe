"""The network between an edge and the hub, which can be cut.

A port on loopback that carries bytes to another. Cut, it is as a cable that was pulled: what is
connected hears nothing more and loses its connection, and nobody gets a new one.

Invariant: while it is cut no byte passes, in either direction.
"""

from __future__ import annotations

import asyncio
import contextlib

CHUNK_BYTES = 1 << 16


class Link:
    """Carries connections to `target` (host:port) from a port of its own, until it is cut."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._host, self._target = host, int(port)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        """Where to connect to."""
        return f"127.0.0.1:{self._port}"

    async def heal(self) -> None:
        """Carries again, at the same port as before."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Carries nothing any more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._open:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, here = await asyncio.open_connection(self._host, self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, here}
        self._open |= both
        try:
            await asyncio.gather(_pump(reader, here), _pump(there, writer))
        finally:
            self._open -= both


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carries one way until either side has gone; then nothing is carried the other way either."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
