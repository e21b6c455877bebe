"""Watches: ordered, whole, once, resumable; pending commits are told and then decided."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from edge_agent import tail, watchers
from edge_agent.events import Event, Interest, Progress
from edge_agent.watchers import Resume
from holdfast.host.refusal import Refusal
from sync.commit import OutcomeKind
from sync.filters import Filter
from sync.reduce import Delete, Patch, Put
from tests.edges import SPACE, DictHub, Edge, edge_at


async def _take(watch: AsyncIterator[Event | Progress], count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        event = await asyncio.wait_for(anext(watch), 5)
        if isinstance(event, Event):
            found.append(event)
    return found


def _watch(
    edge: Edge, interest: Interest, resume: Resume | None = None
) -> aclosing[AsyncGenerator[Event | Progress, None]]:
    return aclosing(edge.watchers.watch(interest, resume))


async def test_a_watch_tells_what_comes_after_now(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        hub.write(Put("things", "before", b"{}"))
        await edge.pull(hub)
        async with _watch(edge, Interest(SPACE)) as watch:
            task = asyncio.create_task(_take(watch, 2))
            await asyncio.sleep(0.01)
            hub.write(Put("things", "a", b'{"n":1}'))
            hub.write(Delete("things", "a"))
            await edge.pull(hub)
            one, two = await task
    assert one.position.revision == 2
    assert one.changes[0].record.value == b'{"n":1}'
    assert (one.changes[0].previous, two.changes[0].previous) == (0, 2)
    assert two.changes[0].record.deleted
    assert two.changes[0].record.value == b'{"n":1}', "a tombstone keeps the last value"


@pytest.mark.promise("watch.resumable")
@pytest.mark.promise("watch.unique")
@pytest.mark.promise("watch.reliable")
async def test_a_watch_resumes_from_the_tail_without_gap_or_repeat(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        for n in range(40):
            hub.write(Patch("things", "a", b'{"n":%d}' % n))
        await edge.pull(hub)
        async with _watch(edge, Interest(SPACE), Resume(1, 10)) as watch:
            events = await _take(watch, 30)
            hub.write(Patch("things", "a", b'{"n":99}'))
            await edge.pull(hub)
            events += await _take(watch, 1)
    assert [event.position.revision for event in events] == list(range(11, 42))
    assert [e.changes[0].record.value for e in events[:2]] == [b'{"n":10}', b'{"n":11}']


@pytest.mark.promise("watch.pending")
async def test_pending_commits_are_told_and_then_their_outcome(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        hub.write(Put("things", "a", b'{"n":0}'))
        await edge.pull(hub)
        interest = Interest(SPACE, include_pending=True)
        async with _watch(edge, interest) as watch:
            task = asyncio.create_task(_take(watch, 3))
            await asyncio.sleep(0.01)
            await edge.commit(Patch("things", "a", b'{"n":1}'), Put("things", "b", b"{}"))
            hub.write(Delete("things", "a"))
            await edge.sync(hub)
            pending, foreign, decided = await task
        assert pending.pending and len(pending.changes) == 2
        assert pending.changes[0].record.value == b'{"n":1}'
        assert foreign.changes[0].record.deleted
        assert decided.op_id == pending.op_id
        assert decided.outcome.kind is OutcomeKind.SUPERSEDED
        # Who was told of one pending commit, and comes back, is told of the next.
        await edge.put("c", b"{}")
        await edge.put("d", b"{}")
        resume = Resume(1, hub.head, edge.origin, 2)
        async with _watch(edge, interest, resume) as watch:
            (again,) = await _take(watch, 1)
        assert again.op_id.seq == 3


@pytest.mark.promise("watch.filter")
async def test_a_watch_is_told_what_it_asked_for(tmp_path: Path) -> None:
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        hub.write(Put("others", "k1", b'{"n":5}'))
        hub.write(Put("things", "x1", b'{"n":5}'))
        hub.write(Put("things", "k1", b'{"n":1}'))
        hub.write(Put("things", "k2", b'{"n":5}'))
        await edge.pull(hub)
        wanted = Interest(SPACE, "things", "k", Filter("value.n > 3"))
        async with _watch(edge, wanted, Resume(1, 0)) as watch:
            (event,) = await _take(watch, 1)
        assert event.position.revision == 4


@pytest.mark.promise("watch.slow-is-told")
async def test_a_slow_watcher_goes_back_to_the_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "QUEUED_EVENTS", 3)
    hub = DictHub()
    async with edge_at(tmp_path) as edge:
        async with _watch(edge, Interest(SPACE)) as watch:
            first = asyncio.create_task(_take(watch, 1))
            await asyncio.sleep(0.01)
            for n in range(20):
                hub.write(Patch("things", "a", b'{"n":%d}' % n))
                await edge.pull(hub)
            events = await first + await _take(watch, 19)
        assert [event.position.revision for event in events] == list(range(1, 21))


@pytest.mark.promise("resume.compacted")
@pytest.mark.promise("watch.slow-is-told")
async def test_a_place_that_is_no_longer_kept_is_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = DictHub()
    monkeypatch.setattr(tail, "LIMIT_BYTES", 2_000)
    async with edge_at(tmp_path) as edge:
        for n in range(30):
            hub.write(Patch("things", "a", b'{"n":%d}' % n))
        from edge_agent import replica

        arrivals = hub.after(0)
        await edge.files.replica.run(
            lambda c: replica.apply(c, SPACE, arrivals, {}, tail_limit_bytes=2_000)
        )
        async with _watch(edge, Interest(SPACE), Resume(1, 3)) as watch:
            with pytest.raises(Refusal) as refused:
                await _take(watch, 1)
        assert refused.value.reason == "COMPACTED"
        async with _watch(edge, Interest(SPACE), Resume(1, 28)) as watch:
            assert len(await _take(watch, 2)) == 2
