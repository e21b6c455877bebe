"""What a session has seen, made true here before it is answered.

A token names a position, and commits that were undecided when they were seen. Own ones have to be
in the view. Of others the hub is asked when it decided them, whatever the outcome and whether or
not they are in this edge's scope; then that revision is waited for. So nobody waits longer than his
deadline, and nobody for what will never come: what was declared lost is told.

Invariant: a request goes on only on a state that contains all that its session has seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_agent import tail
from edge_agent.database import EdgeFiles
from edge_agent.reads import Reads
from edge_agent.standing import Standing
from edge_agent.uplink import Uplink
from edge_agent.waiting import Waiting
from holdfast.host.refusal import Refusal
from holdfast.host.session_refusals import epoch_changed, not_caught_up, writes_lost
from sync import messages as m
from sync.position import Lineage, Position, UnknownEpoch
from sync.session import SessionToken, decode_token


@dataclass(frozen=True, slots=True)
class Missing:
    """What the view lacks, for people, and commits that are undecided at other edges."""

    text: str = ""
    elsewhere: Mapping[bytes, int] | None = None

    def refusal(self) -> Refusal:
        if self.elsewhere:
            return not_caught_up(self.elsewhere)
        return Refusal("SESSION_NOT_CAUGHT_UP", self.text)


class Sessions:
    """Waits for what tokens demand. `seconds` are what is left of a deadline."""

    def __init__(self, files: EdgeFiles, reads: Reads, uplink: Uplink, waiting: Waiting) -> None:
        self._files, self._reads = files, reads
        self._uplink, self._waiting = uplink, waiting

    async def ready(
        self, space: str, data: bytes, seconds: float, seen: Iterable[tuple[bytes, int]] = ()
    ) -> SessionToken:
        """The token, once the view contains what it has seen of the space, and what `seen` names of
        other edges: undecided commits that the author of a write had before his eyes.

        Raises InvalidToken, Refusal SESSION_NOT_CAUGHT_UP, EPOCH_CHANGED, WRITES_LOST.
        """
        token = decode_token(data)
        wanted = token.positions.get(space)
        pending = token.pending_in(space)
        for origin, seq in seen:
            if origin not in self._files.outbox.ordinals:
                pending[origin] = max(seq, pending.get(origin, 0))
        if wanted is None and not pending:
            return token
        missing: Missing | None = None
        standing = Standing(space)

        async def look() -> bool:
            nonlocal missing, standing
            standing = await self._reads.standing(space)
            missing = await self._missing(standing, wanted, pending)
            return missing is None

        if not await self._waiting.until(look, seconds):
            assert missing is not None
            raise missing.refusal()
        cursor = standing.cursor
        at = Position(cursor.epoch, space, cursor.revision)
        return token.without(space, self._decided(standing, pending)).saw(at, {})

    async def _missing(
        self, standing: Standing, wanted: Position | None, pending: Mapping[bytes, int]
    ) -> Missing | None:
        """What the view lacks; None if nothing."""
        since, ours = 0, self._files.outbox.ordinals
        if wanted is not None:
            try:
                since = self._lasting(wanted)
            except UnknownEpoch:
                return Missing(f"epoch {wanted.epoch} has not come here yet")
            if not self._reached(standing, since):
                at = standing.cursor.revision
                return Missing(f"the replica is at revision {at}, not yet {since}")
        elsewhere: dict[bytes, int] = {}
        for origin, seq in pending.items():
            if origin in ours:
                lacks = await self._missing_own(standing, origin, seq, since)
            else:
                lacks = await self._missing_foreign(standing, origin, seq, since, elsewhere)
            if lacks is not None:
                return lacks
        return Missing("", elsewhere) if elsewhere else None

    def _lasting(self, wanted: Position) -> int:
        """The revision of the present history that a token's position stands for. Raises
        UnknownEpoch, Refusal EPOCH_CHANGED."""
        known = self._files.outbox.lineage
        if not known:
            return wanted.revision
        lineage = Lineage(known)
        last = lineage.effective(wanted)
        if last < wanted.revision:
            raise epoch_changed(wanted, lineage.present.ordinal, last)
        return last

    def _reached(self, standing: Standing, revision: int) -> bool:
        """Whether the replica has a revision of the present history."""
        cursor, known = standing.cursor, self._files.outbox.lineage
        if not known:
            return cursor.revision >= revision
        at = Position(cursor.epoch, standing.space, cursor.revision)
        try:
            return Lineage(known).effective(at) >= revision
        except UnknownEpoch:
            return False

    # -- own commits -----------------------------------------------------------

    async def _missing_own(
        self, standing: Standing, origin: bytes, seq: int, since: int
    ) -> Missing | None:
        outbox, space = self._files.outbox, standing.space
        name, number = outbox.present_name(space, origin, seq)
        ordinal = outbox.ordinals[name]
        own = standing.own.get(ordinal)
        # Not in the view: the disk took it and had no room for the view, or was put back.
        if own is None or number > max(own.decided_seq, own.overlay_seq):
            return Missing(f"seq {seq} of origin {origin.hex()} is not in the view")
        lost = [
            (void.first_seq, min(void.count, number - void.first_seq + 1))
            for void in outbox.voids.get((space, ordinal), ())
            if void.first_seq <= number and await self._seen_pending(standing, void, since)
        ]
        if lost:
            raise writes_lost({name: lost})
        return None

    async def _seen_pending(self, standing: Standing, void: m.VoidRange, since: int) -> bool:
        """Whether a session at `since` saw commits undecided that were declared void: then they
        were decided after it, or are not yet."""
        own = standing.own[self._files.outbox.ordinals[void.origin]]
        if void.first_seq > own.decided_seq:
            return True
        kept = await self._files.reader.snapshot(
            lambda c: tail.of_seq(c, standing.space, void.origin, void.first_seq)
        )
        if kept is None:
            return since < standing.tail_from
        decided = kept.decided
        return decided.first_revision + void.first_seq - decided.batch.first_seq > since

    # -- those of other edges --------------------------------------------------

    async def _missing_foreign(
        self, standing: Standing, origin: bytes, seq: int, since: int, elsewhere: dict[bytes, int]
    ) -> Missing | None:
        asked = m.AskDecided(standing.space, origin, seq, since)
        if await self._is_here(standing, asked):
            return None
        answer = self._uplink.decided_at(asked)
        if answer is None:
            elsewhere[origin] = seq
            return None
        if answer.lost:
            raise writes_lost({origin: answer.lost})
        revision = answer.position.revision
        if not self._reached(standing, revision):
            at = standing.cursor.revision
            return Missing(f"the replica is at revision {at}, not yet {revision}")
        return None

    async def _is_here(self, standing: Standing, asked: m.AskDecided) -> bool:
        """Whether the replica itself can tell, without the hub, that the commit is decided in it
        and nothing before it was lost. Raises Refusal WRITES_LOST."""
        if not standing.whole or asked.since < standing.tail_from:
            return False
        lost = await self._files.reader.snapshot(lambda c: tail.lost_up_to(c, asked))
        if lost:
            raise writes_lost({asked.origin: lost})
        return lost is not None

    def _decided(self, standing: Standing, pending: Mapping[bytes, int]) -> dict[bytes, int]:
        """What of the pending ones is decided in the replica, and need not be carried on."""
        outbox, found = self._files.outbox, {}
        for origin, seq in pending.items():
            if origin in outbox.ordinals:
                name, number = outbox.present_name(standing.space, origin, seq)
                own = standing.own.get(outbox.ordinals[name])
                if own is None or own.decided_seq < number:
                    continue
            found[origin] = seq
        return found
