"""Credit on a stream."""

from __future__ import annotations

from sync.messages import Credit
from sync.window import WINDOW_BYTES, WINDOW_COMMITS, Receiver, Sender


def test_nothing_may_be_sent_before_a_grant() -> None:
    assert not Sender().room


def test_a_send_may_begin_while_there_is_room_of_both_kinds() -> None:
    sender = Sender(Credit(10, 100))
    rooms = []
    for sent, granted in [
        ((9, 50), Credit(0, 0)),
        ((1, 1), Credit(0, 0)),
        ((0, 0), Credit(11, 100)),
        ((0, 49), Credit(0, 0)),
        ((0, 0), Credit(11, 101)),
    ]:
        sender.sent(*sent)
        sender.grant(granted)
        rooms.append(sender.room)
    assert rooms == [True, False, True, False, True]


def test_a_batch_larger_than_what_is_left_is_sent_once_not_twice() -> None:
    sender = Sender(Credit(10, 100))
    sender.sent(5_000, 1)
    assert not sender.room


def test_an_older_grant_takes_nothing_back() -> None:
    sender = Sender(Credit(10, 100))
    sender.grant(Credit(5, 200))
    assert sender.granted == Credit(10, 200)


def test_a_grant_comes_when_half_of_either_is_used_up() -> None:
    receiver = Receiver()
    assert receiver.done(WINDOW_COMMITS // 2 - 1, 0) is None
    grant = receiver.done(1, 0)
    assert grant == Credit(WINDOW_COMMITS // 2 + WINDOW_COMMITS, WINDOW_BYTES)
    assert receiver.done(1, WINDOW_BYTES // 2) is not None


def test_a_sender_that_stopped_always_gets_a_grant_when_all_is_dealt_with() -> None:
    """Else both would wait for each other for ever."""
    for commits, size in ((1, 1), (4_999, 10), (1, 3_000_000), (7, 65_537), (30_000, 9_000_000)):
        receiver, sender = Receiver(), Sender()
        sender.grant(receiver.granted)
        for _ in range(50):
            waiting = []
            while sender.room:
                sender.sent(commits, size)
                waiting.append((commits, size))
            assert waiting
            for done in waiting:
                grant = receiver.done(*done)
                if grant:
                    sender.grant(grant)
