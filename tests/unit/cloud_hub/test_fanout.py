"""What a stream of a scope and codec gets of each row: no revision of the whole is left out, and an
edge hears of its own commits whatever its scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cloud_hub.change_log import LogRow
from cloud_hub.fanout import PAGE_ROWS, Fanout, Head
from sync import codec
from sync import messages as m
from sync.batch import Decided, batch_of
from sync.clock import stamp_at
from sync.commit import Commit, Kind, Op, OutcomeKind
from tests.fleet import NOON_MS, ROBOT, SPACE, Hub, name_of

A = name_of("a")
WHOLE = m.Scope()
ROBOTS = m.Scope(whole=False, collections=frozenset({"robots"}))


async def _none(_space: str, _revision: int) -> Sequence[LogRow]:
    return ()


def _row(decided: Decided, codec_name: str = "zstd") -> LogRow:
    batch = decided.batch
    block = codec.encode_block(batch)
    return LogRow(
        decided.first_revision, decided.last_revision, 1, 1, batch.origin, batch.first_seq,
        batch.last_seq, b"t" * 16, 0, NOON_MS, codec.encode_header(decided),
        codec.pack(block, codec_name), len(block), codec_name,
    )  # fmt: skip


def _lost() -> Decided:
    hub = Hub()
    hub.void(m.VoidRange(SPACE, A, 1, 3, "OUTBOX_DAMAGED"))
    return hub.log[0]


def _outside() -> Decided:
    hub = Hub()
    op = Op(Kind.CREATE, "parts", "p", b"{}")
    made = Commit(name_of("id1"), 1, 0, 0, stamp_at(NOON_MS), ROBOT, (op,))
    hub.push(batch_of(SPACE, A, 1, [made]))
    return hub.log[0]


def test_commits_without_operations_are_revisions_of_the_whole_in_every_codec() -> None:
    """An edge without zstd was never sent them, missed a revision, and began anew for ever."""
    encoded = Fanout(_none).encoded(_row(_lost()), SPACE, WHOLE, "identity")
    assert encoded is not None and encoded.codec == "identity"
    decided = encoded.decided(SPACE)
    assert (decided.first_revision, decided.last_revision) == (1, 3)
    assert decided.outcome(2).kind is OutcomeKind.LOST


def test_an_edge_is_told_of_its_own_commits_whatever_its_scope() -> None:
    """Those outside its scope, lost and emptied ones were pending there for ever."""
    fanout = Fanout(_none)
    for made in (_lost(), _outside()):
        row = _row(made)
        assert fanout.encoded(row, SPACE, ROBOTS, "zstd") is None
        mine = fanout.encoded(row, SPACE, ROBOTS, "zstd", own=True)
        assert mine is not None
        decided = mine.decided(SPACE)
        assert decided.batch.commit_ids == made.batch.commit_ids
        assert decided.batch.keys == ()
        assert decided.outcomes == made.outcomes


async def test_readers_get_pages_and_never_all_that_is_kept() -> None:
    """Each once went through every row that was kept, for each that was decided."""
    fanout = Fanout(_none)
    made = _row(_outside())
    rows = [
        replace(
            made, first_revision=n, last_revision=n, first_seq=n, last_seq=n
        )
        for n in range(1, 3 * PAGE_ROWS)
    ]  # fmt: skip
    head = Head(1, rows[-1].last_revision, b"t" * 16, (), 0)
    fanout.publish(SPACE, rows, head)
    found: list[LogRow] = []
    while page := await fanout.rows_after(SPACE, found[-1].last_revision if found else 0):
        assert len(page) <= PAGE_ROWS
        found += page
    assert found == rows
