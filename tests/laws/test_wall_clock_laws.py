"""No order, cursor or decision on writes that saw each other depends on what any clock says.

The same writes are made twice: with every clock right and still, and with clocks that jump by years
between any two of them, the hub's too. Every author has seen what was there, so nothing is left for
a clock to decide.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.commit import Extra, OutcomeKind
from sync.reduce import Delete, Patch, Put, Request
from tests.fleet import NOON_MS, Edge, Hub, Replica, name_of
from tests.unit.cloud_hub.test_deciding import batch, row

YEAR_MS = 365 * 86_400_000
READINGS = st.integers(-40, 40).map(lambda years: years * YEAR_MS)
KEYS = st.sampled_from("abc")
REQUESTS = st.one_of(
    st.builds(Put, st.just("parts"), KEYS, st.sampled_from([b'{"x":1}', b'{"x":2,"y":1}'])),
    st.builds(Patch, st.just("parts"), KEYS, st.sampled_from([b'{"y":3}', b'{"z":4}'])),
    st.builds(Delete, st.just("parts"), KEYS),
)
STEPS = st.lists(st.tuples(st.integers(0, 2), REQUESTS, READINGS, READINGS), max_size=12)
Step = tuple[int, Request, int, int]


def played(steps: list[Step], *, wrong: bool) -> tuple[Hub, list[Edge]]:
    """Each author writes on the newest state."""
    hub = Hub()
    edges = [Edge(name, hub) for name in ("a", "b", "c")]
    for who, request, edge_ms, hub_ms in steps:
        edge = edges[who]
        edge.download()
        hub.now_ms = NOON_MS + (hub_ms if wrong else 0)
        edge.clock_ms = edge_ms - hub_ms if wrong else 0
        edge.write(request)
        edge.sync()
    for each in edges:
        each.download()
    return hub, edges


def shape(hub: Hub) -> list[object]:
    """What was decided, less what the clocks said of it."""
    return [
        (one.first_revision, one.batch.origin, one.batch.first_seq, one.batch.kinds,
         one.batch.payloads, one.batch.bases, one.previous, one.outcomes)
        for one in hub.log
    ]  # fmt: skip


@pytest.mark.promise("rule.no-wall-clock")
@pytest.mark.promise("time.wrong-clock")
@given(STEPS)
def test_what_saw_each_other_is_decided_alike_whatever_clocks_say(steps: list[Step]) -> None:
    right, _ = played(steps, wrong=False)
    wrong, edges = played(steps, wrong=True)
    assert shape(wrong) == shape(right)
    assert wrong.conflicts == right.conflicts == []
    assert wrong.digest == right.digest
    assert {name: record.live for name, record in wrong.records.items()} == (
        {name: record.live for name, record in right.records.items()}
    )
    late = Replica()
    for decided in wrong.log:
        late.adopt(decided)
    for edge in edges:
        assert (edge.pending, edge.replica.cursor) == ([], late.cursor)
        assert edge.replica.digest == late.digest == wrong.digest


@pytest.mark.promise("rule.no-wall-clock")
@given(st.lists(READINGS, min_size=2, max_size=6))
def test_revisions_and_seqs_grow_though_the_hubs_clock_goes_back(readings: list[int]) -> None:
    hub = Hub()
    for seq, reading in enumerate(readings, start=1):
        hub.now_ms = NOON_MS + reading
        hub.push(batch(row(seq, claimed=1, commit_id=name_of(f"c{seq}"), extra=Extra())))
        hub.request(Put("parts", "k", b'{"n":%d}' % seq))
    revisions = [one.first_revision for one in hub.log]
    assert revisions == list(range(1, 2 * len(readings) + 1))
    assert all(one.outcome(0).kind is OutcomeKind.APPLIED for one in hub.log)
    assert hub.live("k", "parts") == f'{{"n":{len(readings)}}}', "who comes after, stands"
