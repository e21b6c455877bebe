"""The bare edge: an outbox, a replica and a stream, with the product's messages and no logic.

What it is told over its socket is durable in one table before it answers, as much as waits at once
in one transaction; what is in that table goes to the hub in batches; what comes from the hub is
written to another file. The messages are the product's own, so that parsing costs the same.

`python -m tests.benchmarks.bare_edge HUB DATA SOCKET`
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import grpc

from holdfast.host import loops
from holdfast.host.channels import client_options, server_options
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import replication_service_pb2 as pb
from holdfast.v1 import state_service_pb2 as state
from sync import framing
from tests.benchmarks import bare_hub
from tests.benchmarks.processes import now_ns, obey, usage
from tests.benchmarks.workload import ACTOR, COLLECTION, SPACE

T = TypeVar("T")

BATCH = 1_000
WINDOW_BATCHES = 20
GROUP_COMMITS = 256

OUTBOX = """
CREATE TABLE outbox (seq integer PRIMARY KEY, id blob, claimed integer, key text, payload blob);
CREATE TABLE identity (origin blob);
"""


class File:
    """One SQLite file behind one thread."""

    def __init__(self, path: Path, synchronous: str, schema: str) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(self._open, path, synchronous, schema).result()

    def _open(self, path: Path, synchronous: str, schema: str) -> None:
        self.connection = connect(path, synchronous, schema)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, self.connection)


def connect(path: Path, synchronous: str = "FULL", schema: str = OUTBOX) -> sqlite3.Connection:
    """Opens a file, with its schema if it is new."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    if not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        connection.executescript(schema)
    return connection


def begin(connection: sqlite3.Connection) -> bytes:
    """The origin of an outbox, made the first time."""
    row = connection.execute("SELECT origin FROM identity").fetchone()
    if row is None:
        connection.execute("INSERT INTO identity VALUES (?)", (secrets.token_bytes(16),))
        return begin(connection)
    return bytes(row[0])


def append(connection: sqlite3.Connection, changes: Sequence[tuple[str, bytes]]) -> int:
    """Writes changes durably; the last seq."""
    claimed = time.time_ns() // 1_000_000 << 16
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT INTO outbox (id, claimed, key, payload) VALUES (?, ?, ?, ?)",
        [(secrets.token_bytes(16), claimed, key, payload) for key, payload in changes],
    )
    (last,) = connection.execute("SELECT max(seq) FROM outbox").fetchone()
    connection.execute("COMMIT")
    return int(last)


class Edge:
    """One bare edge."""

    def __init__(self, outbox: File, replica: File, origin: bytes, last: int, hub: str) -> None:
        self._outbox, self._replica = outbox, replica
        self._origin, self._last, self._hub = origin, last, hub
        self._queue: deque[tuple[list[tuple[str, bytes]], asyncio.Future[int]]] = deque()
        self._taking: asyncio.Task[None] | None = None
        self._linked: asyncio.Task[None] | None = None
        self._wake, self._told = asyncio.Event(), asyncio.Event()
        self._acked = self._greeted_ns = 0
        self.taken: list[tuple[int, int]] = []
        self.acknowledged: list[tuple[int, int]] = []
        self.applied: list[tuple[str, int, int]] = []

    # -- the socket ------------------------------------------------------------

    async def commit(self, request: state.CommitRequest, _context: object) -> state.CommitResponse:
        """Stores what the operations say."""
        began = now_ns()
        changes = [(op.key, _payload(op)) for op in request.ops]
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.append((changes, answer))
        if self._taking is None:
            self._taking = asyncio.create_task(self._take())
        seq = await answer
        self.taken.append((seq, began))
        return state.CommitResponse(
            op_id=record.OpId(space=SPACE, origin=self._origin, seq=seq), applied_locally=True
        )

    async def _take(self) -> None:
        while self._queue:
            group = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_COMMITS))]
            changes = [change for some, _ in group for change in some]
            self._last = await self._outbox.run(lambda c, some=changes: append(c, some))  # type: ignore[misc]
            self._wake.set()
            seq = self._last - len(changes)
            for some, answer in group:
                seq += len(some)
                answer.set_result(seq)
        self._taking = None

    async def get(self, request: state.GetRequest, _context: object) -> state.GetResponse:
        """Answers without looking anywhere: what a unary call costs."""
        found = record.Record(collection=request.collection, key=request.key, json="{}" * 100)
        return state.GetResponse(record=found)

    # -- the stream ------------------------------------------------------------

    async def link(self) -> None:
        """Pushes what is in the outbox and takes what comes."""
        async with grpc.aio.insecure_channel(self._hub, options=client_options()) as channel:
            call = channel.stream_stream(
                f"/{bare_hub.SERVICE}/{bare_hub.METHOD}",
                request_serializer=pb.ReplicateRequest.SerializeToString,
                response_deserializer=pb.ReplicateResponse.FromString,
            )()
            pusher = asyncio.create_task(self._push(call))
            try:
                async for response in call:
                    await self._receive(response)
            finally:
                pusher.cancel()

    async def _receive(self, response: pb.ReplicateResponse) -> None:
        match response.WhichOneof("message"):
            case "welcome":
                self._greeted_ns = now_ns()
            case "result":
                self._acked = response.result.decided_seq
                self.acknowledged.append((self._acked, now_ns()))
                self._told.set()
            case "changes":
                changes = response.changes
                await self._replica.run(lambda c: _adopt(c, changes))
                last = changes.first_seq + changes.count - 1
                self.applied.append((changes.origin.hex(), last, now_ns()))

    async def _push(self, call: Any) -> None:
        sent = self._acked
        while True:
            self._wake.clear()
            if sent == self._last:
                await self._wake.wait()
                continue
            while sent - self._acked >= BATCH * WINDOW_BATCHES:
                self._told.clear()
                await self._told.wait()
            after = sent
            rows = await self._outbox.run(lambda c, seq=after: _read(c, seq))  # type: ignore[misc]
            await call.write(_pushed(self._origin, rows))
            sent = rows[-1][0]

    # -- words -----------------------------------------------------------------

    async def drain(self) -> dict[str, Any]:
        """Goes to the hub and gives it all that waits; answers when that is acknowledged."""
        before, waiting = usage()["cpu_s"], self._last - self._acked
        if self._linked is None:
            self._linked = asyncio.create_task(self.link())
        while self._acked < self._last:
            self._told.clear()
            await self._told.wait()
        ended = max((at for _, at in self.acknowledged), default=now_ns())
        return {
            "began_ns": self._greeted_ns, "ended_ns": ended, "changes": waiting,
            "cpu_s": usage()["cpu_s"] - before,
        }  # fmt: skip

    async def report(self) -> dict[str, Any]:
        """Hands over the times, and begins anew."""
        found = {
            "origin": self._origin.hex(), "taken": self.taken, "acknowledged": self.acknowledged,
            "applied": self.applied,
        }  # fmt: skip
        self.taken, self.acknowledged, self.applied = [], [], []
        return found


def _payload(op: record.Op) -> bytes:
    return op.put.json.encode() if op.HasField("put") else op.splice.SerializeToString()


def _read(connection: sqlite3.Connection, after: int) -> list[Any]:
    return connection.execute(
        "SELECT seq, id, claimed, key, payload FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, BATCH),
    ).fetchall()


def _pushed(origin: bytes, rows: Sequence[Any]) -> pb.ReplicateRequest:
    _, ids, claimed, keys, payloads = zip(*rows, strict=True)
    before = (0, *claimed)
    block = pb.Block(
        commit_ids=b"".join(ids),
        claimed_deltas=[now - then for then, now in zip(before, claimed, strict=False)],
        actors=[record.Actor(id=ACTOR[0], kind=record.ACTOR_KIND_ROBOT)],
        collections=[COLLECTION],
        keys=keys,
        payloads=payloads,
    ).SerializeToString()
    push = pb.Push(
        space=SPACE, origin=origin, first_seq=rows[0][0], count=len(rows),
        block=framing.compress(block, framing.ZSTD), block_bytes=len(block),
    )  # fmt: skip
    return pb.ReplicateRequest(push=push)


def _adopt(connection: sqlite3.Connection, changes: pb.Changes) -> None:
    push = pb.Push(
        space=changes.space, origin=changes.origin, first_seq=changes.first_seq,
        count=changes.count, block=changes.block,
    )  # fmt: skip
    _, rows = bare_hub.rows_of([bare_hub.Batch.of(push)], changes.first_seq)
    connection.execute("BEGIN IMMEDIATE")
    bare_hub.upsert(connection, rows)
    connection.execute("COMMIT")


async def main(hub: str, data: str, path: str) -> None:
    """Runs a bare edge."""
    outbox = File(Path(data) / "outbox.db", "FULL", OUTBOX)
    schema = bare_hub.SCHEMA.format(int="integer", bytes="blob")
    replica = File(Path(data) / "replica.db", "NORMAL", schema)
    origin = await outbox.run(begin)
    (last,) = await outbox.run(
        lambda c: c.execute("SELECT coalesce(max(seq), 0) FROM outbox").fetchone()
    )
    edge = Edge(outbox, replica, origin, last, hub)
    server = grpc.aio.server(options=server_options(max_connection_age_ms=None))
    server.add_generic_rpc_handlers((_handlers(edge),))
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    await obey({"drain": edge.drain, "report": edge.report}, {"socket": path})
    await server.stop(0)


def _handlers(edge: Edge) -> grpc.GenericRpcHandler:
    commit = grpc.unary_unary_rpc_method_handler(
        edge.commit,
        request_deserializer=state.CommitRequest.FromString,
        response_serializer=state.CommitResponse.SerializeToString,
    )
    get = grpc.unary_unary_rpc_method_handler(
        edge.get,
        request_deserializer=state.GetRequest.FromString,
        response_serializer=state.GetResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(
        "holdfast.v1.StateService", {"Commit": commit, "Get": get}
    )


if __name__ == "__main__":
    loops.run(main(*sys.argv[1:]))
