"""Backlogs to be drained: made once, copied for every run.

The product's are made by the product: a hub and edges in this process share 10,000 records, then
the edges are paused and take their commits. The bare ones are rows of a table.

Invariant: a run changes only its copy, so all runs of a row begin from the same files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cloud_hub import hub as hubs
from edge_agent import daemon as edges
from edge_agent.local_store import LocalStore
from edge_agent.requests import Write
from edge_agent.uplink import insecure
from sync.commit import Actor, ActorKind
from sync.messages import Scope
from sync.reduce import Patch, Put, Request
from tests.benchmarks import bare_edge, bare_hub, workload
from tests.benchmarks.workload import COLLECTION, SPACE

AUTHOR = Actor(workload.ACTOR[0], ActorKind.ROBOT)
AT_ONCE = 256
POLL_SECONDS = 0.02
"""While files are made: nothing is measured then."""

Asked = Callable[[str, bytes], Request]


def put(key: str, value: bytes) -> Request:
    return Put(COLLECTION, key, value)


def patch(key: str, value: bytes) -> Request:
    return Patch(COLLECTION, key, value)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Directories `hub` and `edge-N` under `product`, `edge-N` under `bare`, each edge with `count`
    single changes pending. `database` is where the hub is if it is on no file."""

    root: Path
    edges: int
    count: int
    kind: str
    database: str = ""

    @property
    def changes(self) -> int:
        return self.edges * self.count

    def copy(self, side: str) -> Path:
        """A copy of one side to run on; the run before it is gone."""
        run = self.root / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.root / side, run)
        os.sync()  # what copying has left to write is no run's business
        return run


async def made(root: Path, kind: str, edges_: int, count: int, database: str = "") -> Backlog:
    """Makes a backlog of "put" or "patch"."""
    backlog = Backlog(root, edges_, count, kind, database)
    await asyncio.to_thread((root / "product" / "hub").mkdir, parents=True)
    _bare(backlog)
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(_hub(root / "product" / "hub", database))
        agents = []
        for share in range(edges_):
            name = f"edge-{share}"
            settings = edges.EdgeSettings(
                root / "product" / name, insecure(f"127.0.0.1:{hub.port}"),
                [root / f"{name}.sock"], name, {SPACE: Scope()},
            )  # fmt: skip
            agents.append(await stack.enter_async_context(_running(settings)))
        await fill(agents[0].store, put, workload.every_record())
        await asyncio.gather(*[_caught_up(agent, workload.KEYS) for agent in agents])
        await asyncio.gather(*[agent.uplink.pause() for agent in agents])
        asked = patch if kind == "patch" else put
        pending = [fill(a.store, asked, _changes(backlog, n)) for n, a in enumerate(agents)]
        await asyncio.gather(*pending)
    return backlog


async def fill(
    store: LocalStore, asked: Asked, changes: Iterable[tuple[str, bytes]], per_commit: int = 1
) -> None:
    """Commits changes, many at once, each of `per_commit` requests."""
    source = iter(changes)
    while True:
        commits = [list(islice(source, per_commit)) for _ in range(AT_ONCE)]
        commits = [commit for commit in commits if commit]
        if not commits:
            return
        await asyncio.gather(
            *[
                store.commit(Write(SPACE, tuple(asked(*change) for change in commit), AUTHOR))
                for commit in commits
            ]
        )


def _changes(backlog: Backlog, share: int) -> Iterable[tuple[str, bytes]]:
    make = workload.patches if backlog.kind == "patch" else workload.drawn
    return make(backlog.count, 1, share, backlog.edges)


def _bare(backlog: Backlog) -> None:
    path = backlog.root / "bare" / "hub"
    path.mkdir(parents=True)
    hub = bare_hub.connect(path / "hub.db")
    before = enumerate(workload.every_record(), start=1)
    bare_hub.upsert(hub, [(SPACE, COLLECTION, k, n, b"", n, v) for n, (k, v) in before])
    hub.close()
    for share in range(backlog.edges):
        path = backlog.root / "bare" / f"edge-{share}"
        path.mkdir(parents=True)
        connection = bare_edge.connect(path / "outbox.db")
        bare_edge.begin(connection)
        bare_edge.append(connection, list(_changes(backlog, share)))
        connection.close()


@contextlib.asynccontextmanager
async def _hub(data: Path, database: str) -> AsyncIterator[hubs.Hub]:
    settings = hubs.HubSettings("127.0.0.1:0", None if database else data, database)
    async with hubs.started(settings) as hub:
        stop = asyncio.Event()
        task = asyncio.create_task(hub.run(stop))
        yield hub
        stop.set()
        await task


@contextlib.asynccontextmanager
async def _running(settings: edges.EdgeSettings) -> AsyncIterator[edges.EdgeAgent]:
    async with edges.started(settings) as agent:
        stop = asyncio.Event()
        task = asyncio.create_task(agent.run(stop))
        yield agent
        stop.set()
        await task


async def _caught_up(agent: edges.EdgeAgent, revision: int) -> None:
    while (await agent.reads.standing(SPACE)).cursor.revision < revision:  # noqa: ASYNC110 - of files
        await asyncio.sleep(POLL_SECONDS)
