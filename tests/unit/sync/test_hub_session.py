"""The hub's side of a stream by itself: what it takes, what it refuses, when it ends."""

from __future__ import annotations

import pytest

from holdfast.host import channels
from sync import actions as a
from sync import messages as m
from sync.clock import BootInstant
from sync.codec import MAX_BLOCK_BYTES
from sync.edge_session import SECOND_NS
from sync.hub_session import (
    AGE_LIMIT_NS,
    GREETING_LIMIT_NS,
    MAX_COMPARED,
    MAX_SPACES,
    SILENCE_LIMIT_NS,
    HubSession,
    age_limit_ns,
)
from sync.position import NOWHERE
from sync.transitions import HUB, ProtocolViolation, State
from sync.window import WINDOW_BYTES, WINDOW_COMMITS
from tests.unit.sync.stream_pair import ORIGIN, START, hello, ids
from tests.unit.sync.test_codec_stream import EDGE as MESSAGES

NOW = BootInstant(START)


def session(state: State = State.STREAMING) -> HubSession:
    made = HubSession(NOW)
    if state is not State.GREETING:
        made.receive(hello({"site": ids(3)}), NOW)
    made.state = state
    return made


def push(count: int = 1, size: int = 10, first: int = 1, block_bytes: int = 10) -> m.Push:
    return m.Push("site", ORIGIN, first, count, b"b" * size, block_bytes)


def refused(actions: list[a.HubAction]) -> str:
    said, closed = actions
    assert isinstance(said, a.Send)
    assert isinstance(said.message, m.Goodbye)
    assert isinstance(closed, a.Close)
    assert said.message.reason == closed.reason
    return closed.reason


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("message", MESSAGES, ids=lambda x: type(x).__name__)
def test_what_the_table_does_not_have_is_a_violation(state: State, message: m.EdgeMessage) -> None:
    if state is State.COMPARING:
        assert state not in HUB
        return
    hub = session(state)
    if type(message) in HUB[state]:
        hub.receive(message, NOW)
    else:
        with pytest.raises(ProtocolViolation):
            hub.receive(message, NOW)


def test_everything_it_is_told_becomes_work() -> None:
    hub = session(State.GREETING)
    greeting = hello({"site": ids(3)})
    assert hub.receive(greeting, NOW) == [a.Greet(greeting)]
    conversation: list[tuple[m.EdgeMessage, a.HubAction]] = [
        (push(), a.Ingest(push())),
        (
            m.VoidRange("site", ORIGIN, 1, 1, "X"),
            a.IngestVoid(m.VoidRange("site", ORIGIN, 1, 1, "X")),
        ),
        (m.CompareIds("site", ORIGIN, (1,)), a.Compare(m.CompareIds("site", ORIGIN, (1,)))),
        (m.CursorReport(()), a.NoteCursors(m.CursorReport(()))),
        (m.EdgeHeartbeat(1, 0, 0, 0), a.AnswerHeartbeat(m.EdgeHeartbeat(1, 0, 0, 0))),
        (m.Goodbye("X", "y"), a.Close("X", "y")),
    ]
    for message, work in conversation:
        assert hub.receive(message, NOW) == [work]
    assert hub.state is State.CLOSED
    assert hub.tick(BootInstant(NOW + AGE_LIMIT_NS * 2)) == []


def test_a_version_that_is_not_spoken_is_told_so() -> None:
    hub = session(State.GREETING)
    assert refused(hub.receive(hello({}, versions=(7, 9)), NOW)) == "PROTOCOL_VERSION"
    assert hub.state is State.CLOSED


@pytest.mark.promise("rule.limits")
def test_a_hello_names_each_space_once_and_not_too_many() -> None:
    one = m.SpaceHello("site", m.Scope(), NOWHERE)
    many = tuple(m.SpaceHello(f"s{i}", m.Scope(), NOWHERE) for i in range(MAX_SPACES + 1))
    for spaces in ((one, one), many):
        hub = session(State.GREETING)
        assert refused(hub.receive(m.Hello("e", ORIGIN, spaces), NOW)) == "PROTOCOL_VIOLATION"
    assert session(State.GREETING).receive(m.Hello("e", ORIGIN, many[:-1]), NOW)


@pytest.mark.promise("rule.limits")
@pytest.mark.parametrize(
    "message",
    [
        push(count=0),
        push(first=0),
        push(block_bytes=MAX_BLOCK_BYTES + 1),
        m.CompareIds("site", ORIGIN, tuple(range(1, MAX_COMPARED + 2))),
    ],
)
def test_what_is_too_large_or_empty_ends_the_stream(message: m.EdgeMessage) -> None:
    assert refused(session().receive(message, NOW)) == "PROTOCOL_VIOLATION"


@pytest.mark.promise("stream.credit")
@pytest.mark.parametrize("message", [push(count=WINDOW_COMMITS), push(size=WINDOW_BYTES)])
def test_credit_is_kept_or_the_stream_ends(message: m.Push) -> None:
    hub = session()
    assert hub.receive(message, NOW) == [a.Ingest(message)]
    assert refused(hub.receive(push(), NOW)) == "PROTOCOL_VIOLATION"
    hub = session()
    hub.receive(message, NOW)
    answer = m.PushRefused("site", ORIGIN, "SEQ_GAP", "", 0)
    said = hub.decided(message, answer)
    assert isinstance(said[1], a.Send)
    assert isinstance(said[1].message, m.Credit)
    assert hub.receive(push(), NOW) == [a.Ingest(push())]


@pytest.mark.promise("stream.credit")
def test_changes_are_sent_within_what_the_edge_granted() -> None:
    hub = session()
    changes = m.Changes("site", 1, 1, ORIGIN, 1, 3, b"", b"12345", 5, b"")
    may = [hub.may_send_changes]
    hub.receive(m.Credit(4, 100), NOW)
    may.append(hub.may_send_changes)
    assert hub.sent(changes) == [a.Send(changes)]
    may.append(hub.may_send_changes)
    hub.sent(changes)
    may.append(hub.may_send_changes)
    hub.receive(m.Credit(7, 11), NOW)
    may.append(hub.may_send_changes)
    hub.state = State.CLOSED
    assert [*may, hub.may_send_changes] == [False, True, True, False, True, False]


@pytest.mark.parametrize(
    ("state", "limit_ns", "reason"),
    [
        (State.GREETING, GREETING_LIMIT_NS, "SILENT"),
        (State.STREAMING, SILENCE_LIMIT_NS, "SILENT"),
    ],
)
def test_silence_ends_a_stream(state: State, limit_ns: int, reason: str) -> None:
    hub = session(state)
    assert hub.tick(BootInstant(NOW + limit_ns)) == []
    assert refused(hub.tick(BootInstant(NOW + limit_ns + 1))) == reason
    assert hub.tick(BootInstant(NOW + limit_ns + 2)) == []


def test_age_ends_a_stream_however_lively() -> None:
    hub = session()
    at = NOW
    while at < NOW + AGE_LIMIT_NS:
        assert hub.tick(at) == []
        hub.receive(m.EdgeHeartbeat(1, 0, 0, 0), at)
        at = BootInstant(at + 30 * SECOND_NS)
    assert refused(hub.tick(BootInstant(at + 1))) == "STREAM_AGED"


def test_streams_come_of_age_one_by_one_and_long_before_their_connections() -> None:
    ages = [age_limit_ns(luck / 100) for luck in range(100)]
    assert max(ages) == AGE_LIMIT_NS
    assert len(set(ages)) == 100
    assert min(ages) > AGE_LIMIT_NS * 0.66
    # gRPC ends a connection up to a tenth earlier than it is told to.
    assert AGE_LIMIT_NS / 1_000_000 < channels.MAX_CONNECTION_AGE_MS * 0.9


def test_a_stream_is_let_go_at_its_own_age() -> None:
    hub, age_ns = session(), age_limit_ns(0.9)
    hub.age_limit_ns = age_ns
    at = BootInstant(NOW + age_ns)
    hub.receive(m.EdgeHeartbeat(1, 0, 0, 0), at)
    assert hub.tick(at) == []
    assert refused(hub.tick(BootInstant(at + 1))) == "STREAM_AGED"
