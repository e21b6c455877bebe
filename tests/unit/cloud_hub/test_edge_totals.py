"""What all edges together have counted never falls, and counts nothing twice."""

from __future__ import annotations

from cloud_hub.edge_totals import EdgeTotals
from sync.messages import EdgeCounters


def _told(uptime_ms: int, commits: int, refused: int = 0) -> EdgeCounters:
    refusals = (("OUTBOX_FULL", refused),) if refused else ()
    return EdgeCounters(uptime_ms=uptime_ms, commits=commits, refusals=refusals)


def test_what_has_grown_since_the_last_time_is_added() -> None:
    totals = EdgeTotals()
    totals.add("a", _told(1_000, 100, 1))  # counted before it came here
    totals.add("b", _told(9_000, 7))
    assert totals.numbers["commits"] == 0
    totals.add("a", _told(2_000, 110, 4))
    totals.add("b", _told(9_500, 8))
    assert totals.numbers["commits"] == 11
    assert dict(totals.refusals) == {"OUTBOX_FULL": 3}


def test_another_process_begins_from_nothing() -> None:
    totals = EdgeTotals()
    totals.add("a", _told(50_000, 100, 5))
    totals.add("a", _told(1_000, 3, 2))
    assert totals.numbers["commits"] == 3
    assert totals.refusals["OUTBOX_FULL"] == 2


def test_a_number_that_falls_adds_nothing() -> None:
    totals = EdgeTotals()
    totals.add("a", _told(1_000, 100, 3))
    totals.add("a", _told(2_000, 50))
    assert totals.numbers["commits"] == 0
    totals.add("a", _told(3_000, 60))
    assert totals.numbers["commits"] == 10
