"""Types a recording again: by two people at two edges and a hub, all of them real processes.

Each types when his edge has what he had before him. Now and then links are cut, for as long as
nobody would have looked at what is new; some of those who are cut off are killed with what they
typed in their outbox, and begun again. Other links break for a moment in the middle.

Invariant: the first author's keystrokes are decided before those of the second that had not seen
them, so that the end is the recording's, byte for byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast import AsyncClient, OpId, Position, Splice
from holdfast.client.commits import Run
from holdfast.demo.link import Link
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import record_pb2 as record
from sync.messages import Scope
from tests import convergence
from tests.daemons import EdgeProcess, HubProcess
from tests.recordings.held import HeldLink
from tests.recordings.recording import AUTHORS, Patches, Recording, Stretch, Turn, cuts, turns

SPACE = "site"
PATH, FIELD = f"{SPACE}/pages/1", "body"
EVERYTHING = 1 << 62

WAIT_S = 60.0
"""For one step. A link that was cut for long is dialled again within ten seconds, say."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How it is made hard. The seed decides where."""

    seed: int = 1
    longest: int = 20
    """So many of the longest stretches of two authors, and as many of one, are typed offline."""
    others: int = 20
    """As many other stretches, long or short."""
    kills: int = 10
    """How many of those who are cut off are killed."""
    breaks: int = 20
    """How many times a link breaks for a moment."""


@dataclass
class Told:
    """What was done, and what everybody has in the end."""

    done: Counter[str] = field(default_factory=Counter)
    texts: dict[str, str] = field(default_factory=dict)
    conflicts: int = 0
    seconds: float = 0.0
    """From the first keystroke until everybody had everything."""

    def summary(self) -> str:
        return ", ".join(f"{number:,} {name}" for name, number in self.done.items())


class Author:
    """One of the two, at his edge: the process, and its link."""

    def __init__(self, directory: Path, name: str, hub: str, limit: int) -> None:
        self.name, self.cut = name, False
        self.held = HeldLink(hub, limit)
        self.link = Link(self.held.address)
        self._directory = directory
        self.process: EdgeProcess | None = None
        self.has = 0
        """Keystrokes of the other that are in this edge."""
        self.typed = 0
        self.waiting: list[tuple[OpId, int]] = []
        """Commits that are not known to be decided, with the keystrokes up to there."""
        self.decided = {0: 0}
        """By keystrokes up to there: the revision of their commit."""

    async def begin(self) -> None:
        await self.held.start()
        await self.link.heal()
        self.process = EdgeProcess(self.link.address, self._directory / self.name, scopes=[SPACE])
        await self._start()

    async def _start(self) -> None:
        # In a thread: the links are carried by this process.
        await asyncio.to_thread(self.edge.start)
        self.client = self.edge.client((self.name, "human"))

    @property
    def edge(self) -> EdgeProcess:
        assert self.process is not None
        return self.process

    async def restart(self) -> None:
        """SIGKILL, and begun again on the same files."""
        await self.client.close()
        await asyncio.to_thread(self.edge.kill)
        await self._start()

    async def end(self) -> None:
        if self.process is not None:
            await self.client.close()
            await asyncio.to_thread(self.edge.__exit__)
        self.link.cut()
        await self.held.stop()

    def cut_off(self) -> None:
        self.link.cut()
        self.cut = True

    async def heal(self) -> None:
        await self.link.heal()
        self.cut = False

    async def type(self, edits: list[Patches]) -> None:
        """One commit; it is durable here when this returns."""
        ops = [Splice(PATH, FIELD, tuple(_runs(patch))) for edit in edits for patch in edit]
        receipt = await self.client.commit(ops)
        self.typed += len(edits)
        self.waiting.append((receipt.op_id, self.typed))


def _runs(patch: list[Any]) -> list[Run]:
    at, deleted, inserted = patch
    return [at, inserted, -deleted]


class Replay:
    """The two of them, and the hub between them."""

    def __init__(self, hub: AsyncClient, authors: tuple[Author, Author]) -> None:
        self.hub, self.authors, self.told = hub, authors, Told()

    async def type(self, turn: Turn) -> None:
        author, other = self.authors[turn.author], self.authors[1 - turn.author]
        await self._look(author, other, turn.seen)
        await author.type(turn.edits)
        self.told.done["commits"] += 1
        if not author.cut:
            await self._settle(author, other)

    async def _look(self, author: Author, other: Author, seen: int) -> None:
        """His edge takes what he had seen of the other, and no more."""
        if seen <= author.has:
            return
        revision = other.decided[seen]
        author.held.let(revision)
        await author.client.wait(Position(1, SPACE, revision), timeout_s=WAIT_S)
        author.has = seen

    async def _settle(self, author: Author, other: Author) -> None:
        """All that he typed is decided. Nobody keeps it from him unless there is more than that."""
        commits = [op_id for op_id, _ in author.waiting]
        outcomes = await self.hub.wait(commits, timeout_s=WAIT_S)
        for (_, count), outcome in zip(author.waiting, outcomes, strict=True):
            assert outcome.position is not None
            author.decided[count] = outcome.position.revision
        author.waiting.clear()
        if max(other.decided) == author.has:
            author.held.let(author.decided[author.typed])

    async def cut(self, part: Stretch) -> None:
        """Each gets what he needs before he is cut off."""
        for who in part.cut_off:
            author, other = self.authors[who], self.authors[1 - who]
            await self._look(author, other, part.seen[who])
            author.cut_off()
        self.told.done["cuts"] += 1
        self.told.done["keystrokes offline"] += part.unseen

    async def heal(self, *, killed: bool) -> None:
        """One after the other, the first author before the second."""
        for author, other in (self.authors, self.authors[::-1]):
            if not author.cut:
                continue
            if killed and author.waiting:
                await author.restart()
                self.told.done["kills"] += 1
            await author.heal()
            if author.waiting:
                await self._settle(author, other)

    async def break_for_a_moment(self, author: Author) -> None:
        author.link.cut()
        await author.link.heal()
        self.told.done["links broken"] += 1

    async def settle(self) -> None:
        """Everybody gets everything."""
        for author in self.authors:
            author.held.let(EVERYTHING)
        edges = {one.name: one.client for one in self.authors}
        whole = {name: {SPACE: Scope()} for name in edges}
        await convergence.settled(self.hub, edges, whole, WAIT_S)

    async def tell(self) -> Told:
        """What everybody has."""
        doors = {"hub": self.hub} | {one.name: one.client for one in self.authors}
        for name, client in doors.items():
            found = await client.get(PATH)
            self.told.texts[name] = found.value[FIELD] if found else ""
        self.told.conflicts = len([one async for one in self.hub.conflicts(SPACE, states=())])
        return self.told


async def replay(recording: Recording, directory: Path, plan: Plan) -> Told:
    """Types it again. What everybody has in the end have hub and edges told to be equal; digests
    are."""
    luck = random.Random(plan.seed)
    order = list(turns(recording))
    parts = {part.first: part for part in cuts(order, luck, plan.longest, plan.others)}
    killed = set(luck.sample(sorted(parts), min(plan.kills, len(parts))))
    broken = set(luck.sample(range(len(order)), min(plan.breaks, len(order))))
    async with _house(directory) as run:
        began = time.monotonic()
        present: Stretch | None = None
        for number, turn in enumerate(order):
            if number in parts:
                present = parts[number]
                await run.cut(present)
            await run.type(turn)
            if present is not None and present.end == number + 1:
                await run.heal(killed=present.first in killed)
                present = None
            elif present is None and number in broken:
                await run.break_for_a_moment(luck.choice(run.authors))
        await run.settle()
        run.told.seconds = time.monotonic() - began
        return await run.tell()


@contextlib.asynccontextmanager
async def _house(directory: Path) -> AsyncIterator[Replay]:
    """A hub that knows the field as a text, and two edges that do."""
    hub = HubProcess(directory / "hub")
    await asyncio.to_thread(hub.start)
    client = hub.client()
    authors: list[Author] = []
    try:
        revision = await _declare(client)
        authors += [Author(directory, f"edge-{n + 1}", hub.address, revision) for n in AUTHORS]
        await asyncio.gather(*(author.begin() for author in authors))
        for author in authors:
            await author.client.wait(Position(1, SPACE, revision), timeout_s=WAIT_S)
        yield Replay(client, (authors[0], authors[1]))
    finally:
        for author in authors:
            await author.end()
        await client.close()
        await asyncio.to_thread(hub.__exit__)


async def _declare(hub: AsyncClient) -> int:
    policy = admin.Policy(collection="pages", json=f'{{"fields":{{"{FIELD}":"text"}}}}')
    actor = record.Actor(id="ann", kind=record.ACTOR_KIND_HUMAN)
    request = admin.SetPolicyRequest(space=SPACE, policy=policy, actor=actor)
    answer = await hub.request("AdminService.SetPolicy", request)
    assert isinstance(answer, admin.SetPolicyResponse)
    return answer.policy.revision
