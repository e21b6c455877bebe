"""Reads at the level that was asked for, or an error: never at a weaker one.

Strong: what was pending here at the request has to be decided, and the replica to be at a head that
the hub read after the request; then the hub's part is read, without what became pending since.
There is no lease and no memory of having been current, so a process that was frozen at any point
answers late and never wrong. Bounded: what is already proven of the replica is enough, else the hub
is asked as for strong. Eventual: what is here.

Invariant: an answer was read in a snapshot of which its level had been proven, or is proven by what
was asked after the request began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from edge_agent.database import EdgeFiles
from edge_agent.reads import Behind, Demand
from edge_agent.requests import Read
from edge_agent.uplink import Uplink
from edge_agent.waiting import Waiting
from holdfast.host.refusal import Refusal
from sync.consistency import Bound, Instant, Proof, ReadLevel
from sync.levels import Level
from sync.policy import Policies
from sync.position import Position

REDIAL_MS = 1_000
"""A link that was lost so lately may be coming back; beyond, who needs the hub is told at once."""

Ask = Callable[[Demand], Awaitable[Read]]
"""Reads what was asked for from a state that meets a demand. Raises Behind."""


@dataclass(frozen=True, slots=True)
class Served:
    """A read, the level it was served at, and its greatest age if that is known."""

    read: Read
    level: Level
    staleness_ms: int | None


@dataclass(slots=True)
class _Strong:
    """How far one strong read has come; kept for what is to be told if it comes no further."""

    began_ns: int
    flush: dict[int, int]
    head: Position | None = None


class LevelReads:
    """Reads of one edge. `seconds` are what is left of a request's deadline; `demand` is what its
    session has seen."""

    def __init__(
        self, files: EdgeFiles, uplink: Uplink, waiting: Waiting,
        policies: Callable[[str], Policies],
    ) -> None:  # fmt: skip
        self._files, self._uplink, self._waiting = files, uplink, waiting
        self._policies = policies

    def permitted(self, space: str, collections: Iterable[str], asked: ReadLevel) -> ReadLevel:
        """The level that a read is served at, by the policies as the replica knows them.

        Raises NotPermitted, UnboundedRead.
        """
        policies = self._policies(space)
        return asked.permitted((name, policies.of(name).levels) for name in collections)

    async def read(
        self, space: str, wanted: ReadLevel, demand: Demand, seconds: float, ask: Ask
    ) -> Served:
        """The answer at a level that is permitted. Raises Refusal."""
        assert wanted.level is not None, "the policies were asked"
        began = self._look()
        match wanted.level:
            case Level.STRONG:
                read = await self._strong(space, demand, seconds, ask)
            case Level.BOUNDED:
                read = await self._bounded(wanted, began, demand, seconds, ask)
            case _:
                read = await self._here(demand, seconds, ask)
        return Served(read, wanted.level, self._proof(read, self._look()).staleness_ms)

    def require_hub(self) -> None:
        """Raises Refusal HUB_UNREACHABLE if there is no link, and none is coming back."""
        away_ms = self._uplink.away_ms
        if away_ms > REDIAL_MS:
            why = self._uplink.reason or "it has not answered yet"
            raise Refusal("HUB_UNREACHABLE", f"no link to the hub for {away_ms // 1000} s: {why}")

    # -- eventual --------------------------------------------------------------

    async def _here(self, demand: Demand, seconds: float, ask: Ask) -> Read:
        """What is here, as soon as it has what the session has seen: as a rule at once."""
        found: Read | None = None

        async def look() -> bool:
            nonlocal found
            found = await _try(ask, demand)
            return found is not None

        if not await self._waiting.until(look, seconds):
            raise Refusal("SESSION_NOT_CAUGHT_UP", "the replica has fallen behind the session")
        assert found is not None
        return found

    # -- strong ----------------------------------------------------------------

    async def _strong(self, space: str, demand: Demand, seconds: float, ask: Ask) -> Read:
        outbox = self._files.outbox
        state = _Strong(
            self._files.clock.boot_ns(),
            {n: outbox.counter(space, n).last_seq for n in outbox.streams(space)},
        )
        found: Read | None = None

        async def look() -> bool:
            nonlocal found
            if state.head is None:
                self.require_hub()
                state.head = self._head_after(space, state.began_ns)
            if state.head is not None:
                at = _later(state.head, demand.position)
                found = await _try(ask, Demand(at, state.flush, hub_part=True))
            if found is None:
                self.require_hub()
            return found is not None

        if not await self._waiting.until(look, seconds):
            raise await self._too_late(space, state)
        assert found is not None
        return found

    def _head_after(self, space: str, began_ns: int) -> Position | None:
        """The hub's head as it read it after a moment; None if it has not answered yet."""
        if self._uplink.answered_nonce < began_ns:
            self._uplink.ask_heads(began_ns)
            return None
        return self._uplink.heads.get(space)

    async def _too_late(self, space: str, state: _Strong) -> Refusal:
        if state.head is None:
            return Refusal("DEADLINE_PASSED", "the hub has not said in time where it is")
        acknowledged, outbox = self._uplink.acknowledged, self._files.outbox
        left = {
            n: seq
            for n, seq in state.flush.items()
            if acknowledged.get((space, outbox.id_of(n)), 0) < seq
        }
        standing = await self._waiting.standing(space)
        left = {n: s for n, s in left.items() if not Demand(decided={n: s}).met(standing)}
        if left:
            names = ", ".join(f"{outbox.id_of(n).hex()}:{seq}" for n, seq in left.items())
            return Refusal("FLUSH_FAILED", f"not decided in time: {names}")
        at = standing.cursor.revision
        return Refusal(
            "DEADLINE_PASSED", f"the replica is at revision {at}, not yet {state.head.revision}"
        )

    # -- bounded ---------------------------------------------------------------

    async def _bounded(
        self, wanted: ReadLevel, began: Instant, demand: Demand, seconds: float, ask: Ask
    ) -> Read:
        """The bound is measured from the beginning of the request: what the hub is asked after it
        proves any."""
        ends = asyncio.get_running_loop().time() + seconds
        best = Proof()
        read = await self._here(demand, seconds, ask)
        found: Read | None = None

        async def look() -> bool:
            nonlocal best, found
            read = await _try(ask, demand)
            if read is None:
                return False
            best = self._proof(read, began)
            found = read if best.keeps(wanted.bound) else None
            if found is None and not wanted.local_only and self._uplink.away_ms <= REDIAL_MS:
                self._uplink.ask_heads(began.boot_ns)
            return found is not None or wanted.local_only or self._uplink.away_ms > REDIAL_MS

        if wanted.bound.staleness_ms is not None:
            self._uplink.keep_fresh(wanted.bound.staleness_ms)
        best = self._proof(read, began)
        if best.keeps(wanted.bound):
            return read
        await self._waiting.until(look, ends - asyncio.get_running_loop().time())
        if found is None:
            raise _unprovable(wanted.bound, self._proof(read, self._look()))
        return found

    def _look(self) -> Instant:
        now = self._uplink.now
        self._uplink.freshness.look(now)
        return now

    def _proof(self, read: Read, at: Instant) -> Proof:
        return self._uplink.freshness.proof(read.position, at)


async def _try(ask: Ask, demand: Demand) -> Read | None:
    try:
        return await ask(demand)
    except Behind:
        return None


def _later(one: Position, other: Position | None) -> Position:
    if other is not None and (one.epoch, one.revision) < (other.epoch, other.revision):
        return replace(other)
    return one


def _unprovable(bound: Bound, best: Proof) -> Refusal:
    parts = []
    if bound.staleness_ms is not None:
        age = "unknown" if best.staleness_ms is None else f"at most {best.staleness_ms} ms"
        parts.append(f"the age is {age}, wanted {bound.staleness_ms} ms")
    if bound.behind is not None:
        behind = "unknown" if best.behind is None else str(best.behind)
        parts.append(f"revisions behind: {behind}, wanted {bound.behind}")
    metadata = {}
    if best.staleness_ms is not None:
        metadata["staleness_ms"] = str(best.staleness_ms)
    if best.behind is not None:
        metadata["behind"] = str(best.behind)
    return Refusal("BOUND_UNPROVABLE", "; ".join(parts), metadata=metadata)
