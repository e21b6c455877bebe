"""One group of submissions: seqs, ids, stamps, contexts, policies, and what a door is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cloud_hub.deciding import NO_ID
from cloud_hub.submissions import Line, Requested, Voided
from holdfast.host.door import Refusal
from sync import messages as m
from sync.batch import Batch, batch_of
from sync.canonical_json import MAX_RECORD_BYTES
from sync.clock import MAX_LEAD_MS, stamp_at
from sync.commit import NO_EXTRA, Commit, Extra, Kind, Op, OutcomeKind, Precondition, Version
from sync.policy import POLICIES, SPACE_KEY
from sync.position import Epoch, Lineage, Position
from sync.reduce import Add, Delete, Patch, Put, Request
from tests.fleet import (
    HUB_ORIGIN,
    LINEAGE,
    NOON_MS,
    OPERATOR,
    ROBOT,
    SPACE,
    Hub,
    name_of,
    pushed,
)

A, B = name_of("a"), name_of("b")


def put(value: str, key: str = "r1", collection: str = "robots") -> Put:
    return Put(collection, key, value.encode())


def patch(value: str, *removes: str, key: str = "r1", collection: str = "robots") -> Patch:
    return Patch(collection, key, value.encode(), removes)


def row(
    seq: int, *ops: Op, base: int = 0, seen: int | None = None, claimed: int | None = None,
    commit_id: bytes = b"", extra: Extra = NO_EXTRA,
) -> Commit:  # fmt: skip
    return Commit(
        commit_id or name_of(f"id{seq}"), seq, base, seq - 1 if seen is None else seen,
        stamp_at(NOON_MS) if claimed is None else claimed, ROBOT, ops or (create(f"k{seq}"),),
        extra,
    )  # fmt: skip


def create(key: str, value: str = "{}", collection: str = "robots") -> Op:
    return Op(Kind.CREATE, collection, key, value.encode())


def batch(*rows: Commit, origin: bytes = A, base_epoch: int = 1) -> Batch:
    return batch_of(SPACE, origin, base_epoch, rows)


def rows(first: int, last: int) -> Batch:
    return batch(*(row(seq) for seq in range(first, last + 1)))


def refused(hub: Hub, *requests: Request, **more: Any) -> Refusal:
    before = (hub.revision, {k: r.copy() for k, r in hub.records.items()}, len(hub.conflicts))
    with pytest.raises(Refusal) as caught:
        hub.request(*requests, **more)
    assert (hub.revision, hub.records, len(hub.conflicts)) == before
    return caught.value


# -- seqs and ids ------------------------------------------------------------


def test_a_push_is_decided_and_the_answer_says_how_far() -> None:
    hub = Hub()
    answer = hub.push(rows(1, 3))
    assert answer == m.PushResult(SPACE, A, 3, name_of("id3"), Position(1, SPACE, 3))
    assert [decided.first_revision for decided in hub.log] == [1]
    assert hub.revision == 3


@pytest.mark.promise("merge.twice-is-once")
def test_what_was_decided_is_dropped_and_the_rest_goes_on() -> None:
    hub = Hub()
    hub.push(rows(1, 3))
    assert hub.push(rows(1, 3)) == hub.push(rows(2, 3))
    assert hub.revision == 3
    answer = hub.push(rows(2, 5))
    assert isinstance(answer, m.PushResult)
    assert (answer.decided_seq, hub.revision) == (5, 5)
    assert [(d.batch.first_seq, len(d.batch)) for d in hub.log] == [(1, 3), (4, 2)]


@pytest.mark.promise("origin.gap")
def test_a_gap_is_refused_and_nothing_of_the_push_is_stored() -> None:
    hub = Hub()
    hub.push(rows(1, 3))
    answer = hub.push(rows(5, 6))
    assert isinstance(answer, m.PushRefused)
    assert (answer.reason, answer.decided_seq, hub.revision) == ("SEQ_GAP", 3, 3)


@pytest.mark.promise("origin.copied")
def test_another_id_at_the_watermark_is_a_copy() -> None:
    hub = Hub()
    hub.push(rows(1, 3))
    for copied in (
        batch(row(3, commit_id=name_of("x"))),
        batch(row(2), row(3, commit_id=name_of("x")), row(4)),
        batch(row(3, commit_id=name_of("x")), row(4)),
    ):
        answer = hub.push(copied)
        assert isinstance(answer, m.PushRefused)
        assert (answer.reason, answer.decided_seq, hub.revision) == ("ORIGIN_COPIED", 3, 3)


def test_what_follows_a_refused_push_on_its_stream_is_refused_too() -> None:
    """It fitted behind the other database's commits, and then all before it were taken for
    decided."""
    hub, line = Hub(), Line()
    hub.push(rows(1, 3))
    hub.push(batch(*(row(seq, commit_id=name_of(f"copy{seq}")) for seq in (4, 5))))
    for first, last, reason in ((4, 5, "ORIGIN_COPIED"), (6, 7, "SUPERSEDED")):
        decider = hub.decider(A)
        answer = decider.push(replace(pushed(rows(first, last)), line=line))
        hub.keep(decider)
        assert isinstance(answer, m.PushRefused)
        assert (answer.reason, answer.decided_seq, hub.revision) == (reason, 5, 5)
    decider = hub.decider(A)
    answer = decider.void(Voided(m.VoidRange(SPACE, A, 6, 1, "OUTBOX_DAMAGED"), line))
    assert isinstance(answer, m.PushRefused) and answer.reason == "SUPERSEDED"


def test_what_lies_wholly_below_the_watermark_is_not_taken_for_decided() -> None:
    """A copy's own commits were once answered as decided when another had gone further."""
    hub = Hub()
    hub.push(rows(1, 9))
    answer = hub.push(batch(row(4, commit_id=name_of("x")), row(5, commit_id=name_of("y"))))
    assert isinstance(answer, m.PushRefused)
    assert (answer.reason, answer.decided_seq, hub.revision) == ("SUPERSEDED", 9, 9)


@pytest.mark.promise("origin.gap")
def test_a_void_range_is_decided_as_lost_with_its_reason() -> None:
    hub = Hub()
    hub.push(rows(1, 2))
    answer = hub.void(m.VoidRange(SPACE, A, 3, 2, "OUTBOX_DAMAGED"))
    assert answer == m.PushResult(SPACE, A, 4, NO_ID, Position(1, SPACE, 4))
    assert hub.outcome(A, 3).kind is OutcomeKind.LOST
    assert hub.outcome(A, 4).reason == "OUTBOX_DAMAGED"
    answer = hub.push(rows(5, 5))
    assert isinstance(answer, m.PushResult)
    assert answer.decided_seq == 5


def test_a_void_range_is_repeated_cut_refused_and_compared_as_a_push_is() -> None:
    hub = Hub()
    hub.push(rows(1, 2))
    for first, count, decided in ((1, 2, 2), (2, 2, 3), (2, 2, 3)):
        answer = hub.void(m.VoidRange(SPACE, A, first, count, "X"))
        assert answer.decided_seq == decided
    answer = hub.void(m.VoidRange(SPACE, A, 5, 1, "X"))
    assert isinstance(answer, m.PushRefused)
    assert answer.reason == "SEQ_GAP"
    copied = m.VoidRange(SPACE, A, 3, 1, "X", (name_of("other"),))
    answer = hub.void(copied)
    assert isinstance(answer, m.PushRefused)
    assert (answer.reason, hub.revision) == ("ORIGIN_COPIED", 3)


def test_pushes_of_one_group_see_each_other() -> None:
    hub = Hub()
    edit = Op(Kind.PATCH, "robots", "k1", b'{"x":1}')
    later = batch(row(1, edit, base=0, extra=Extra(seen=((A, 1),))), origin=B)
    one, two, three = hub.push_all([rows(1, 2), later, rows(3, 4)])
    assert [x.decided_seq for x in (one, two, three)] == [2, 1, 4]
    assert hub.outcome(B, 1).kind is OutcomeKind.APPLIED
    assert hub.live("k1") == '{"x":1}'
    assert [d.first_revision for d in hub.log] == [1, 3, 4]


# -- commit ids --------------------------------------------------------------

RETRY = Extra(retryable=True)


@pytest.mark.promise("write.retry-same-id")
@pytest.mark.promise("rule.retry-window")
def test_a_commit_id_has_one_effect_whatever_door_it_comes_to() -> None:
    hub = Hub()
    first = row(1, create("r1", '{"x":1}'), commit_id=name_of("mine"), extra=RETRY)
    hub.push(batch(first))
    hub.push(batch(first, origin=B))
    assert hub.log[1].batch.kinds == bytes([Kind.NONE])
    outcome = hub.outcome(B, 1)
    assert (outcome.kind, outcome.by_origin, outcome.by_seq) == (OutcomeKind.APPLIED, A, 1)
    receipt = hub.request(put('{"x":2}'), commit_id=name_of("mine"), retryable=True)
    assert (receipt.op_id.origin, receipt.op_id.seq, receipt.position.revision) == (A, 1, 1)
    assert (hub.revision, hub.live("r1")) == (2, '{"x":1}')


def test_a_retry_at_the_hub_answers_the_first_result() -> None:
    hub = Hub()
    first = hub.request(put('{"x":1}'), commit_id=name_of("mine"), retryable=True)
    again = hub.request(put('{"x":1}'), commit_id=name_of("mine"), retryable=True)
    assert (first, hub.revision) == (again, 1)


def test_an_id_that_no_client_chose_is_not_remembered() -> None:
    hub = Hub()
    hub.push(batch(row(1, commit_id=name_of("mine"))))
    assert hub.firsts == {}


def test_a_commit_id_twice_in_one_push_has_one_effect() -> None:
    """Only ids of earlier pushes were once compared."""
    hub = Hub()
    addition = Op(Kind.ADD_CREATE, "robots", "r1", b'{"n":1}')
    twice = [row(seq, addition, commit_id=name_of("mine"), extra=RETRY) for seq in (1, 2)]
    hub.push(batch(*twice, row(3, addition)))
    assert hub.live("r1") == '{"n":2}'
    outcome = hub.outcome(A, 2)
    assert (outcome.kind, outcome.by_origin, outcome.by_seq) == (OutcomeKind.APPLIED, A, 1)


def test_a_repeat_leaves_nothing_in_the_inbox() -> None:
    """Its preconditions were once checked anew, and their failure shown to people."""
    hub = Hub()
    absent = Extra(retryable=True, preconditions=(Precondition("robots", "r1", exists=False),))
    first = row(1, create("r1"), commit_id=name_of("mine"), extra=absent)
    hub.push(batch(first))
    hub.push(batch(first, origin=B))
    assert (hub.conflicts, hub.outcome(B, 1).kind) == ([], OutcomeKind.APPLIED)


def test_a_block_goes_on_as_it_came_only_if_nothing_was_changed() -> None:
    hub = Hub()
    decider = hub.decider(A)
    item = pushed(rows(1, 2))
    decider.push(item)
    again = pushed(rows(2, 3))
    decider.push(again)
    merged = pushed(batch(row(4, create("k1"))))
    decider.push(merged)
    assert [entry.edge_block for entry in decider.entries] == [item, None, None]


# -- stamps and contexts -----------------------------------------------------


def stamps(hub: Hub) -> list[int]:
    return [stamp for decided in hub.log for stamp in decided.stamps]


@pytest.mark.promise("time.wrong-clock", "time.stamped-once")
def test_a_claim_is_clamped_and_never_refused() -> None:
    hub = Hub()
    day = 86_400_000
    hub.push(
        batch(
            row(1, claimed=stamp_at(NOON_MS - 365 * day)),
            row(2, claimed=stamp_at(NOON_MS + 3 * day)),
        )
    )
    assert stamps(hub) == [stamp_at(NOON_MS - 365 * day), stamp_at(NOON_MS + MAX_LEAD_MS)]
    hub.push(batch(row(1, claimed=0, base=2), origin=B))
    assert stamps(hub)[-1] == stamp_at(NOON_MS + MAX_LEAD_MS) + 1


@pytest.mark.promise("time.stamped-once")
def test_a_stamp_is_above_its_base_its_origins_last_and_what_it_had_seen() -> None:
    hub = Hub()
    hub.push(batch(row(1, claimed=500), row(2, claimed=400)))
    assert stamps(hub) == [500, 501]
    hub.push(batch(row(1, claimed=1, base=1), row(2, claimed=1, base=0, seen=0), origin=B))
    assert stamps(hub)[2:] == [501, 502]
    seen = Extra(seen=((B, 2),))
    hub.push(batch(row(1, claimed=1, base=0, extra=seen), origin=name_of("c")))
    assert stamps(hub)[-1] == 503


TWO = Lineage((*LINEAGE.epochs, Epoch(2, b"f" * 16, 1, {SPACE: 2})))


def test_a_base_above_a_fork_counts_as_the_fork_and_an_unknown_epoch_as_nothing() -> None:
    hub = Hub(lineage=TWO)
    hub.push(batch(row(1), row(2), row(3, create("k3", '{"x":0}')), base_epoch=2))
    for base_epoch, base, kind in (
        (1, 9, OutcomeKind.MERGED), (2, 4, OutcomeKind.APPLIED), (7, 5, OutcomeKind.MERGED),
    ):  # fmt: skip
        seq = hub.mark(B).seq + 1
        edit = Op(Kind.PATCH, "robots", "k3", b'{"x":%d}' % seq)
        hub.push(batch(row(seq, edit, base=base, seen=0), origin=B, base_epoch=base_epoch))
        assert hub.outcome(B, seq).kind is kind


def test_a_base_that_this_history_has_not_reached_has_seen_nothing_of_it() -> None:
    """Such an author was once taken to have seen all, and overwrote it without a word."""
    hub = Hub()
    hub.push(batch(row(1, create("r1", '{"x":1}'))))
    hub.push(batch(row(1, Op(Kind.PATCH, "robots", "r1", b'{"x":2}'), base=50), origin=B))
    assert hub.outcome(B, 1).kind is not OutcomeKind.APPLIED
    assert len(hub.conflicts) == 1


def test_a_version_above_a_fork_is_of_a_lost_history() -> None:
    hub = Hub(lineage=TWO)
    hub.push(batch(row(1), row(2), row(3), base_epoch=2))
    for epoch, key, holds in ((2, "k3", True), (1, "k3", False), (1, "k2", True), (9, "k2", False)):
        revision = int(key[1:])
        wanted = Precondition("robots", key, version=Version(epoch, revision))
        seq = hub.mark(B).seq + 1
        hub.push(
            batch(row(seq, create(f"new{seq}"), base=3, extra=Extra(preconditions=(wanted,))),
                  origin=B, base_epoch=2)
        )  # fmt: skip
        assert (hub.outcome(B, seq).kind is OutcomeKind.APPLIED) is holds


# -- the hub's own door ------------------------------------------------------


@pytest.mark.promise("concurrent.default-context")
def test_a_request_is_decided_on_the_state_as_it_is() -> None:
    hub = Hub()
    receipt = hub.request(put('{"x":1}'), patch('{"y":2}'), Delete("robots", "other"))
    assert (receipt.op_id.origin, receipt.op_id.seq) == (HUB_ORIGIN, 1)
    assert receipt.position == Position(1, SPACE, 1)
    assert (receipt.outcome.kind, hub.live("r1")) == (OutcomeKind.APPLIED, '{"x":1,"y":2}')
    hub.request(put('{"x":3}'))
    assert (hub.live("r1"), hub.conflicts) == ('{"x":3}', [])


@pytest.mark.promise("put.stale-context")
def test_a_put_of_what_was_read_must_find_it_as_it_was_read() -> None:
    hub = Hub()
    hub.request(put('{"x":1}'))
    hub.request(patch('{"y":2}'))
    refusal = refused(hub, put('{"x":9}'), context=hub.context(1))
    assert refusal.reason == "REVISION_MISMATCH"
    assert refusal.metadata["revision"] == "2"
    hub.request(put('{"x":9}'), context=hub.context(2))
    assert hub.live("r1") == '{"x":9}'


def test_a_patch_of_what_was_read_merges_with_what_came_between() -> None:
    hub = Hub()
    hub.request(put('{"x":1,"y":1}'))
    hub.request(patch('{"x":2}'))
    receipt = hub.request(patch('{"y":3}'), context=hub.context(1))
    assert (receipt.outcome.kind, hub.live("r1")) == (OutcomeKind.APPLIED, '{"x":2,"y":3}')


@pytest.mark.promise("write.hub-client")
@pytest.mark.parametrize(
    "wanted",
    [
        Precondition("robots", "r1", exists=False),
        Precondition("robots", "r2", exists=True),
        Precondition("robots", "r1", version=Version(1, 7)),
    ],
)
def test_a_false_precondition_is_told_at_once_and_leaves_nothing(wanted: Precondition) -> None:
    hub = Hub()
    hub.request(put('{"x":1}'))
    refusal = refused(hub, put("{}"), preconditions=(wanted,))
    assert refusal.reason == "REVISION_MISMATCH"
    assert refusal.metadata["key"] == wanted.key


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Add("robots", "r1", b'{"x":1}'), "RULE_MISMATCH"),
        (put("{}", collection="_x"), "RESERVED_COLLECTION"),
        (put("{}", collection=POLICIES), "RESERVED_COLLECTION"),
    ],
)
def test_what_a_door_refuses_it_refuses_before_anything_is_changed(
    request_: Request, reason: str
) -> None:
    hub = Hub()
    hub.request(put('{"x":1}'))
    assert refused(hub, put('{"x":2}'), request_).reason == reason


def test_a_value_that_outgrows_its_limit_is_refused() -> None:
    hub = Hub()
    half = "x" * (MAX_RECORD_BYTES // 2)
    hub.request(put(f'{{"x":"{half}"}}'))
    assert refused(hub, patch(f'{{"y":"{half}"}}')).reason == "VALUE_TOO_LARGE"


# -- policies ----------------------------------------------------------------


@pytest.mark.promise("rule.policies-are-records")
def test_a_policy_is_a_record_and_is_followed_from_its_revision_on() -> None:
    hub = Hub()
    hub.set_policy("robots", '{"fields":{"n":"counter"}}')
    hub.request(put('{"n":1}'))
    hub.push(batch(row(1, Op(Kind.ADD, "robots", "r1", b'{"n":5}'), base=2)))
    assert (hub.live("r1"), hub.live("robots", POLICIES)) == (
        '{"n":6}', '{"fields":{"n":"counter"}}',
    )  # fmt: skip


@pytest.mark.promise("rule.policies-are-records")
def test_a_policy_is_followed_within_the_group_that_sets_it() -> None:
    """The same commits in two groups were once decided otherwise than in one."""

    def one(request: Request, commit_id: str) -> Requested:
        return Requested(SPACE, (request,), OPERATOR, name_of(commit_id), system=True)

    hub = Hub()
    decider = hub.decider()
    decider.request(one(Put(POLICIES, "robots", b'{"fields":{"n":"counter"}}'), "p"))
    decider.request(one(Add("robots", "r1", b'{"n":2}'), "q"))
    decider.request(one(Delete(POLICIES, "robots"), "r"))
    with pytest.raises(Refusal, match="counter"):
        decider.request(one(Add("robots", "r1", b'{"n":2}'), "s"))
    hub.keep(decider)
    assert hub.live("r1") == '{"n":2}'


@pytest.mark.parametrize(
    "requests",
    [
        (Put(POLICIES, "robots", b'{"rule":"newest"}'),),
        (Put(POLICIES, "robots", b"{}"), Patch(POLICIES, "robots", b'{"rule":"newest"}')),
        (Patch(POLICIES, "robots", b'{"rule":"newest"}'),),
        (Put(POLICIES, SPACE_KEY, b'{"strict":1}'),),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused_however_it_is_written(
    requests: tuple[Request, ...],
) -> None:
    """A patch was once not looked at, and the space could not be read any more."""
    hub = Hub()
    assert refused(hub, *requests, system=True).reason == "INVALID_POLICY"


@pytest.mark.promise("write.undeclared")
def test_a_strict_space_takes_only_what_is_declared() -> None:
    hub = Hub()
    hub.set_policy(SPACE_KEY, '{"strict":true}')
    hub.set_policy("jobs", "{}")
    assert refused(hub, put("{}")).reason == "UNDECLARED_COLLECTION"
    hub.request(put("{}", collection="jobs"))
    hub.push(batch(row(1, create("j2", collection="jobs")), row(2, create("r1"))))
    assert hub.outcome(A, 1).kind is OutcomeKind.APPLIED
    outcome = hub.outcome(A, 2)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.REJECTED, "UNDECLARED_COLLECTION")
    assert hub.live("r1") is None


@pytest.mark.promise("rule.rejected-is-decided")
@pytest.mark.promise("conflict.loser-kept")
def test_an_edge_writes_no_collection_of_the_systems() -> None:
    """A pushed policy was once taken as it came."""
    hub = Hub()
    bad = Op(Kind.CREATE, POLICIES, "robots", b'{"rule":"newest"}')
    hub.push(batch(row(1, create("r1"), bad), row(2, create("r2"))))
    outcome = hub.outcome(A, 1)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.REJECTED, "RESERVED_COLLECTION")
    assert (hub.live("r1"), hub.live("r2"), hub.live("robots", POLICIES)) == (None, "{}", None)
    assert [(c.kind, c.state, c.collection) for c in hub.conflicts] == [
        ("rejected", "open", "robots"), ("rejected", "auto", POLICIES),
    ]  # fmt: skip


@pytest.mark.promise("coalesce.declared")
def test_a_coalesced_commit_keeps_its_seq_and_id() -> None:
    hub = Hub()
    empty = replace(row(1, extra=Extra(coalesced_by=2)), ops=())
    hub.push(batch(empty, row(2)))
    outcome = hub.outcome(A, 1)
    assert (outcome.kind, outcome.by_seq, hub.revision) == (OutcomeKind.COALESCED, 2, 2)
