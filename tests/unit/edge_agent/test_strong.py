"""Strong commits on their way: sent to take effect only while somebody waits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent import strong
from edge_agent.requests import Context, Write
from edge_agent.strong import StrongCommits
from holdfast.host.refusal import Refusal
from sync.batch import Batch, batch_of
from sync.commit import Commit, Extra, Kind, Op, OpId, Outcome, OutcomeKind, Precondition, Version
from sync.levels import Level
from sync.messages import StrongVerdict
from sync.position import Position
from sync.reduce import Add, Delete, Patch, Put
from tests.edges import ROBOT, SPACE, TestClock, edge_at

ONE, TWO = b"1" * 16, b"2" * 16
AT = Position(1, SPACE, 5)


def batch(*ids: bytes, extra: Extra = Extra(strong=True)) -> Batch:  # noqa: B008 - frozen
    op = Op(Kind.PUT if extra.strong else Kind.CREATE, "things", "a", b"{}")
    rows = [Commit(id_, seq, 0, 0, 0, ROBOT, (op,), extra) for seq, id_ in enumerate(ids, start=1)]
    return batch_of(SPACE, b"o" * 16, 1, rows)


def expired(found: Batch) -> list[bool]:
    return [found.extra(index).expired for index in range(len(found))]


@pytest.mark.promise("write.strong.unknown")
def test_it_is_live_while_somebody_waits_and_before_his_deadline() -> None:
    clock = TestClock()
    commits = StrongCommits(clock)
    assert expired(commits.sending(batch(ONE, TWO))) == [True, True]
    with commits.awaiting(SPACE, ONE, 10) as awaited:
        assert expired(commits.sending(batch(ONE, TWO))) == [False, True]
        assert awaited.offered
        clock.wall += 10_000
        assert expired(commits.sending(batch(ONE))) == [True]
        with commits.awaiting(SPACE, ONE, 10):  # a retry, with a deadline of its own
            assert expired(commits.sending(batch(ONE))) == [False]
    assert expired(commits.sending(batch(ONE))) == [True]


def test_of_another_space_or_level_it_says_nothing() -> None:
    commits = StrongCommits(TestClock())
    plain = batch(ONE, extra=Extra(retryable=True))
    assert commits.sending(plain) is plain
    with commits.awaiting("lab", ONE, 10):
        assert expired(commits.sending(batch(ONE))) == [True]
        assert commits.is_urgent("lab")
        assert not commits.is_urgent(SPACE)
    assert not commits.is_urgent("lab")


def test_the_first_word_stands() -> None:
    commits = StrongCommits(TestClock())
    name = OpId(b"o" * 16, 1, ONE)
    first = StrongVerdict(ONE, AT, Outcome(OutcomeKind.APPLIED), name)
    with commits.awaiting(SPACE, ONE, 10) as awaited:
        commits.tell(SPACE, [replace(first, commit_id=TWO)])
        assert awaited.verdict is None
        commits.tell(SPACE, [first, replace(first, position=Position(1, SPACE, 9))])
    assert awaited.verdict == first


def test_only_so_many_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strong, "MAX_WAITING", 1)
    commits = StrongCommits(TestClock())
    with (
        commits.awaiting(SPACE, ONE, 10),
        pytest.raises(Refusal) as caught,
        commits.awaiting("lab", TWO, 10),
    ):
        pass
    assert caught.value.reason == "TOO_MANY_REQUESTS"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome(OutcomeKind.APPLIED), ""),
        (Outcome(OutcomeKind.REJECTED, "EXPIRED"), "EXPIRED"),
        (Outcome(OutcomeKind.REJECTED, "PRECONDITION_FAILED"), "REVISION_MISMATCH"),
        (Outcome(OutcomeKind.REJECTED, "NOT_AN_INTEGER"), "NOT_AN_INTEGER"),
        (Outcome(OutcomeKind.REJECTED, "NOT_ALLOWED"), "REFUSED_BY_RULE"),
        (Outcome(OutcomeKind.LOST, "OUTBOX_DAMAGED"), "OUTBOX_DAMAGED"),
    ],
)
def test_what_the_log_says_is_told_as_the_door_would(outcome: Outcome, reason: str) -> None:
    verdict = strong.verdict_of(OpId(b"o" * 16, 1, ONE), outcome, AT)
    assert (verdict.outcome.reason, verdict.position) == (reason, AT)
    assert verdict.metadata == ({"rule": "NOT_ALLOWED"} if reason == "REFUSED_BY_RULE" else {})


def test_a_repeat_does_not_know_where_the_first_was_decided() -> None:
    outcome = Outcome(OutcomeKind.APPLIED, by_origin=b"f" * 16, by_seq=3)
    verdict = strong.verdict_of(OpId(b"o" * 16, 1, ONE), outcome, AT)
    assert verdict.first == OpId(b"f" * 16, 3, ONE)
    assert verdict.position.revision == 0


# -- as a row of the outbox ------------------------------------------------------------------------


@pytest.mark.promise("write.strong.not-shown")
async def test_it_is_kept_as_it_was_asked_for_and_changes_nothing_here(tmp_path: Path) -> None:
    pending = Version(0, 0, b"x" * 16, 4, pending=True)
    async with edge_at(tmp_path) as edge:
        await edge.put("a", b'{"n":1}')
        before = await edge.state()
        requests = (
            Put("things", "a", b'{"n":1}'), Patch("things", "b", b'{"n":2}', ("x",)),
            Patch("things", "b", b"{}", ("y",)), Add("things", "c", b'{"n":1}'),
            Delete("things", "d"),
        )  # fmt: skip
        write = Write(
            SPACE, requests, ROBOT, level=Level.STRONG, commit_id=ONE,
            preconditions=(Precondition("things", "z", version=pending),),
        )  # fmt: skip
        receipt = await edge.store.commit(write)
        assert (receipt.level, receipt.op_id.seq) == (Level.STRONG, 2)
        assert await edge.state() == before
        read = await edge.reads.get(SPACE, "things", "a")
        assert read.context == Context(0, 0, ((edge.origin, 1),))
        (found,) = await edge.undecided()
    assert isinstance(found, Batch)
    commit = found.commit(1)
    assert commit.extra == Extra(
        preconditions=write.preconditions, retryable=True, strong=True, blind=True
    )
    assert [(op.kind, op.key, op.payload) for op in commit.ops] == [
        (Kind.PUT, "a", b'{"n":1}'), (Kind.PATCH, "b", b'{"n":2}'), (Kind.REMOVE, "b", b'["x"]'),
        (Kind.REMOVE, "b", b'["y"]'), (Kind.ADD, "c", b'{"n":1}'), (Kind.DELETE, "d", b""),
    ]  # fmt: skip


async def test_its_context_is_for_the_hub_to_look_up(tmp_path: Path) -> None:
    """A read of the hub may be ahead of this replica."""
    context = Context(1, 99, ((b"x" * 16, 3),))
    async with edge_at(tmp_path) as edge:
        await edge.store.commit(
            Write(SPACE, (Put("things", "a", b"{}"),), ROBOT, context=context, level=Level.STRONG)
        )
        (found,) = await edge.undecided()
        assert isinstance(found, Batch)
        assert (found.base_epoch, found.bases, found.extra(0).seen) == (1, (99,), context.seen)
        assert not found.extra(0).blind
        never = Context(1, 9, ((edge.origin, 7),))
        with pytest.raises(Refusal) as caught:
            await edge.store.commit(
                Write(SPACE, (Put("things", "a", b"{}"),), ROBOT, context=never,
                      level=Level.STRONG)
            )  # fmt: skip
        assert caught.value.reason == "WRITES_LOST"
        with pytest.raises(Refusal) as caught:
            await edge.store.commit(
                Write(SPACE, (Put("_policies", "a", b"{}"),), ROBOT, level=Level.STRONG)
            )
        assert caught.value.reason == "RESERVED_COLLECTION"
