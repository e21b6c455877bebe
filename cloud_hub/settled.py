"""When a commit was decided, and what its origin had declared lost up to it.

A session that saw commits while they were undecided asks this wherever it comes next: it waits for
the revision, whatever became of them, and is told of what was lost, since nobody else would.

Invariant: an origin's commits are decided in the order of their seqs, so who has the revision of
one has all before it.
"""

from __future__ import annotations

from cloud_hub import change_log, epochs, heads, origins
from cloud_hub.storage.driver import Transaction
from sync import codec
from sync import messages as m
from sync.position import Position

PAGE_ROWS = 200
"""Headers read at once; as many pages as an outbox had batches that were undecided together."""


async def decided_at(tx: Transaction, asked: m.AskDecided) -> m.DecidedAt:
    """Where the history has the commit asked for."""
    space, seq = asked.space, asked.seq
    number = (await origins.numbers(tx, [asked.origin])).get(asked.origin)
    marks = await origins.watermarks(tx, space, [number] if number else [])
    head = await heads.read(tx, space)
    epoch = head.epoch if head else (await epochs.load(tx)).present.ordinal
    if number is None or number not in marks or marks[number].seq < seq:
        return m.DecidedAt(asked, Position(epoch, space, 0))
    row = await change_log.of_seq(tx, space, number, seq)
    if row is None:  # forgotten: it was decided at the watermark at the latest
        return m.DecidedAt(asked, Position(epoch, space, marks[number].revision))
    revision = row.first_revision + seq - row.first_seq
    lost: list[int] = []
    below = row.last_seq
    while True:
        page = await change_log.headers_below(tx, space, number, below, PAGE_ROWS)
        for first_revision, first_seq, header in page:
            lost += [
                first_seq + index
                for index in codec.lost_in(header)
                if first_revision + index > asked.since and first_seq + index <= seq
            ]
        if len(page) < PAGE_ROWS or page[-1][0] <= asked.since + 1:
            break
        below = page[-1][1] - 1
    return m.DecidedAt(
        asked, Position(epoch, space, revision), tuple((one, 1) for one in sorted(lost))
    )
