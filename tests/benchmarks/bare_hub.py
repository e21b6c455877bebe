"""The bare hub: the same transport and database as the product's, and nothing that thinks.

A stream of pushes; all that wait are unpacked, written by one durable transaction (a row of the log
per batch, the state as one set, repeated keys once), acknowledged, and forwarded as they came to
the other streams. No order of decision, no conflicts, no digests, no watermarks, no checks.

`python -m tests.benchmarks.bare_hub ADDRESS DATA|DATABASE`
"""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import grpc

from holdfast.host import loops
from holdfast.host.channels import server_options
from holdfast.v1 import replication_service_pb2 as pb
from sync import framing
from tests.benchmarks.processes import obey

METHOD = "Replicate"
SERVICE = "bare.Bare"
GROUP_COMMITS = 5_000
LARGEST_BLOCK = 4 << 20
ROWS_OF_A_STATEMENT = 250

SCHEMA = """
CREATE TABLE log (revision {int} PRIMARY KEY, origin {bytes}, first_seq {int}, block {bytes});
CREATE TABLE records (
    space text, collection text, key text, revision {int}, origin {bytes}, seq {int},
    value {bytes}, PRIMARY KEY (space, collection, key)
);
"""

Row = tuple[str, str, str, int, bytes, int, bytes]


@dataclass(frozen=True, slots=True)
class Batch:
    """A push, unpacked."""

    push: pb.Push
    keys: Sequence[str]
    payloads: Sequence[bytes]
    collection: str

    @classmethod
    def of(cls, push: pb.Push) -> Batch:
        block = pb.Block()
        block.ParseFromString(framing.decompress(push.block, framing.ZSTD, LARGEST_BLOCK))
        return cls(push, tuple(block.keys), tuple(block.payloads), block.collections[0])


class Database(Protocol):
    """Where batches go."""

    async def store(self, batches: Sequence[Batch], first: int) -> None:
        """Durably, in one transaction; `first` is the revision of the first change."""
        ...


def rows_of(batches: Sequence[Batch], first: int) -> tuple[list[tuple[Any, ...]], list[Row]]:
    """Rows of the log and of the state, repeated keys once."""
    log, state = [], {}
    for batch in batches:
        push = batch.push
        log.append((first + push.count - 1, push.origin, push.first_seq, push.block))
        numbers = zip(itertools.count(first), itertools.count(push.first_seq), strict=False)
        for key, payload, (revision, seq) in zip(batch.keys, batch.payloads, numbers, strict=False):
            state[key] = (
                push.space, batch.collection, key, revision, push.origin, seq, payload,
            )  # fmt: skip
        first += push.count
    return log, list(state.values())


class Sqlite:
    """One file, FULL, one writing thread."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(self._open, path).result()

    def _open(self, path: Path) -> None:
        self._connection = connect(path)

    async def store(self, batches: Sequence[Batch], first: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._store, batches, first)

    def _store(self, batches: Sequence[Batch], first: int) -> None:
        log, state = rows_of(batches, first)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?)", log)
        upsert(connection, state)
        connection.execute("COMMIT")


def connect(path: Path) -> sqlite3.Connection:
    """Opens a file, with its schema if it is new."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;"
    )
    if not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        connection.executescript(SCHEMA.format(int="integer", bytes="blob"))
    return connection


def upsert(connection: sqlite3.Connection, state: Sequence[Row]) -> None:
    """Writes state as sets."""
    for start in range(0, len(state), ROWS_OF_A_STATEMENT):
        rows = state[start : start + ROWS_OF_A_STATEMENT]
        connection.execute(
            f"INSERT INTO records VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?)'] * len(rows))}"
            " ON CONFLICT (space, collection, key) DO UPDATE SET revision = excluded.revision,"
            " origin = excluded.origin, seq = excluded.seq, value = excluded.value",
            [value for row in rows for value in row],
        )


class Postgres:
    """One connection, one statement per set."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, dsn: str) -> Postgres:
        connection = await asyncpg.connect(dsn)
        await connection.execute(SCHEMA.format(int="bigint", bytes="bytea"))
        return cls(connection)

    async def store(self, batches: Sequence[Batch], first: int) -> None:
        log, state = rows_of(batches, first)
        async with self._connection.transaction():
            await self._connection.executemany("INSERT INTO log VALUES ($1, $2, $3, $4)", log)
            await self._connection.execute(
                "INSERT INTO records SELECT * FROM unnest($1::text[], $2::text[], $3::text[],"
                " $4::bigint[], $5::bytea[], $6::bigint[], $7::bytea[])"
                " ON CONFLICT (space, collection, key) DO UPDATE SET revision = excluded.revision,"
                " origin = excluded.origin, seq = excluded.seq, value = excluded.value",
                *zip(*state, strict=True),
            )


class Hub:
    """Takes pushes of all streams, in groups."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[Batch, asyncio.Queue[Any]]] = deque()
        self._streams: set[asyncio.Queue[Any]] = set()
        self._wake = asyncio.Event()
        self._revision = 0

    async def replicate(self, requests: AsyncIterator[Any], context: Any) -> None:
        """One stream."""
        outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self._streams.add(outgoing)
        reader = asyncio.create_task(self._read(requests, outgoing))
        try:
            while (message := await outgoing.get()) is not None:
                await context.write(message)
        finally:
            self._streams.discard(outgoing)
            await reader

    async def _read(self, requests: AsyncIterator[Any], outgoing: asyncio.Queue[Any]) -> None:
        outgoing.put_nowait(pb.ReplicateResponse(welcome=pb.Welcome(codec="zstd")))
        async for request in requests:
            self._waiting.append((Batch.of(request.push), outgoing))
            self._wake.set()
        outgoing.put_nowait(None)

    async def work(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group, count = [], 0
                while self._waiting and count < GROUP_COMMITS:
                    group.append(self._waiting.popleft())
                    count += group[-1][0].push.count
                await self._database.store([batch for batch, _ in group], self._revision + 1)
                self._revision += count
                for batch, stream in group:
                    self._tell(batch.push, stream)

    def _tell(self, push: pb.Push, author: asyncio.Queue[Any]) -> None:
        last = push.first_seq + push.count - 1
        result = pb.PushResult(space=push.space, origin=push.origin, decided_seq=last)
        author.put_nowait(pb.ReplicateResponse(result=result))
        changes = pb.Changes(
            space=push.space, origin=push.origin, first_seq=push.first_seq, count=push.count,
            block=push.block, block_bytes=push.block_bytes,
        )  # fmt: skip
        for stream in self._streams - {author}:
            stream.put_nowait(pb.ReplicateResponse(changes=changes))


async def main(address: str, where: str) -> None:
    """Runs a bare hub."""
    postgres = "://" in where
    hub = Hub(await Postgres.open(where) if postgres else Sqlite(Path(where) / "hub.db"))
    server = grpc.aio.server(options=server_options())
    handler = grpc.stream_stream_rpc_method_handler(
        hub.replicate,
        request_deserializer=pb.ReplicateRequest.FromString,
        response_serializer=pb.ReplicateResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
    )
    port = server.add_insecure_port(address)
    await server.start()
    worker = asyncio.create_task(hub.work())
    await obey({}, {"port": port})
    await server.stop(1)
    worker.cancel()


if __name__ == "__main__":
    loops.run(main(*sys.argv[1:]))
