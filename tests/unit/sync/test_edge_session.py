"""The edge's side of a stream, and both sides against each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync import actions as a
from sync import messages as m
from sync.clock import BootInstant
from sync.edge_session import (
    FRESH_NS,
    GREETING_LIMIT_NS,
    HEARTBEAT_NS,
    MAX_BEATS,
    SECOND_NS,
    SILENCE_LIMIT_NS,
    STALL_LIMIT_NS,
    EdgeSession,
)
from sync.position import Position
from sync.transitions import EDGE, ProtocolViolation, State
from sync.window import WINDOW_COMMITS
from tests.unit.sync.stream_pair import ORIGIN, START, Pair, commit_id, hello, ids
from tests.unit.sync.test_codec_stream import HUB as MESSAGES

NOW = BootInstant(START)


def closed(actions: list[a.EdgeAction]) -> str:
    assert isinstance(actions[-1], a.Close)
    return actions[-1].reason


# -- both ends ---------------------------------------------------------------


def test_both_say_hello_and_then_commits_flow() -> None:
    pair = Pair({"site": ids(7), "other": ids(2)}, {"site": ids(4)}).start()
    assert (pair.edge.state, pair.hub.state) == (State.STREAMING, State.STREAMING)
    assert (pair.edge.codec, pair.edge.heads["site"]) == ("zstd", Position(1, "site", 4))
    assert (pair.edge.sent_through("site", ORIGIN), pair.edge.undecided) == (4, 0)
    assert len(pair.edge_did(a.Learn)) == 1
    pair.push("site", 3)
    pair.push("other", 2)
    assert pair.edge.undecided == 5
    pair.run()
    assert pair.decided == {"site": ids(7), "other": ids(2)}
    assert pair.edge.undecided == 0
    assert len(pair.edge_did(a.Acknowledged)) == 2


def test_rows_are_marked_as_offered_before_they_are_sent() -> None:
    pair = Pair({"site": ids(3)}).start()
    pair.edge_log.clear()
    pair.push("site", 3)
    marked, sent = pair.edge_log
    assert isinstance(marked, a.MarkOffered)
    assert sent == a.Send(marked.push)


def test_an_edge_without_spaces_streams_at_once() -> None:
    assert Pair({}).start().edge.state is State.STREAMING


@pytest.mark.promise("stream.credit")
def test_credit_stops_the_edge_and_lets_it_go_on() -> None:
    pair = Pair({"site": ids(WINDOW_COMMITS * 3)}).start()
    may = []
    for _ in range(4):
        may.append(pair.edge.may_push)
        pair.push("site", WINDOW_COMMITS // 4)
    may.append(pair.edge.may_push)
    pair.run()
    assert [*may, pair.edge.may_push] == [True] * 4 + [False, True]
    while pair.edge.sent_through("site", ORIGIN) < WINDOW_COMMITS * 3:
        while pair.edge.may_push and pair.edge.sent_through("site", ORIGIN) < WINDOW_COMMITS * 3:
            pair.push("site", WINDOW_COMMITS // 4)
        pair.run()
    assert len(pair.decided["site"]) == WINDOW_COMMITS * 3
    assert pair.hub.state is State.STREAMING


@pytest.mark.promise("stream.credit")
def test_credit_stops_the_hub_and_lets_it_go_on() -> None:
    pair = Pair({"site": []}).start()
    revision = 1
    for _ in range(3):
        sent = 0
        while pair.hub.may_send_changes:
            pair.perform_hub(pair.hub.sent(pair.changes("site", revision, 3_000)))
            revision, sent = revision + 3_000, sent + 1
        assert sent
        pair.run()
    assert len(pair.edge_did(a.Apply)) == (revision - 1) // 3_000
    assert pair.edge.heads["site"].revision == revision - 1


def test_changes_of_a_refused_replica_are_dropped_but_not_their_credit() -> None:
    """Dropped without a word they once used up the window for good."""
    pair = Pair({"site": [], "other": []}, refusals={"site": "FORK_DETECTED"}).start()
    assert pair.edge_did(a.ResetReplica) == [a.ResetReplica("site", "FORK_DETECTED")]
    for revision in range(1, 40_000, 1_000):
        assert pair.hub.may_send_changes
        pair.perform_hub(pair.hub.sent(pair.changes("site", revision, 1_000)))
        pair.run()
    assert pair.edge_did(a.Apply) == []
    assert pair.hub.may_send_changes


def test_a_lost_result_is_repaired_by_the_next_hello() -> None:
    pair = Pair({"site": ids(5)}).start()
    pair.lose_results = True
    pair.push("site", 5)
    pair.run()
    assert pair.edge.undecided == 5
    again = Pair({"site": ids(6)}, pair.decided).start()
    assert (again.edge.sent_through("site", ORIGIN), again.edge.undecided) == (5, 0)
    again.push("site", 1)
    again.run()
    assert again.decided["site"] == ids(6)


def test_a_gap_ends_the_stream_and_a_void_range_closes_it() -> None:
    pair = Pair({"site": ids(5)}).start()
    pair.perform_edge(
        pair.edge.offer_void(m.VoidRange("site", ORIGIN, 1, 2, "OUTBOX_DAMAGED"), pair.instant)
    )
    assert pair.edge.undecided == 2
    pair.run()
    assert (pair.edge.undecided, pair.edge.sent_through("site", ORIGIN)) == (0, 2)
    pair.decided["site"].clear()
    pair.push("site", 3)
    pair.run()
    assert pair.edge_did(a.Alarm)
    assert closed(pair.edge_log) == "SEQ_GAP"
    assert pair.edge.state is State.CLOSED


@pytest.mark.promise("origin.copied")
@pytest.mark.parametrize("shared", [0, 1, 500, 999])
def test_a_copied_outbox_is_noticed_before_anything_is_sent(shared: int) -> None:
    pair = Pair(
        {"site": ids(1_000, shared), "other": ids(4)}, {"site": ids(1_000), "other": ids(2)}
    )
    pair.start()
    take = a.TakeNewOrigin("ORIGIN_COPIED", {("site", ORIGIN): shared, ("other", ORIGIN): 2})
    assert pair.edge_did(a.TakeNewOrigin) == [take]
    assert closed(pair.edge_log) == "ORIGIN_COPIED"
    assert [x for x in pair.edge_did(a.Send) if isinstance(x.message, m.Push)] == []  # type: ignore[union-attr]
    assert pair.edge.state is State.CLOSED
    assert not pair.edge.may_push


@pytest.mark.promise("origin.restored")
def test_yesterdays_outbox_is_noticed() -> None:
    pair = Pair({"site": ids(3)}, {"site": ids(9)}).start()
    assert closed(pair.edge_log) == "OUTBOX_BEHIND"
    take = a.TakeNewOrigin("OUTBOX_BEHIND", {("site", ORIGIN): 3})
    assert pair.edge_did(a.TakeNewOrigin) == [take]


@pytest.mark.promise("origin.restored")
def test_an_origin_of_the_past_may_go_on_elsewhere() -> None:
    """Else an edge that has taken a new origin would take one after the other, for ever."""
    pair = Pair({"site": ids(3)}, {"site": ids(9)})
    greeting = replace(pair.edge.hello, origin=b"n" * 16, predecessor=ORIGIN)
    session = EdgeSession(greeting)
    session.start(NOW)
    (_, lookup) = session.receive(pair.welcome(greeting), NOW)
    assert isinstance(lookup, a.LookUpIds)
    assert session.ids_found(lookup, {3: commit_id(3)}) == []
    assert session.state is State.STREAMING


@pytest.mark.promise("rule.downloads-do-not-wait")
def test_downloads_do_not_wait_while_ids_are_compared() -> None:
    pair = Pair({"site": ids(100, 50)}, {"site": ids(100)})
    pair.perform_edge(pair.edge.start(pair.instant))
    pair.perform_hub(pair.hub.receive(pair.to_hub.popleft(), pair.instant))
    pair.perform_edge(pair.edge.receive(pair.to_edge.popleft(), pair.instant))
    assert pair.edge.state is State.COMPARING
    for message in (pair.changes("site", 1, 1), m.HubHeartbeat(1, 0), m.Credit(1, 1)):
        pair.perform_edge(pair.edge.receive(message, pair.instant))
    assert len(pair.edge_did(a.Apply)) == 1
    assert not pair.edge.may_push


# -- what must not come ------------------------------------------------------


def streaming() -> EdgeSession:
    return Pair({"site": ids(3)}, {"site": ids(3)}).start().edge


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("message", MESSAGES, ids=lambda x: type(x).__name__)
def test_what_the_table_does_not_have_is_a_violation(state: State, message: m.HubMessage) -> None:
    edge = streaming()
    edge.state = state
    if type(message) in EDGE[state] and not isinstance(message, m.ComparedIds):
        edge.receive(message, NOW)
    else:
        with pytest.raises(ProtocolViolation):
            edge.receive(message, NOW)


def comparing() -> tuple[EdgeSession, m.CompareIds]:
    pair = Pair({"site": ids(100, 50)}, {"site": ids(100)})
    pair.perform_edge(pair.edge.start(pair.instant))
    pair.perform_hub(pair.hub.receive(pair.to_hub.popleft(), pair.instant))
    pair.perform_edge(pair.edge.receive(pair.to_edge.popleft(), pair.instant))
    question = pair.to_hub.pop()
    assert isinstance(question, m.CompareIds)
    return pair.edge, question


def test_an_answer_to_a_question_not_asked_is_a_violation() -> None:
    """It was once a KeyError, or the same question for ever."""
    edge, question = comparing()
    answer = tuple((seq, commit_id(seq)) for seq in question.seqs)
    for wrong in (
        m.ComparedIds("elsewhere", ORIGIN, answer),
        m.ComparedIds("site", b"z" * 16, answer),
        m.ComparedIds("site", ORIGIN, ()),
        m.ComparedIds("site", ORIGIN, answer[:-1]),
        m.ComparedIds("site", ORIGIN, ((1_000, b"i" * 16),)),
    ):
        with pytest.raises(ProtocolViolation):
            edge.receive(wrong, NOW)
        edge.state = State.COMPARING
    assert isinstance(edge.receive(m.ComparedIds("site", ORIGIN, answer), NOW)[0], a.LookUpIds)


def test_a_result_for_what_was_not_sent_is_not_believed() -> None:
    """Another stream or database writes under this origin: the next hello compares."""
    edge = streaming()
    for wrong in (
        m.PushResult("site", ORIGIN, 4, commit_id(4), Position(1, "site", 4)),
        m.PushResult("site", b"z" * 16, 1, commit_id(1), Position(1, "site", 4)),
        m.PushResult("elsewhere", ORIGIN, 1, commit_id(1), Position(1, "elsewhere", 4)),
    ):
        edge.state = State.STREAMING
        (end,) = edge.receive(wrong, NOW)
        assert isinstance(end, a.Close)
        assert (end.reason, edge.state) == ("SUPERSEDED", State.CLOSED)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"version": 2}, "PROTOCOL_VERSION"), ({"codec": "lz77"}, "CODEC_UNKNOWN")],
)
def test_a_welcome_in_terms_not_offered_ends_the_stream(
    change: dict[str, object], reason: str
) -> None:
    pair = Pair({"site": ids(3)})
    pair.perform_edge(pair.edge.start(pair.instant))
    welcome = replace(pair.welcome(pair.edge.hello), **change)  # type: ignore[arg-type]
    assert closed(pair.edge.receive(welcome, NOW)) == reason
    assert pair.edge.state is State.CLOSED


def test_a_push_that_is_not_the_next_is_the_daemons_mistake() -> None:
    pair = Pair({"site": ids(9)}).start()
    for first in (0, 2):
        with pytest.raises(AssertionError):
            pair.edge.offer(m.Push("site", ORIGIN, first, 1, b"", 0), NOW)
        with pytest.raises(AssertionError):
            pair.edge.offer_void(m.VoidRange("site", ORIGIN, first, 1, "X"), NOW)
    pair.edge.state = State.COMPARING
    with pytest.raises(AssertionError):
        pair.edge.offer_void(m.VoidRange("site", ORIGIN, 1, 1, "X"), NOW)


def test_a_push_refused_for_another_stream_of_this_edge_is_no_alarm() -> None:
    edge = streaming()
    out = edge.receive(m.PushRefused("site", ORIGIN, "SUPERSEDED", "", 9), NOW)
    assert out == [a.Close("SUPERSEDED", "")]


def test_a_refused_commit_is_set_aside_by_name() -> None:
    pair = Pair({"site": ids(3)}).start()
    pair.push("site", 3)
    pair.to_hub.clear()
    refused = m.PushRefused("site", ORIGIN, "MALFORMED_BATCH", "not canonical", 0, 2)
    out = pair.edge.receive(refused, NOW)
    assert out[0] == a.SetAside("site", ORIGIN, 2, "MALFORMED_BATCH", "not canonical")
    assert (closed(out), pair.edge.state) == ("MALFORMED_BATCH", State.CLOSED)
    assert pair.edge.tick(BootInstant(NOW + STALL_LIMIT_NS * 2)) == []


# -- time --------------------------------------------------------------------


def test_a_hub_that_does_not_welcome_is_left() -> None:
    edge = EdgeSession(hello({"site": ids(1)}))
    assert edge.tick(NOW) or edge.start(NOW)
    edge = EdgeSession(hello({"site": ids(1)}))
    edge.start(NOW)
    assert edge.tick(BootInstant(NOW + GREETING_LIMIT_NS)) == []
    assert closed(edge.tick(BootInstant(NOW + GREETING_LIMIT_NS + 1))) == "SILENT"
    assert edge.tick(BootInstant(NOW + GREETING_LIMIT_NS * 2)) == []


def test_heartbeats_go_out_and_their_answers_say_when_they_were_sent() -> None:
    pair = Pair({"site": []}).start()
    (first,) = pair.edge.tick(NOW)
    assert first == a.Beat(NOW), "nothing is known to be fresh before the hub was asked"
    assert pair.edge.tick(BootInstant(NOW + HEARTBEAT_NS - 1)) == []
    pair.now += HEARTBEAT_NS
    (beat,) = pair.edge.tick(pair.instant)
    assert beat == a.Beat(pair.now)
    assert pair.edge.tick(pair.instant) == []
    answer = m.HubHeartbeat(pair.now, 0, (Position(1, "site", 9),))
    assert pair.edge.receive(answer, BootInstant(pair.now + 5)) == [a.Heard(answer, pair.now)]
    assert pair.edge.heads["site"].revision == 9
    assert pair.edge.receive(answer, BootInstant(pair.now + 6)) == []


def test_heartbeats_come_more_often_while_somebody_reads_within_a_bound() -> None:
    pair = Pair({"site": []}).start()
    pair.edge.tick(NOW)
    pair.edge.keep_fresh(6 * SECOND_NS, NOW)
    pair.edge.keep_fresh(60 * SECOND_NS, NOW)  # the tightest counts
    beats = 0
    for second in range(1, 31):
        beats += len(pair.edge.tick(BootInstant(NOW + second * SECOND_NS)))
        pair.edge.receive(m.Credit(1, 1), BootInstant(NOW + second * SECOND_NS))
    assert beats == 15
    later = NOW + FRESH_NS + 10 * SECOND_NS
    pair.edge.receive(m.Credit(1, 1), BootInstant(later))
    assert len(pair.edge.tick(BootInstant(later))) == 1
    assert pair.edge.tick(BootInstant(later + HEARTBEAT_NS - 1)) == [], "as always again"


def test_a_head_read_before_changes_that_came_first_takes_nothing_back() -> None:
    pair = Pair({"site": []}).start()
    pair.edge.receive(pair.changes("site", 1, 9), NOW)
    pair.edge.receive(m.HubHeartbeat(1, 0, (Position(1, "site", 5),)), NOW)
    assert pair.edge.heads["site"] == Position(1, "site", 9)
    pair.edge.receive(m.HubHeartbeat(1, 0, (Position(2, "site", 5),)), NOW)
    assert pair.edge.heads["site"] == Position(2, "site", 5)


def test_a_hub_that_falls_silent_is_left() -> None:
    pair = Pair({"site": []}).start()
    pair.edge.receive(m.Credit(1, 1), BootInstant(NOW + SECOND_NS))
    assert pair.edge.tick(BootInstant(NOW + SECOND_NS + SILENCE_LIMIT_NS)) != []
    assert pair.edge.state is State.STREAMING
    out = pair.edge.tick(BootInstant(NOW + SECOND_NS + SILENCE_LIMIT_NS + 1))
    assert (closed(out), pair.edge.state) == ("SILENT", State.CLOSED)


def alive(edge: EdgeSession, until_ns: int) -> list[a.EdgeAction]:
    """Ticks each second while the hub answers heartbeats and nothing else."""
    at, out = START, []
    while at < until_ns and edge.state is not State.CLOSED:
        at += SECOND_NS
        for action in edge.tick(BootInstant(at)):
            out.append(action)
            if isinstance(action, a.Beat):
                edge.receive(m.HubHeartbeat(action.nonce, 0), BootInstant(at))
    return out


@pytest.mark.promise("stream.never-wedges")
def test_sent_and_never_decided_is_an_alarm_and_the_end() -> None:
    pair = Pair({"site": ids(3)}).start()
    assert alive(pair.edge, START + STALL_LIMIT_NS * 3)[-1] != a.Close("STALLED")
    pair = Pair({"site": ids(3)}).start()
    pair.push("site", 3)
    out = alive(pair.edge, START + STALL_LIMIT_NS * 3)
    assert (closed(out), pair.edge.state) == ("STALLED", State.CLOSED)
    assert isinstance(out[-2], a.Alarm)
    assert out[-2].name == "UPLINK_STALLED"


@pytest.mark.promise("stream.never-wedges")
def test_a_comparison_that_is_never_answered_is_an_alarm_and_the_end() -> None:
    """With heartbeats answered nothing once ended it, and nothing was ever sent."""
    edge, _ = comparing()
    assert closed(alive(edge, START + STALL_LIMIT_NS * 3)) == "STALLED"


@pytest.mark.promise("stream.never-wedges")
def test_a_hub_that_never_grants_room_is_an_alarm_and_the_end() -> None:
    """Nothing was under way then, so that nothing was once missed, and nothing ever sent."""
    pair = Pair({"site": ids(3)})
    pair.perform_edge(pair.edge.start(pair.instant))
    pair.edge.receive(replace(pair.welcome(pair.edge.hello), credit=m.Credit(0, 0)), NOW)
    pair.edge.state = State.STREAMING
    assert not pair.edge.may_push
    out = alive(pair.edge, START + STALL_LIMIT_NS * 3)
    assert (closed(out), pair.edge.state) == ("STALLED", State.CLOSED)
    assert isinstance(out[-2], a.Alarm)


def test_a_comparison_that_goes_on_is_none() -> None:
    edge, question = comparing()
    later = BootInstant(NOW + STALL_LIMIT_NS - SECOND_NS)
    edge.receive(
        m.ComparedIds("site", ORIGIN, tuple((s, commit_id(s)) for s in question.seqs)), later
    )
    edge.tick(BootInstant(NOW + STALL_LIMIT_NS + SECOND_NS))
    assert edge.state is State.COMPARING


def test_decisions_keep_a_stream_alive() -> None:
    pair = Pair({"site": ids(10)}).start()
    for _ in range(5):
        pair.push("site", 2)
        pair.pass_s(25)
        assert not any(isinstance(x, a.Close) for x in pair.edge.tick(pair.instant))
        pair.run()
    assert pair.edge.undecided == 0


def test_heartbeats_that_stay_unanswered_are_not_kept_for_ever() -> None:
    pair = Pair({"site": []}).start()
    last = BootInstant(NOW + MAX_BEATS + 10)
    for at in range(NOW, last + 1):
        assert pair.edge.ask(BootInstant(at)) == [a.Beat(at)]
    assert len(pair.edge._beats) == MAX_BEATS
    newest = m.HubHeartbeat(last, 0)
    assert pair.edge.receive(newest, last) == [a.Heard(newest, last)]


def test_cursors_are_reported_when_they_moved_and_not_too_often() -> None:
    pair = Pair({"site": []}).start()
    assert a.ReportCursors() not in pair.edge.tick(BootInstant(NOW + 5 * SECOND_NS))
    pair.edge.applied(pair.changes("site", 1, 1))
    assert pair.edge.tick(BootInstant(NOW + 6 * SECOND_NS)) == [a.ReportCursors()]
    pair.edge.applied(pair.changes("site", 2, 1))
    assert pair.edge.tick(BootInstant(NOW + 6 * SECOND_NS + SECOND_NS // 2)) == []
    assert pair.edge.tick(BootInstant(NOW + 7 * SECOND_NS)) == [a.ReportCursors()]
