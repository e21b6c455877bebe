"""Writes at the level that was asked for, or an error: never at a weaker one.

Eventual and bounded writes are taken here and now. A strong one is for the hub to decide: what is
pending in its space goes first, then it is stored and sent, and its author waits. Without a hub it
is refused before anything is stored, so it never appears. Once it may have left this device, only
the hub's word says what became of it; a deadline without that word is an unknown outcome, and the
commit id finds out.

Invariant: OK at the level strong is the hub's decision, at a place in the order between request and
answer; a refusal other than OUTCOME_UNKNOWN means that it took no effect and never will.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge_agent import retrospect, states, tail
from edge_agent.database import EdgeFiles
from edge_agent.judging import Stronger
from edge_agent.local_store import LocalStore
from edge_agent.requests import Context, Receipt, Write
from edge_agent.retrospect import PENDING, Decision
from edge_agent.strong import Awaited, verdict_of
from edge_agent.uplink import LinkState, Uplink
from edge_agent.waiting import Waiting
from holdfast.host.refusal import Refusal
from sync.commit import OpId, Outcome, OutcomeKind
from sync.levels import Level
from sync.messages import StrongVerdict
from sync.position import Position


@dataclass(frozen=True, slots=True)
class Written:
    """A write that was taken, and what is known of its outcome."""

    receipt: Receipt
    decision: Decision


class LevelWrites:
    """Writes of one edge. `seconds` are what is left of a request's deadline; `require_hub` raises
    Refusal HUB_UNREACHABLE where there is no link and none is coming back."""

    def __init__(
        self, files: EdgeFiles, store: LocalStore, uplink: Uplink, waiting: Waiting,
        require_hub: Callable[[], None],
    ) -> None:  # fmt: skip
        self._files, self._store = files, store
        self._uplink, self._waiting = uplink, waiting
        self._require_hub = require_hub

    async def commit(self, write: Write, seconds: float) -> Written:
        """Takes a write, or has it decided. Raises Refusal."""
        if write.level is not Level.STRONG:
            try:
                return await self._taken(await self._store.commit(write), write.space)
            except Stronger:
                write = replace(write, level=Level.STRONG)
        return await self._strong(write, seconds)

    async def _taken(self, receipt: Receipt, space: str) -> Written:
        decision = Decision(receipt.op_id, PENDING)
        if receipt.repeated:
            (decision,) = await retrospect.outcomes(self._files, space, [receipt.op_id])
        return Written(receipt, decision)

    # -- strong ----------------------------------------------------------------

    async def _strong(self, write: Write, seconds: float) -> Written:
        ends = asyncio.get_running_loop().time() + seconds
        commit_id = write.commit_id or self._files.new_id()
        write = replace(write, commit_id=commit_id)
        with self._uplink.strong.awaiting(write.space, commit_id, seconds) as awaited:
            if not await self._is_retry(write.space, commit_id):
                await self._flush(write.space, ends)
            receipt = await self._store.commit(write)
            if receipt.repeated:
                known = await self._known(write.space, receipt.op_id)
                awaited.verdict = awaited.verdict or known  # the hub's word may have come meanwhile
            verdict = await self._verdict(receipt, awaited, ends)
        verdict = await self._first(write.space, verdict)
        if verdict.outcome.kind in (OutcomeKind.REJECTED, OutcomeKind.LOST):
            raise await self._refusal(write, verdict)
        return await self._applied(write, receipt, verdict, ends)

    async def _is_retry(self, space: str, commit_id: bytes) -> bool:
        outbox = self._files.outbox
        return (
            await self._files.in_outbox(lambda c: outbox.find_id(c, space, commit_id)) is not None
        )

    async def _flush(self, space: str, ends: float) -> None:
        """Returns when what is pending in a space at this moment is durable at the hub. Raises
        Refusal HUB_UNREACHABLE."""
        outbox, standing = self._files.outbox, await self._waiting.standing(space)
        left = {}
        for ordinal in outbox.streams(space):
            last, own = outbox.counter(space, ordinal).last_seq, standing.own.get(ordinal)
            if last > (own.decided_seq if own else 0):
                left[space, outbox.id_of(ordinal)] = last

        async def look() -> bool:
            self._require_hub()
            if self._uplink.state is not LinkState.STREAMING:
                return False  # it was lost a moment ago, and may be coming back
            acknowledged = self._uplink.acknowledged
            return all(acknowledged.get(stream, 0) >= seq for stream, seq in left.items())

        if not await self._waiting.until(look, self._left(ends)):
            raise Refusal("HUB_UNREACHABLE", "earlier writes did not reach the hub in time")

    async def _verdict(self, receipt: Receipt, awaited: Awaited, ends: float) -> StrongVerdict:
        """What the hub has decided. Raises Refusal OUTCOME_UNKNOWN; HUB_UNREACHABLE if the commit
        has not left this device as a live one, which it then never does."""
        sure = not receipt.repeated

        async def look() -> bool:
            if sure and not awaited.offered and awaited.verdict is None:
                self._require_hub()
            return awaited.verdict is not None

        await self._waiting.until_stopped(look, self._left(ends))
        if awaited.verdict is not None:
            return awaited.verdict
        commit_id = receipt.op_id.commit_id.hex()
        if sure and not awaited.offered:
            raise Refusal("HUB_UNREACHABLE", "the write could not be sent within its deadline")
        raise Refusal(
            "OUTCOME_UNKNOWN", f"the hub has not said what became of {commit_id}",
            metadata={"commit_id": commit_id},
        )  # fmt: skip

    # -- what is known of a decision -------------------------------------------

    async def _known(self, space: str, op_id: OpId) -> StrongVerdict | None:
        """What the replica knows of a retry's first attempt. Raises Refusal ALREADY_APPLIED."""
        (decision,) = await retrospect.outcomes(self._files, space, [op_id])
        if decision.unknown == "OUTCOME_NOT_RETAINED":
            raise Refusal("ALREADY_APPLIED", f"commit id {op_id.commit_id.hex()}")
        if decision.outcome is None or decision.position is None:
            return None
        return verdict_of(decision.op_id, decision.outcome, decision.position)

    async def _first(self, space: str, verdict: StrongVerdict) -> StrongVerdict:
        """The verdict with the place of the first decision, which a replica's word on a repeat
        lacks. Raises Refusal ALREADY_APPLIED."""
        if verdict.position.revision:
            return verdict
        first = verdict.first
        kept = await self._files.reader.snapshot(
            lambda c: tail.of_seq(c, space, first.origin, first.seq)
        )
        if kept is None:
            raise Refusal("ALREADY_APPLIED", f"commit id {verdict.commit_id.hex()}")
        revision = kept.decided.first_revision + first.seq - kept.decided.batch.first_seq
        return replace(verdict, position=Position(kept.decided.epoch, space, revision))

    async def _refusal(self, write: Write, verdict: StrongVerdict) -> Refusal:
        metadata = {"commit_id": verdict.commit_id.hex(), **verdict.metadata}
        if verdict.outcome.reason == "REVISION_MISMATCH" and "revision" not in metadata:
            metadata |= await self._present(write)
        return Refusal(verdict.outcome.reason, verdict.message, metadata=metadata)

    async def _present(self, write: Write) -> dict[str, str]:
        """The version, here, of the first record that a write is about."""
        name = (write.requests[0].collection, write.requests[0].key)
        found = await self._files.reader.snapshot(
            lambda c: states.hub_records(c, write.space, [name])
        )
        record = found.get(name)
        return {
            "collection": name[0], "key": name[1],
            "exists": str(record is not None and not record.deleted).lower(),
            "revision": str(record.revision if record else 0),
        }  # fmt: skip

    async def _applied(
        self, write: Write, receipt: Receipt, verdict: StrongVerdict, ends: float
    ) -> Written:
        """The answer: as soon as the replica contains the commit, or at the deadline without. What
        is not replicated here will not be contained."""
        position, applied = verdict.position, False
        if self._store.keeps(write):
            applied = await self._waiting.until_stopped(
                lambda: self._waiting.is_at(position), self._left(ends)
            )
        seen = Context(position.epoch, position.revision)
        receipt = replace(
            receipt, op_id=verdict.first, position=position, context=seen,
            applied_locally=applied, level=Level.STRONG,
        )  # fmt: skip
        outcome = Outcome(verdict.outcome.kind, verdict.outcome.reason)
        return Written(receipt, Decision(verdict.first, outcome, position))

    def _left(self, ends: float) -> float:
        return max(0.0, ends - asyncio.get_running_loop().time())
