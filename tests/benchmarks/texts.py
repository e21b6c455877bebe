"""Rows of texts: edits at an edge, and edits that two people make at once and the hub decides.

An edge is asked over its socket and answers when an edit is on its disk, one in a commit or many.
The hub decides pushes of two edges, each written without a look at the other's, one commit in a
transaction or many. The baseline stores the same requests and the same pushes without a look at
them. Beside them are libraries that merge texts in memory (see peers.py).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from cloud_hub import hub as hubs
from cloud_hub.submissions import Pushed, Requested
from holdfast import AsyncClient, Position
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import edge_service_pb2 as edge_pb
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import replication_service_pb2 as pb
from holdfast.v1 import state_service_pb2 as state
from sync import framing, splices
from sync import messages as m
from sync.batch import Batch, batch_of
from sync.codec import encode_block
from sync.commit import Actor, ActorKind, Commit, Kind, Op
from sync.policy import POLICIES
from sync.reduce import Put
from sync.transform import extended, splice
from tests.benchmarks import bare_hub, calls, keystrokes, peers, processes
from tests.benchmarks.bench import Bench, house
from tests.benchmarks.figures import Figure
from tests.benchmarks.keystrokes import Edit
from tests.benchmarks.local import NOBODY
from tests.benchmarks.workload import COLLECTION, SPACE
from tests.recordings import recording
from tests.recordings.replay import Plan, replay

KEY, FIELD = "page", "body"
POLICY = f'{{"fields":{{"{FIELD}":"text"}}}}'
PERSON = Actor("ann", ActorKind.HUMAN)

PER_COMMIT = 200
"""What an editor sends that was offline for a minute."""

PER_TRANSACTION = 1_000
PEOPLE = 2

SHARE = 5
"""Of the calls of other rows: an edit costs more than a put."""

Rates = dict[str, float]
"""Operations per second, by the name of a row."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Who does the same work: the baseline, the product, and a library."""

    bare: Callable[[Bench, int], Awaitable[Rates]]
    product: Callable[[Bench, int], Awaitable[Rates]]
    peer: Callable[[Bench, int, Callable[[], peers.Document]], Rates]


async def rows(bench: Bench) -> list[Figure]:
    """Edits at an edge and decisions at a hub, for each size of text."""
    found: list[Figure] = []
    for size in bench.size.texts:
        kb = f"a text of {size // 1_000:,} KB"
        found += await _beside(bench, size, f"edits at an edge, {kb}", EDGE)
        found += await _beside(bench, size, f"edits decided at the hub, {kb}", HUB)
    return found


async def _beside(bench: Bench, size: int, name: str, sides: Sides) -> list[Figure]:
    theirs, ours = await bench.turns(
        lambda: sides.bare(bench, size), lambda: sides.product(bench, size)
    )
    found = _figures(name, ours, theirs)
    for peer, make in peers.installed().items():
        beside = [sides.peer(bench, size, make) for _ in range(bench.size.runs)]
        found += _figures(f"the same beside {peer} in memory", ours, beside)
    return found


def _figures(name: str, ours: Sequence[Rates], theirs: Sequence[Rates]) -> list[Figure]:
    def of(how: str) -> Figure:
        mine, others = ([run[how] for run in runs] for runs in (ours, theirs))
        return Figure.of(f"{name}, {how}", "ops/s", mine, others)

    return [of(how) for how in ours[0]]


def _counts(bench: Bench, many: int) -> dict[str, tuple[int, int]]:
    """By name: how many commits or transactions, each of so many edits."""
    some = max(1, bench.size.calls // many // SHARE)
    return {"1": (bench.size.calls // SHARE, 1), str(many): (some, many)}


# -- an edge ---------------------------------------------------------------------------------------


def _edge_work(bench: Bench, size: int) -> dict[str, list[list[Edit]]]:
    found: dict[str, list[list[Edit]]] = {}
    length = size
    for name, (commits, each) in _counts(bench, PER_COMMIT).items():
        edits = list(keystrokes.typed(commits, length, commits * each))
        found[f"{name} a commit"] = [edits[i : i + each] for i in range(0, len(edits), each)]
        length = edits[-1].after
    return found


def _request(edits: Sequence[Edit]) -> state.CommitRequest:
    ops = [
        record.Op(
            collection=COLLECTION, key=KEY, splice=record.SpliceOp(field=FIELD, runs=_runs(edit))
        )
        for edit in edits
    ]
    return state.CommitRequest(space=SPACE, ops=ops, actor=calls.AUTHOR)


def _runs(edit: Edit) -> list[record.SpliceRun]:
    runs = [record.SpliceRun(retain=edit.at)] if edit.at else []
    runs += [record.SpliceRun(insert=edit.inserted)] if edit.inserted else []
    return runs + ([record.SpliceRun(delete=edit.deleted)] if edit.deleted else [])


async def _timed(bench: Bench, size: int, path: str) -> Rates:
    found: Rates = {}
    async with calls.stub(path) as stub:
        for name, commits in _edge_work(bench, size).items():
            spent, _ = await calls.timed(stub.Commit, iter(list(map(_request, commits))), 1)
            found[name] = round(sum(map(len, commits)) / spent)
    return found


async def _edge(bench: Bench, size: int) -> Rates:
    """An edge that knows the policy and has the text, and whose hub is away."""
    with bench.place() as root:
        async with house("product", root, 1) as daemons:
            (edge,) = daemons.edges
            await edge.ask("drain")
            async with AsyncClient(f"127.0.0.1:{daemons.hub.ready['port']}") as hub:
                revision = await _declare(hub)
            path = edge.ready["socket"]
            async with AsyncClient(f"unix:{path}", ("ann", "human")) as client:
                await client.wait(revision)
                await client.put(f"{SPACE}/{COLLECTION}/{KEY}", {FIELD: keystrokes.text(size)})
                await client.synced(SPACE)
                await client.request("EdgeService.Pause", edge_pb.PauseRequest())
            return await _timed(bench, size, path)


async def _declare(hub: AsyncClient) -> Position:
    request = admin.SetPolicyRequest(
        space=SPACE, policy=admin.Policy(collection=COLLECTION, json=POLICY),
        actor=record.Actor(id="ann", kind=record.ACTOR_KIND_HUMAN),
    )  # fmt: skip
    answer = await hub.request("AdminService.SetPolicy", request)
    assert isinstance(answer, admin.SetPolicyResponse)
    return Position(1, SPACE, answer.policy.revision)


async def _bare_edge(bench: Bench, size: int) -> Rates:
    with bench.place() as root:
        data, path = root / "edge", root / "agent.sock"
        data.mkdir()
        async with processes.started("bare_edge", NOBODY, data, path):
            return await _timed(bench, size, str(path))


def _peer_edge(bench: Bench, size: int, make: Callable[[], peers.Document]) -> Rates:
    document, found = make(), Rates()
    document.commit([Edit(0, 0, keystrokes.text(size), 0)])
    for name, commits in _edge_work(bench, size).items():
        began = time.perf_counter()
        for edits in commits:
            document.commit(edits)
        found[name] = round(sum(map(len, commits)) / (time.perf_counter() - began))
    return found


# -- the hub ---------------------------------------------------------------------------------------


def _hub_work(bench: Bench, size: int) -> dict[str, list[list[list[Edit]]]]:
    """By name: rounds, in each of which everybody types so much at once."""
    found: dict[str, list[list[list[Edit]]]] = {}
    length = size
    for name, (count, each) in _counts(bench, PER_TRANSACTION).items():
        made = list(keystrokes.rounds(count, length, PEOPLE, each, count))
        found[f"{name} a transaction"] = made
        length = made[-1][0][0].before + sum(
            edits[-1].after - edits[0].before for edits in made[-1]
        )
    return found


class _Author:
    """One of the edges whose pushes the hub decides."""

    def __init__(self, number: int) -> None:
        self.origin, self.seq = bytes([number + 1]) * 16, 0

    def batch(self, edits: Sequence[Edit], base: int) -> Batch:
        commits = []
        for edit in edits:
            self.seq += 1
            whole = extended(splice([edit.at, edit.inserted, -edit.deleted]), edit.before)
            op = Op(Kind.SPLICE, COLLECTION, KEY, splices.encode({FIELD: whole}))
            id_ = self.origin[:8] + self.seq.to_bytes(8, "big")
            stamp = time.time_ns() // 1_000_000 << 16
            commits.append(Commit(id_, self.seq, base, self.seq - 1, stamp, PERSON, (op,)))
        return batch_of(SPACE, self.origin, 1, commits)


def _pushed(batch: Batch) -> Pushed:
    block = encode_block(batch)
    packed = framing.compress(block, framing.ZSTD)
    push = m.Push(SPACE, batch.origin, batch.first_seq, len(batch), packed, len(block))
    return Pushed(batch, push, framing.ZSTD, "edge")


async def _hub(bench: Bench, size: int) -> Rates:
    with bench.place() as root:
        async with _running(root, size) as hub:
            return await _decided(bench, size, 2, lambda one, _: hub.ingest.submit(one))


@asynccontextmanager
async def _running(root: Path, size: int) -> AsyncIterator[hubs.Hub]:
    """A hub in this process that has the text, at revision 2."""
    async with hubs.started(hubs.HubSettings("127.0.0.1:0", root)) as hub:
        stop = asyncio.Event()
        running = asyncio.create_task(hub.run(stop))
        page = Put(COLLECTION, KEY, orjson.dumps({FIELD: keystrokes.text(size)}))
        for put, system in ((Put(POLICIES, COLLECTION, POLICY.encode()), True), (page, False)):
            await hub.ingest.submit(Requested(SPACE, (put,), PERSON, os.urandom(16), system=system))
        yield hub
        stop.set()
        await running


async def _bare_hub(bench: Bench, size: int) -> Rates:
    with bench.place() as root:
        database = bare_hub.Sqlite(root / "hub.db")

        async def store(one: Pushed, first: int) -> None:
            push = pb.Push(
                space=SPACE, origin=one.push.origin, first_seq=one.push.first_seq,
                count=one.push.count, block=one.push.block,
            )  # fmt: skip
            batch = bare_hub.Batch(push, one.batch.keys, one.batch.payloads, COLLECTION)
            await database.store([batch], first)

        return await _decided(bench, size, 0, store)


async def _decided(
    bench: Bench, size: int, head: int, decide: Callable[[Pushed, int], Any]
) -> Rates:
    authors, found = [_Author(n) for n in range(PEOPLE)], Rates()
    for name, work in _hub_work(bench, size).items():
        spent, count = 0.0, 0
        for together in work:
            pushes = [_pushed(a.batch(e, head)) for a, e in zip(authors, together, strict=True)]
            began = time.perf_counter()
            for push in pushes:
                await decide(push, head + 1)
                head += len(push.batch)
            spent += time.perf_counter() - began
            count += sum(map(len, together))
        found[name] = round(count / spent)
    return found


def _peer_hub(bench: Bench, size: int, make: Callable[[], peers.Document]) -> Rates:
    authors, hub, found = [make() for _ in range(PEOPLE)], make(), Rates()
    first = authors[0].commit([Edit(0, 0, keystrokes.text(size), 0)])
    for document in (hub, *authors[1:]):
        document.take(first)
    for name, work in _hub_work(bench, size).items():
        spent, count = 0.0, 0
        for together in work:
            updates = [a.commit(edits) for a, edits in zip(authors, together, strict=True)]
            began = time.perf_counter()
            for update in updates:
                hub.take(update)
            spent += time.perf_counter() - began
            count += sum(map(len, together))
            authors[0].take(updates[1])
            authors[1].take(updates[0])
        found[name] = round(count / spent)
    return found


EDGE = Sides(_bare_edge, _edge, _peer_edge)
HUB = Sides(_bare_hub, _hub, _peer_hub)


# -- a recording -----------------------------------------------------------------------------------


async def recorded(bench: Bench) -> list[Figure]:
    """What two people really typed: by two edges and a hub, as processes, each author waiting for
    what he had before him; beside documents in memory that exchange updates as often."""
    if not recording.FOLDER:
        bench.note("recorded text: not measured, HOLDFAST_TRACES names no folder of recordings")
        return []
    trace = recording.recorded()
    with bench.place() as root:
        told = await replay(trace, root, Plan(longest=0, others=0, kills=0, breaks=0))
    assert set(told.texts.values()) == {trace.end}, "a rate of something else"
    ours = [round(trace.keystrokes / told.seconds)]
    name = "a recorded text of two people, 2 edges and a hub"
    found = [Figure.of(name, "keystrokes/s", ours)]
    for peer, make in peers.installed().items():
        theirs = [_exchanged(trace, make)]
        found.append(Figure.of(f"the same beside {peer} in memory", "keystrokes/s", ours, theirs))
    return found


def _exchanged(trace: recording.Recording, make: Callable[[], peers.Document]) -> float:
    authors = (make(), make())
    updates: tuple[list[tuple[int, bytes]], ...] = ([], [])
    typed, taken = [0, 0], [0, 0]
    began = time.perf_counter()
    for turn in recording.turns(trace):
        who, other = turn.author, 1 - turn.author
        while taken[who] < len(updates[other]) and updates[other][taken[who]][0] <= turn.seen:
            authors[who].take(updates[other][taken[who]][1])
            taken[who] += 1
        edits = [
            Edit(at, deleted, inserted, 0)
            for patches in turn.edits
            for at, deleted, inserted in patches
        ]
        typed[who] += len(turn.edits)
        updates[who].append((typed[who], authors[who].commit(edits)))
    return round(trace.keystrokes / (time.perf_counter() - began))
