"""What an edge is told when it comes, and when it asks where the hub stands.

For each space of the hello: where the head is, what is decided of the edge's
origins, with the ids by which both sides see whether they mean the same
commits, and whether the edge's replica may go on from its cursor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from cloud_hub import change_log, epochs, forks, heads, origins, settled
from cloud_hub.cursors import TOKEN_BYTES, CursorKey, InvalidCursor
from cloud_hub.deciding import NOTHING_DECIDED
from cloud_hub.forks import Sign
from cloud_hub.fresh_heads import FreshHeads
from cloud_hub.heads import Head
from cloud_hub.storage.driver import Driver, Transaction
from holdfast.host.clock import Clock
from sync import framing
from sync import messages as m
from sync.batch import MAX_PAYLOAD_BYTES
from sync.position import Lineage, Position, UnknownEpoch

OnSign = Callable[[Sign, bool], Awaitable[None]]
"""Notes what an edge had been told and is not here; True: nobody has known that, so the space
stops."""


async def _ignored(_sign: Sign, _unknown: bool) -> None:
    return


class Greeter:
    """Answers from the database, never from memory."""

    def __init__(self, driver: Driver, clock: Clock, key: CursorKey, hub: str) -> None:
        self._driver, self._clock, self._hub = driver, clock, hub
        self._fresh = FreshHeads(driver)
        self.key = key
        self.on_sign: OnSign = _ignored

    def codec_of(self, hello: m.Hello) -> str:
        """The best compression that both sides have."""
        both = [name for name in framing.available_codecs() if name in hello.codecs]
        return both[0] if both else framing.IDENTITY

    async def greet(self, hello: m.Hello, credit: m.Credit) -> m.Welcome:
        """The welcome for an edge whose older streams have ended."""

        async def work(tx: Transaction) -> tuple[Lineage, list[m.SpaceWelcome], list[Sign]]:
            lineage, signs = await epochs.load(tx), list[Sign]()
            spaces = [await self._space(tx, lineage, hello.edge, s, signs) for s in hello.spaces]
            return lineage, spaces, signs

        lineage, spaces, signs = await self._driver.read(work)
        for sign in signs:
            await self.on_sign(sign, sign.epoch >= lineage.present.ordinal)
        return m.Welcome(
            hub=self._hub,
            version=max(set(hello.versions) & set(m.PROTOCOL_VERSIONS)),
            lineage=lineage.epochs,
            spaces=tuple(spaces),
            codec=self.codec_of(hello),
            max_message_bytes=2 * MAX_PAYLOAD_BYTES,
            wall_ms=self._clock.wall_ms(),
            credit=credit,
        )

    async def compare(self, compare: m.CompareIds) -> m.ComparedIds:
        """The ids that were decided at these seqs."""

        async def work(tx: Transaction) -> m.ComparedIds:
            numbers = await origins.numbers(tx, [compare.origin])
            number = numbers.get(compare.origin)
            found = [
                (seq, await _id_at(tx, compare.space, number, seq) if number else b"")
                for seq in compare.seqs
            ]
            return m.ComparedIds(compare.space, compare.origin, tuple(found))

        return await self._driver.read(work)

    async def decided(self, asked: m.AskDecided) -> m.DecidedAt:
        """When a commit was decided."""
        return await self._driver.read(lambda tx: settled.decided_at(tx, asked))

    async def heartbeat(self, beat: m.EdgeHeartbeat, spaces: list[str]) -> m.HubHeartbeat:
        """Heads read after the heartbeat has come."""
        found = await self._fresh.of(spaces)
        positions = [
            Position(h.epoch, h.space, h.revision) for h in found.values() if not h.stopped
        ]
        unwritten = [space for space in spaces if space not in found]
        if unwritten:  # at its beginning, which is known as well
            present = (await self._driver.read(epochs.load)).present.ordinal
            positions += [Position(present, space, 0) for space in unwritten]
        return m.HubHeartbeat(beat.nonce, self._clock.wall_ms(), tuple(positions))

    async def _space(
        self, tx: Transaction, lineage: Lineage, edge: str, hello: m.SpaceHello, signs: list[Sign]
    ) -> m.SpaceWelcome:
        found = await heads.read(tx, hello.space)
        head = found or Head(hello.space, lineage.present.ordinal, 0, b"", 0)
        numbers = await origins.numbers(tx, [state.origin for state in hello.origins])
        marks = await origins.watermarks(tx, hello.space, numbers.values())
        states: list[m.OriginState] = []
        for mine in hello.origins:
            number = numbers.get(mine.origin, 0)
            mark = marks.get(number, NOTHING_DECIDED)
            commit_id = mark.commit_id
            if mine.seq < mark.seq:
                commit_id = await _id_at(tx, hello.space, number, mine.seq)
            states.append(m.OriginState(mine.origin, mark.seq, commit_id))
        refusal = await self._refusal(tx, lineage, hello, head)
        if refusal == "FORK_DETECTED":
            sign, known = await _sign(tx, lineage, edge, hello, head)
            signs.append(replace(sign, held=_held(sign, hello, states)))
            if not known:  # nobody can say yet which of the two histories goes on
                refusal = "SPACE_STOPPED"
        if head.stopped:
            refusal = "SPACE_STOPPED"
        return m.SpaceWelcome(hello.space, head.epoch, head.revision, tuple(states), refusal)

    async def _refusal(
        self, tx: Transaction, lineage: Lineage, hello: m.SpaceHello, head: Head
    ) -> str:
        """Why a replica cannot go on from its cursor; empty if it can."""
        cursor = hello.cursor
        if cursor.revision == 0:
            return ""
        position = Position(cursor.epoch, hello.space, cursor.revision)
        try:
            token = self.key.token(position, cursor.token)
        except InvalidCursor as error:
            return error.reason
        if cursor.revision > head.revision or cursor.epoch not in {
            e.ordinal for e in lineage.epochs
        }:
            return "FORK_DETECTED"
        # The token alone tells: it may lie above the fork where that had to be guessed low.
        row = await change_log.at(tx, hello.space, cursor.revision)
        if row is None:
            return "COMPACTED"
        return "" if row.token == token else "FORK_DETECTED"


async def _sign(
    tx: Transaction, lineage: Lineage, edge: str, hello: m.SpaceHello, head: Head
) -> tuple[Sign, bool]:
    """What a replica of another history shows, and whether that is known: an epoch has been
    declared since."""
    cursor, witness = hello.cursor, f"edge {edge}"
    found = await forks.contradiction(
        tx, head, witness, cursor.epoch, cursor.revision, cursor.token[:TOKEN_BYTES]
    )
    if found is not None:
        return found, False
    try:
        shared = lineage.effective(Position(cursor.epoch, hello.space, cursor.revision))
    except UnknownEpoch:
        shared = 0
    shared = min(shared, cursor.revision - 1)
    return Sign(hello.space, witness, cursor.epoch, cursor.revision, shared), True


def _held(sign: Sign, hello: m.SpaceHello, decided: list[m.OriginState]) -> str:
    """What an edge has of a history that is not here: its replica, which it keeps aside, and the
    commits of its own, which it sends again as far as its outbox still has them."""
    here = {state.origin: state.seq for state in decided}
    own = sum(max(0, state.seq - here.get(state.origin, 0)) for state in hello.origins)
    replica = f"a replica of revisions {sign.shared + 1} to {sign.revision}"
    return f"{replica}, and {own} commits of its own" if own else replica


async def _id_at(tx: Transaction, space: str, number: int, seq: int) -> bytes:
    """The commit id decided at a seq; empty if it is not known."""
    if seq < 1:
        return b""
    row = await change_log.of_seq(tx, space, number, seq)
    if row is None:
        return b""
    return row.decided(space).batch.commit_ids[seq - row.first_seq]
