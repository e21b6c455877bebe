"""Strong commits where they are decided: on the head, as asked for, or not at all."""

from __future__ import annotations

import pytest

from holdfast.host.door import Refusal
from sync import messages as m
from sync.batch import Batch, MalformedBatch, batch_of
from sync.clock import stamp_at
from sync.commit import Commit, Extra, Kind, Op, OutcomeKind, Precondition, Version
from sync.levels import Level
from sync.reduce import Add, Delete, Patch, Put
from tests.fleet import NOON_MS, ROBOT, SPACE, Hub, name_of, pushed

A, B = name_of("a"), name_of("b")
STRONG = Extra(retryable=True, strong=True)
BLIND = Extra(retryable=True, strong=True, blind=True)
EXPIRED = Extra(retryable=True, strong=True, blind=True, expired=True)


def put(value: str, key: str = "r1") -> Op:
    return Op(Kind.PUT, "robots", key, value.encode())


def patch(value: str, key: str = "r1") -> Op:
    return Op(Kind.PATCH, "robots", key, value.encode())


def row(
    seq: int, *ops: Op, extra: Extra = BLIND, base: int = 0, seen: int = 0, commit_id: bytes = b""
) -> Commit:
    name = commit_id or name_of(f"id{seq}")
    return Commit(name, seq, base, seen, stamp_at(NOON_MS), ROBOT, ops, extra)


def batch(*rows: Commit, origin: bytes = A) -> Batch:
    return batch_of(SPACE, origin, 1, rows)


def decide(hub: Hub, *rows: Commit, origin: bytes = A) -> tuple[m.StrongVerdict, ...]:
    answer = hub.push(batch(*rows, origin=origin))
    assert isinstance(answer, m.PushResult)
    return answer.verdicts


def written(hub: Hub, *requests: Put | Patch | Delete | Add) -> int:
    return hub.request(*requests).position.revision


@pytest.mark.promise("write.strong.decided")
def test_a_blind_put_replaces_what_stands_there_whatever_its_edge_knew() -> None:
    hub = Hub(now_ms=NOON_MS + 60_000)  # so that what is there has the later stamp
    written(hub, Put("robots", "r1", b'{"n":1,"x":7}'))
    (verdict,) = decide(hub, row(1, put('{"n":1}')))
    assert verdict.outcome.kind is OutcomeKind.APPLIED
    assert verdict.position.revision == hub.revision == 2
    assert hub.live("r1") == '{"n":1}'
    assert not hub.conflicts


def test_a_blind_put_that_changes_nothing_is_decided_too() -> None:
    hub = Hub()
    written(hub, Put("robots", "r1", b'{"n":1}'))
    (verdict,) = decide(hub, row(1, put('{"n":1}')))
    assert (verdict.outcome.kind, verdict.position.revision) == (OutcomeKind.APPLIED, 2)


@pytest.mark.parametrize(
    ("op", "left"),
    [
        (Op(Kind.PATCH, "robots", "r1", b'{"x":1}'), '{"n":5,"x":1}'),
        (Op(Kind.REMOVE, "robots", "r1", b'["n"]'), "{}"),
        (Op(Kind.DELETE, "robots", "r1"), None),
        (Op(Kind.ADD, "robots", "r1", b'{"n":3}'), '{"n":8}'),
        (Op(Kind.PUT, "robots", "r1", b'{"n":3}'), '{"n":3}'),
    ],
)
def test_every_operation_means_what_it_says_on_the_head(op: Op, left: str | None) -> None:
    hub = Hub()
    hub.set_policy("robots", '{"fields":{"n":"counter"}}')
    written(hub, Put("robots", "r1", b'{"n":5}'))
    (verdict,) = decide(hub, row(1, op))
    assert verdict.outcome.kind is OutcomeKind.APPLIED
    assert hub.live("r1") == left
    assert Kind.PUT not in hub.log[-1].batch.kinds


@pytest.mark.promise("precondition.compare-and-set")
def test_of_two_that_expect_the_same_version_one_wins() -> None:
    hub = Hub()
    at = written(hub, Put("robots", "r1", b'{"n":1}'))
    expected = Precondition("robots", "r1", version=Version(1, at))
    extra = Extra(retryable=True, strong=True, blind=True, preconditions=(expected,))
    (first,) = decide(hub, row(1, put('{"n":2}'), extra=extra))
    (second,) = decide(
        hub, row(1, put('{"n":3}'), extra=extra, commit_id=name_of("other")), origin=B
    )
    assert first.outcome.kind is OutcomeKind.APPLIED
    assert (second.outcome.kind, second.outcome.reason) == (
        OutcomeKind.REJECTED, "REVISION_MISMATCH",
    )  # fmt: skip
    assert second.metadata["revision"] == str(first.position.revision)
    assert second.metadata["origin"] == A.hex()
    assert hub.live("r1") == '{"n":2}'


@pytest.mark.promise("write.strong.mismatch")
def test_what_is_refused_takes_a_revision_and_opens_no_inbox_entry() -> None:
    hub = Hub()
    expected = Precondition("robots", "r1", exists=True)
    extra = Extra(retryable=True, strong=True, blind=True, preconditions=(expected,))
    (verdict,) = decide(hub, row(1, put('{"n":2}'), extra=extra))
    assert verdict.outcome.reason == "REVISION_MISMATCH"
    assert verdict.metadata == {
        "collection": "robots", "key": "r1", "exists": "false", "revision": "0", "epoch": "1",
    }  # fmt: skip
    assert hub.revision == 1
    assert hub.live("r1") is None
    (kept,) = hub.conflicts
    assert (kept.kind, kept.state, kept.theirs_value) == ("refused", "auto", b'{"n":2}')


@pytest.mark.promise("write.strong.mismatch")
@pytest.mark.parametrize(
    ("op", "passes"),
    [
        (put('{"n":2,"x":0}'), False),
        (patch('{"n":2}'), False),
        (Op(Kind.REMOVE, "robots", "r1", b'["n"]'), False),
        (Op(Kind.DELETE, "robots", "r1"), False),
        (patch('{"x":2}'), True),
        (patch('{"z":2}'), True),
        (Op(Kind.REMOVE, "robots", "r1", b'["x"]'), True),
        (Op(Kind.ADD, "robots", "r1", b'{"c":1}'), True),
    ],
)
def test_with_a_context_only_parts_that_it_touches_matter(op: Op, passes: bool) -> None:
    hub = Hub()
    hub.set_policy("robots", '{"fields":{"c":"counter"}}')
    read = written(hub, Put("robots", "r1", b'{"c":0,"n":0,"x":0}'))
    written(hub, Patch("robots", "r1", b'{"n":1}'))
    written(hub, Add("robots", "r1", b'{"c":1}'))
    (verdict,) = decide(hub, row(1, op, extra=STRONG, base=read))
    kind = OutcomeKind.APPLIED if passes else OutcomeKind.REJECTED
    assert (verdict.outcome.kind, verdict.outcome.reason) == (
        kind, "" if passes else "REVISION_MISMATCH",
    )  # fmt: skip


@pytest.mark.parametrize("op", [patch('{"n":2}'), Op(Kind.ADD, "robots", "r1", b'{"n":1}')])
def test_a_record_that_came_to_be_or_was_deleted_since_is_another(op: Op) -> None:
    hub = Hub()
    hub.set_policy("robots", '{"fields":{"n":"counter"}}')
    absent = hub.revision
    written(hub, Put("robots", "r1", b'{"n":0}'))
    (verdict,) = decide(hub, row(1, op, extra=STRONG, base=absent))
    assert verdict.outcome.reason == "REVISION_MISMATCH"
    live = hub.revision
    written(hub, Delete("robots", "r1"))
    (verdict,) = decide(hub, row(2, op, extra=STRONG, base=live))
    assert verdict.outcome.reason == "REVISION_MISMATCH"


def test_what_its_author_saw_pending_has_not_changed_since() -> None:
    hub = Hub()
    eventual = Commit(
        name_of("id1"), 1, 0, 0, stamp_at(NOON_MS), ROBOT,
        (Op(Kind.CREATE, "robots", "r1", b'{"n":1}'),),
    )  # fmt: skip
    (verdict,) = decide(hub, eventual, row(2, patch('{"n":2}'), extra=STRONG, seen=1))
    assert verdict.outcome.kind is OutcomeKind.APPLIED
    (verdict,) = decide(
        hub, row(3, patch('{"n":3}'), extra=STRONG, seen=1, commit_id=name_of("id3"))
    )
    assert verdict.outcome.reason == "REVISION_MISMATCH"  # that of seq 2 it has not seen


def test_a_strong_commit_is_never_among_what_was_seen_undecided() -> None:
    hub = Hub()
    hub.request(Put("robots", "r1", b'{"n":0}'))
    # At the edge seq 2 was written while the strong 1 was on its way: it has not seen it.
    later = Commit(
        name_of("id2"), 2, 1, 1, stamp_at(NOON_MS), ROBOT, (patch('{"n":2}'),),
    )  # fmt: skip
    decide(hub, row(1, patch('{"n":1}')), later)
    assert hub.live("r1") == '{"n":2}'
    (met,) = hub.conflicts
    assert (met.kind, met.ours_value, met.theirs_value) == ("concurrent", b"1", b"2")
    # And 3, that has seen 2, has not seen 1 by that.
    third = Commit(name_of("id3"), 3, 1, 2, stamp_at(NOON_MS), ROBOT, (patch('{"n":3}'),))
    decide(hub, third)
    assert hub.live("r1") == '{"n":3}'
    assert len(hub.conflicts) == 1  # what stood there was 2, which it had seen


@pytest.mark.promise("write.strong.unknown")
def test_an_expired_one_never_appears_and_keeps_its_payload_in_the_log_of_conflicts() -> None:
    hub = Hub()
    (verdict,) = decide(hub, row(1, put('{"n":2}'), extra=EXPIRED))
    assert (verdict.outcome.kind, verdict.outcome.reason) == (OutcomeKind.REJECTED, "EXPIRED")
    assert hub.live("r1") is None
    assert [(c.kind, c.theirs_value) for c in hub.conflicts] == [("refused", b'{"n":2}')]


@pytest.mark.promise("write.strong.unknown")
@pytest.mark.parametrize("extra", [BLIND, EXPIRED])
def test_a_retry_answers_the_first_result_also_when_it_is_expired(extra: Extra) -> None:
    hub = Hub()
    one = name_of("one")
    (first,) = decide(hub, row(1, put('{"n":1}'), commit_id=one))
    written(hub, Put("robots", "r1", b'{"n":9}'))
    (again,) = decide(hub, row(1, put('{"n":1}'), extra=extra, commit_id=one), origin=B)
    assert (again.outcome, again.position, again.first) == (
        first.outcome, first.position, first.first,
    )  # fmt: skip
    assert hub.live("r1") == '{"n":9}'


def test_a_retry_of_what_expired_is_told_so() -> None:
    hub = Hub()
    one = name_of("one")
    decide(hub, row(1, put('{"n":1}'), extra=EXPIRED, commit_id=one))
    (again,) = decide(hub, row(1, put('{"n":1}'), commit_id=one), origin=B)
    assert (again.outcome.reason, again.position.revision) == ("EXPIRED", 1)
    assert hub.live("r1") is None


def test_a_retry_of_a_mismatch_is_told_the_present_version() -> None:
    hub = Hub()
    expected = Precondition("robots", "r1", exists=True)
    extra = Extra(retryable=True, strong=True, blind=True, preconditions=(expected,))
    one = name_of("one")
    decide(hub, row(1, put('{"n":1}'), extra=extra, commit_id=one))
    at = written(hub, Put("robots", "r1", b'{"n":9}'))
    (again,) = decide(hub, row(1, put('{"n":1}'), extra=extra, commit_id=one), origin=B)
    assert again.outcome.reason == "REVISION_MISMATCH"
    assert again.metadata["revision"] == str(at)


def test_strong_and_other_commits_of_a_push_are_decided_in_their_order() -> None:
    hub = Hub()
    rows = [
        Commit(name_of(f"id{seq}"), seq, 0, seq - 1, stamp_at(NOON_MS), ROBOT,
               (Op(Kind.CREATE, "robots", f"k{seq}", b"{}"),))
        for seq in (1, 2, 4, 5)
    ]  # fmt: skip
    verdicts = decide(hub, *rows[:2], row(3, put("{}")), *rows[2:], row(6, put("{}")))
    assert [v.position.revision for v in verdicts] == [3, 6]
    assert hub.revision == 6
    assert [d.first_revision for d in hub.log] == [1, 3, 4, 6]
    assert hub.mark(A).seq == 6


@pytest.mark.parametrize(
    ("policy", "op", "reason"),
    [
        ("{}", Op(Kind.ADD, "robots", "r1", b'{"n":1}'), "RULE_MISMATCH"),
        ('{"rule":"counter"}', put('{"n":"x"}'), "NOT_AN_INTEGER"),
    ],
)
def test_what_cannot_be_is_refused_by_its_own_name(policy: str, op: Op, reason: str) -> None:
    hub = Hub()
    hub.set_policy("robots", policy)
    (verdict,) = decide(hub, row(1, op))
    assert (verdict.outcome.kind, verdict.outcome.reason) == (OutcomeKind.REJECTED, reason)
    assert verdict.message


def test_where_it_may_not_write_nothing_is_written() -> None:
    hub = Hub()
    hub.set_policy("@space", '{"strict":true}')
    (verdict,) = decide(hub, row(1, put("{}")))
    assert verdict.outcome.reason == "UNDECLARED_COLLECTION"
    (verdict,) = decide(hub, row(2, Op(Kind.PUT, "_policies", "robots", b"{}")))
    assert verdict.outcome.reason == "RESERVED_COLLECTION"


def test_an_operation_that_no_door_sends_ends_as_a_refusal() -> None:
    hub = Hub()
    refused, empty = decide(hub, row(1, Op(Kind.CREATE, "robots", "r1", b"{}")), row(2))
    assert refused.outcome.reason == "MALFORMED_EDIT"
    assert empty.outcome.kind is OutcomeKind.APPLIED


@pytest.mark.parametrize(
    "extra", [Extra(), Extra(expired=True), Extra(blind=True), Extra(strong=True, coalesced_by=9)]
)
def test_only_a_strong_commit_is_sent_as_asked_for(extra: Extra) -> None:
    with pytest.raises(MalformedBatch) as caught:
        pushed(batch(row(1, put("{}"), extra=extra)))
    assert caught.value.index == 0


# -- minimum levels -------------------------------------------------------------------------------


@pytest.mark.promise("level.minimum")
def test_where_strong_is_the_minimum_nothing_weaker_gets_in() -> None:
    hub = Hub()
    hub.set_policy("robots", '{"min_write_level":"strong"}')
    weak = Commit(
        name_of("id1"), 1, 0, 0, stamp_at(NOON_MS), ROBOT,
        (Op(Kind.CREATE, "robots", "r1", b"{}"),),
    )  # fmt: skip
    decide(hub, weak)
    assert hub.outcome(A, 1).reason == "LEVEL_NOT_PERMITTED"
    assert [(c.kind, c.state) for c in hub.conflicts] == [("rejected", "open")]
    with pytest.raises(Refusal) as caught:
        hub.request(Put("robots", "r1", b"{}"), level=Level.EVENTUAL)
    assert caught.value.reason == "LEVEL_NOT_PERMITTED"
    assert hub.request(Put("robots", "r1", b"{}")).level is Level.STRONG
    (verdict,) = decide(hub, row(2, put('{"n":1}')))
    assert verdict.outcome.kind is OutcomeKind.APPLIED


def test_at_the_hubs_own_door_a_context_out_of_date_is_refused_at_the_level_strong() -> None:
    hub = Hub()
    read = written(hub, Put("robots", "r1", b'{"n":0,"x":0}'))
    written(hub, Patch("robots", "r1", b'{"n":1}'))
    stale = Patch("robots", "r1", b'{"n":5}')
    with pytest.raises(Refusal) as caught:
        hub.request(stale, context=hub.context(read), level=Level.STRONG)
    assert caught.value.reason == "REVISION_MISMATCH"
    beside = Patch("robots", "r1", b'{"x":5}')
    receipt = hub.request(beside, context=hub.context(read), level=Level.STRONG)
    assert (receipt.outcome.kind, receipt.level) == (OutcomeKind.APPLIED, Level.STRONG)
    assert hub.request(stale, context=hub.context(read)).level is Level.EVENTUAL
