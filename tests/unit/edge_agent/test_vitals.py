"""What an edge says of itself at a glance."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edge_agent.origins import Counter
from edge_agent.vitals import Vitals
from sync.messages import Scope
from sync.position import Position

ORIGIN = b"o" * 16


class Files:
    """An edge's files, as far as they are looked at: one origin, some counters, a clock."""

    def __init__(self, **last_seqs: int) -> None:
        self.now_ns = 100_000_000_000
        self.clock = SimpleNamespace(boot_ns=lambda: self.now_ns)
        self.alarms = SimpleNamespace(names=())
        self.outbox: Any = SimpleNamespace(
            id_of=lambda _ordinal: ORIGIN,
            streams=lambda space: [1] if (space, 1) in self.outbox.counters else [],
            counter=lambda space, ordinal: self.outbox.counters[space, ordinal],
            counters={},
        )
        for space, seq in last_seqs.items():
            self.put(space, seq)

    def put(self, space: str, seq: int) -> None:
        self.outbox.counters[space, 1] = Counter(last_seq=seq)

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1_000_000_000)


def _vitals(files: Files) -> Vitals:
    return Vitals(files, {"plant": Scope()})  # type: ignore[arg-type]


def _head(revision: int, epoch: int = 1) -> dict[str, Position]:
    return {"plant": Position(epoch, "plant", revision)}


def test_from_nothing_known_to_synced_and_back() -> None:
    files = Files(plant=3)
    vitals = _vitals(files)
    vitals.took(["plant"])
    assert vitals.line("connecting (HUB_UNREACHABLE)", connected=False) == (
        "connecting (HUB_UNREACHABLE), 3 pending, lag unknown, oldest 0.0 s"
    )
    vitals.applied(Position(1, "plant", 7), _head(9))
    files.pass_s(2)
    vitals.decided("plant", ORIGIN, 3)
    assert vitals.line("streaming", connected=True) == "streaming, 0 pending, lag unknown"
    vitals.applied(Position(1, "plant", 9), _head(9))
    files.pass_s(0.4)
    assert vitals.line("streaming", connected=True) == "synced, 0 pending, lag 0.4 s"
    files.put("plant", 5)
    vitals.took(["plant"])
    files.pass_s(60)
    files.alarms.names = ("DISK_FULL",)
    assert vitals.line("connecting", connected=False) == (
        "connecting, 2 pending, lag 60.4 s, oldest 60.0 s, alarms DISK_FULL"
    )


def test_another_history_is_not_reached_by_a_higher_number() -> None:
    vitals = _vitals(Files())
    vitals.applied(Position(1, "plant", 1_000), _head(3, epoch=2))
    assert vitals.lag_ms is None
    vitals.applied(Position(2, "plant", 3), _head(3, epoch=2))
    assert vitals.lag_ms == 0


def test_a_space_of_which_the_hub_has_said_nothing_is_not_reached() -> None:
    vitals = _vitals(Files())
    vitals.heard({"other": Position(1, "other", 0)})
    assert vitals.lag_ms is None
    vitals.heard(_head(0))
    assert vitals.lag_ms == 0


def test_commits_that_moved_to_another_origin_are_not_waited_for_under_the_old_one() -> None:
    files = Files(plant=5)
    vitals = _vitals(files)
    vitals.took(["plant"])
    files.pass_s(10)
    files.outbox.counters.clear()
    assert (vitals.pending, vitals.oldest_pending_ms) == (0, 0)
