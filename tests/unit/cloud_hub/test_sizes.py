"""Whatever the hub decides fits a message to every edge, however merging has made it grow."""

from __future__ import annotations

import pytest

from holdfast.host.door import Refusal
from sync.batch import MAX_PAYLOAD_BYTES, batch_of
from sync.clock import stamp_at
from sync.codec import MAX_BLOCK_BYTES, encode_block
from sync.commit import Commit, Kind, Op, OutcomeKind
from sync.reduce import Delete, Put
from tests.fleet import NOON_MS, ROBOT, SPACE, Hub, name_of

A = name_of("a")
LARGE = b'{"text":"%s"}' % (b"x" * 200_000)
COUNT = 3 * MAX_PAYLOAD_BYTES // len(LARGE)


def _hub() -> Hub:
    """With large records that were deleted, and a policy by which edits bring them back."""
    hub = Hub()
    hub.set_policy("robots", '{"deletes":"edit_wins"}')
    for n in range(COUNT):
        hub.request(Put("robots", f"r{n}", LARGE))
        hub.request(Delete("robots", f"r{n}"))
    return hub


def _patch(n: int) -> Op:
    return Op(Kind.PATCH, "robots", f"r{n}", b'{"n":1}')


def _base(hub: Hub, n: int) -> int:
    """The revision before the deletion of a record."""
    return hub.records["robots", f"r{n}"].revision - 1


def _check_sizes(hub: Hub) -> None:
    assert max(len(encode_block(decided.batch)) for decided in hub.log) <= MAX_BLOCK_BYTES


def test_a_commit_at_the_hubs_door_fits_a_message() -> None:
    """One that did not could not be read by any edge, which all began their replicas anew."""
    hub = Hub()
    with pytest.raises(Refusal) as caught:
        hub.request(*(Put("robots", f"r{n}", LARGE) for n in range(6)))
    assert caught.value.reason == "COMMIT_TOO_LARGE"
    assert (hub.revision, hub.records) == (0, {})


def test_commits_that_bring_back_large_records_are_decided_in_several_rows() -> None:
    hub = _hub()
    before, rows = hub.revision, len(hub.log)
    made = [
        Commit(
            name_of(f"id{n + 1}"), n + 1, _base(hub, n), n, stamp_at(NOON_MS), ROBOT, (_patch(n),)
        )
        for n in range(COUNT)
    ]  # fmt: skip
    hub.push(batch_of(SPACE, A, 1, made))
    assert hub.revision == before + COUNT
    assert len(hub.log) > rows + 2
    _check_sizes(hub)
    assert {hub.outcome(A, seq).kind for seq in range(1, COUNT + 1)} == {OutcomeKind.MERGED}
    assert [one.first_revision for one in hub.log[rows + 1 :]] == [
        one.last_revision + 1 for one in hub.log[rows:-1]
    ]
    conflicts = hub.conflicts[-COUNT:]
    assert [c.key for c in conflicts] == [f"r{n}" for n in range(COUNT)]
    for conflict in conflicts:
        (row,) = (d for d in hub.log if d.first_revision <= conflict.revision <= d.last_revision)
        assert conflict.index == conflict.revision - row.first_revision


def test_one_commit_that_would_bring_back_too_much_is_rejected() -> None:
    hub = _hub()
    ops = tuple(map(_patch, range(COUNT)))
    made = Commit(name_of("id1"), 1, _base(hub, 0), 0, stamp_at(NOON_MS), ROBOT, ops)
    hub.push(batch_of(SPACE, A, 1, [made]))
    outcome = hub.outcome(A, 1)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.REJECTED, "COMMIT_TOO_LARGE")
    assert all(record.deleted for key, record in hub.records.items() if key[0] == "robots")
    _check_sizes(hub)
