"""What must hold of an edge's store whatever happens, in any order.

The hub is a dictionary that decides by the real rules. Between the steps processes die, the replica
goes back to an older file, answers are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.requests import Context
from holdfast.host import failpoints
from holdfast.host.failpoints import FailpointError
from holdfast.host.refusal import Refusal
from sync.apply import apply
from sync.batch import Batch
from sync.reduce import Add, Delete, Patch, Put, Request
from sync.values import InvalidValue
from sync.working import Key
from tests.edges import SPACE, DictHub, Edge, TestClock, open_edge

KEYS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(-3, 3)
VALUES = st.dictionaries(st.sampled_from(["x", "y", "z"]), NUMBERS, max_size=3).map(
    lambda members: (
        "{" + ",".join(f'"{k}":{v}' for k, v in sorted(members.items())) + "}"
    ).encode()
)
DELTAS = NUMBERS.map(lambda n: b'{"n":%d}' % n)
REQUESTS: st.SearchStrategy[Request] = st.one_of(
    st.builds(Put, st.just("things"), KEYS, VALUES),
    st.builds(Patch, st.just("things"), KEYS, VALUES, st.sampled_from([(), ("x",), ("y", "z")])),
    st.builds(Delete, st.sampled_from(["things", "counts"]), KEYS),
    st.builds(Add, st.just("counts"), KEYS, DELTAS),
    st.builds(Put, st.just("telemetry"), KEYS, VALUES),
)
STEPS = st.one_of(
    st.tuples(st.just("commit"), st.lists(REQUESTS, min_size=1, max_size=3)),
    st.tuples(st.just("commits"), st.lists(REQUESTS, min_size=2, max_size=5)),
    st.tuples(st.just("stale"), REQUESTS),
    st.tuples(st.just("foreign"), REQUESTS),
    st.tuples(st.just("foreign_late"), REQUESTS),
    st.tuples(st.just("twin"), REQUESTS),
    st.tuples(st.just("push"), st.integers(1, 4)),
    st.tuples(st.just("pull"), st.integers(1, 3)),
    st.tuples(st.just("crash"), st.sampled_from([
        "edge.commit.before_outbox", "edge.commit.outbox_written", "edge.commit.view_written",
    ]), REQUESTS),
    st.tuples(st.just("restart")),
    st.tuples(st.just("keep_replica")),
    st.tuples(st.just("restore_replica")),
    st.tuples(st.just("lose_replica")),
)  # fmt: skip


@dataclass
class World:
    """One edge, one hub, and what was promised."""

    root: Path
    hub: DictHub
    edge: Edge
    clock: TestClock
    contexts: list[Context] = field(default_factory=list)
    acknowledged: list[bytes] = field(default_factory=list)
    opens: int = 1

    async def step(self, step: tuple) -> None:
        await getattr(self, "do_" + step[0])(*step[1:])
        await self.check()

    async def do_commit(self, requests: list[Request]) -> None:
        await self.commit(*requests)

    async def do_commits(self, requests: list[Request]) -> None:
        await asyncio.gather(*(self.commit(request) for request in requests))

    async def do_stale(self, request: Request) -> None:
        """On a context of long ago."""
        await self.commit(request, context=self.contexts[0] if self.contexts else None)

    async def do_foreign(self, request: Request) -> None:
        self.hub.write(request)

    async def do_foreign_late(self, request: Request) -> None:
        """By somebody who had seen the half of it."""
        self.hub.write(request, base=self.hub.head // 2)

    async def do_twin(self, request: Request) -> None:
        """By a copy of this edge's outbox."""
        self.hub.write(request, origin=self.edge.origin)

    async def do_push(self, count: int) -> None:
        await self.edge.compare(self.hub)
        for batch in (await self.edge.undecided(count, offer=True))[:2]:
            self.hub.push(batch)

    async def do_pull(self, count: int) -> None:
        await self.edge.pull(self.hub, count)
        self.contexts.append((await self.edge.reads.batch_get(SPACE, [("x", "x")])).context)

    async def do_crash(self, where: str, request: Request) -> None:
        with failpoints.armed(f"{where}=error"):
            await self.commit(request)
        await self.reopen()

    async def do_restart(self) -> None:
        await self.reopen()

    async def do_keep_replica(self) -> None:
        await self.reopen(lambda: shutil.copy(self.replica, self.kept))

    async def do_restore_replica(self) -> None:
        if self.kept.exists():
            await self.reopen(lambda: shutil.copy(self.kept, self.replica))

    async def do_lose_replica(self) -> None:
        await self.reopen(self.replica.unlink)

    @property
    def replica(self) -> Path:
        return self.root / "replica.db"

    @property
    def kept(self) -> Path:
        return self.root / "kept"

    async def commit(self, *requests: Request, context: Context | None = None) -> None:
        try:
            receipt = await self.edge.commit(*requests, context=context)
        except (Refusal, FailpointError):
            return
        self.acknowledged.append(receipt.op_id.commit_id)

    async def reopen(self, between: object = None) -> None:
        await self.edge.close()
        if callable(between):
            between()
        self.opens += 1
        self.edge = await open_edge(self.root, self.opens, clock=self.clock)

    async def check(self) -> None:
        """The view is the hub's state at the cursor plus what is pending, in order."""
        cursor = (await self.edge.reads.standing(SPACE)).cursor
        expected: dict[Key, bytes | None] = dict(self.hub.history[cursor.revision])
        for batch in await self.edge.undecided():
            assert isinstance(batch, Batch)
            for collection, key, kind, payload in zip(
                batch.collections, batch.keys, batch.kinds, batch.payloads, strict=True
            ):
                name = (collection, key)
                with contextlib.suppress(InvalidValue):
                    expected[name] = apply(kind, payload, expected.get(name))
        live = {name: value for name, value in expected.items() if value is not None}
        assert await self.edge.state() == live

    async def end(self) -> None:
        """Everything acknowledged is decided once, and the edge equals the hub."""
        marked = await self.edge.sync(self.hub)
        assert marked.equal is not False, marked
        assert await self.edge.state() == self.hub.state()
        decided = Counter(id_ for one in self.hub.log for id_ in one.batch.commit_ids)
        assert all(decided[id_] == 1 for id_ in self.acknowledged)
        assert max(decided.values(), default=0) <= 1


async def _run(steps: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root, clock, hub = Path(directory), TestClock(), DictHub()
        hub.set_policy("counts", b'{"fields":{"n":"counter"}}')
        hub.set_policy("telemetry", b'{"coalesce":true}')
        edge = await open_edge(root, clock=clock)
        await edge.pull(hub)
        world = World(root, hub, edge, clock)
        try:
            for step in steps:
                await world.step(step)
            await world.end()
        finally:
            await world.edge.close()


@pytest.mark.promise("merge.edge-is-hub-plus-pending")
@pytest.mark.promise("read.eventual.prefix")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, max_size=25))
def test_the_view_is_the_hub_at_the_cursor_plus_own_pending(steps: list[tuple]) -> None:
    asyncio.run(_run(steps))
