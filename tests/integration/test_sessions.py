"""What a session is promised at one door, with the network there, away, and back again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cloud_hub.submissions import Pushed
from edge_agent.uplink import Uplink, insecure
from holdfast import AsyncClient, Put, errors
from holdfast.client.commits import CommitEvent
from holdfast.v1 import edge_service_pb2 as edge_pb
from tests.house import PERSON, SPACE, House, house, until

pytestmark = pytest.mark.integration

PATH = f"{SPACE}/parts/7"


async def _value(client: AsyncClient, path: str = PATH, **options: Any) -> Any:
    found = await client.get(path, **options)
    return None if found is None else found.value


# -- reading one's own writes ------------------------------------------------------------------


@pytest.mark.promise("session.read-your-writes")
async def test_a_session_reads_its_writes_and_never_goes_back() -> None:
    async with house("a", "b") as home:
        session, positions, seqs = home.at("a"), [], []
        other = asyncio.create_task(_busy(home.at("b", PERSON)))
        for n in range(40):
            receipt = await session.put(PATH, {"n": n})
            seqs.append(receipt.op_id.seq)
            found = await session.get(PATH)
            assert found is not None and found.value == {"n": n}
            assert found.answer is not None and found.answer.position is not None
            positions.append((found.answer.position.epoch, found.answer.position.revision))
            if n == 20:
                # The connection breaks, and the edge is another process on the same files.
                tokens = session.tokens
                await home.end("a")
                await home.start_edge("a")
                session = home.at("a", tokens=tokens)
                assert await _value(session) == {"n": n}
        other.cancel()
        assert positions == sorted(positions), "never back"
        assert seqs == sorted(set(seqs)), "in the order in which they were made"
        await home.settled()
        history = await home.at("hub").history(PATH, limit=100)
        own = [e.outcome.op_id.seq for e in history.entries if e.outcome.op_id.seq in seqs]
        assert own == seqs[::-1]


async def _busy(client: AsyncClient) -> None:
    for n in range(10_000):
        await client.put(f"{SPACE}/others/{n % 5}", {"n": n})


@pytest.mark.promise("session.read-your-writes")
async def test_a_replica_that_was_set_back_makes_its_session_wait() -> None:
    """What a session has seen it sees again, or is told that it cannot be had yet."""
    async with house("a") as home:
        first = home.at("a")
        await (await first.put(PATH, {"n": 1})).outcome()
        assert await _value(first) == {"n": 1}
        tokens = first.tokens
        await home.end("a", "hub")
        for file in (home.root / "a").glob("replica.db*"):
            file.unlink()
        await home.start_edge("a")
        again = home.at("a", tokens=tokens)
        with pytest.raises(errors.Unavailable) as refused:
            await again.get(PATH, timeout_s=0.5)
        assert refused.value.reason == "SESSION_NOT_CAUGHT_UP"
        await home.start_hub()
        assert await _value(again, timeout_s=10) == {"n": 1}


@pytest.mark.promise("session.behind")
async def test_a_door_that_is_behind_waits_within_the_deadline_and_then_says_so() -> None:
    async with house("a") as home:
        await home.pause("a")
        writer = home.at("hub")
        await writer.put(PATH, {"n": 1})
        roamed = home.at("a", tokens=writer.tokens)
        for ask in (roamed.get(PATH, timeout_s=0.5), roamed.put(PATH, {"n": 2}, timeout_s=0.5)):
            began = time.monotonic()
            with pytest.raises(errors.Unavailable) as refused:
                await ask
            assert refused.value.reason == "SESSION_NOT_CAUGHT_UP"
            assert 0.2 < time.monotonic() - began < 5
        assert await _value(home.at("a")) is None, "who has seen nothing of it does not wait"
        waiting = asyncio.create_task(_value(roamed, timeout_s=10))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await home.resume("a")
        assert await waiting == {"n": 1}


@pytest.mark.promise("session.behind")
async def test_the_hub_waits_for_what_the_session_saw_pending_at_an_edge() -> None:
    async with house("a") as home:
        await home.settled()
        await home.pause("a")
        writer = home.at("a")
        receipt = await writer.put(PATH, {"n": 1})
        roamed = home.at("hub", tokens=writer.tokens)
        with pytest.raises(errors.Unavailable) as refused:
            await roamed.get(PATH, timeout_s=0.5)
        assert refused.value.reason == "SESSION_NOT_CAUGHT_UP"
        assert f"{receipt.op_id.origin.hex()}:{receipt.op_id.seq}" in str(refused.value)
        await home.resume("a")
        assert await _value(roamed, timeout_s=10) == {"n": 1}


async def test_a_write_upon_an_old_read_belongs_to_its_session_too() -> None:
    """Its answer's context leaves out what its author had not seen, and with it left it out
    itself: at the next door the session did not wait for it."""
    async with house("a") as home:
        await home.settled()
        await home.pause("a")
        writer = home.at("a")
        await writer.put(PATH, {"n": 1})
        form = await writer.get(PATH)
        assert form is not None
        await writer.put(f"{SPACE}/parts/8", {"n": 2})
        receipt = await writer.patch(PATH, {"m": 3}, based_on=form)
        roamed = home.at("hub", tokens=writer.tokens)
        with pytest.raises(errors.Unavailable) as refused:
            await roamed.get(PATH, timeout_s=0.5)
        assert f"{receipt.op_id.origin.hex()}:{receipt.op_id.seq}" in str(refused.value)
        await home.resume("a")
        assert await _value(roamed, timeout_s=10) == {"n": 1, "m": 3}


# -- being paused ------------------------------------------------------------------------------


async def test_a_pause_while_a_stream_is_begun_is_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """There was no stream yet that it could have ended, and it was forgotten until the next."""
    begin = Uplink._hello

    async def paused_meanwhile(uplink: Uplink) -> Any:
        hello = await begin(uplink)
        await uplink.pause()
        return hello

    async with house("a") as home:
        await home.settled()
        await home.end("a")
        monkeypatch.setattr(Uplink, "_hello", paused_meanwhile)
        await home.start_edge("a")
        await until(lambda: _link_is(home, edge_pb.LINK_STATE_PAUSED))
        monkeypatch.setattr(Uplink, "_hello", begin)
        await home.resume("a")
        await until(lambda: _link_is(home, edge_pb.LINK_STATE_STREAMING))


async def _link_is(home: House, state: int) -> bool:
    return bool((await home.status("a")).link == state)


# -- synced ------------------------------------------------------------------------------------


@pytest.mark.promise("outcome.synced")
@pytest.mark.promise("outcome.told")
async def test_synced_waits_for_what_is_pending_and_for_the_hubs_head() -> None:
    async with house("a", "b") as home:
        here, there = home.at("a"), home.at("b", PERSON)
        await home.pause("a")
        await here.put(PATH, {"n": 1})
        with pytest.raises(errors.DeadlineExceeded):
            await here.synced(SPACE, timeout_s=0.5)
        await home.resume("a")
        await here.synced(SPACE, timeout_s=10)
        assert (await home.status("a")).pending == 0
        for n in range(10):
            written = await there.put(f"{SPACE}/parts/{n}", {"n": n})
            await written.outcome()
            # Decided at the hub before it was asked: then it is here.
            await here.synced(SPACE, timeout_s=10)
            assert await _value(here, f"{SPACE}/parts/{n}") == {"n": n}


# -- without a network -------------------------------------------------------------------------


@pytest.mark.promise("read.eventual.offline")
@pytest.mark.promise("write.eventual.offline")
async def test_nothing_local_waits_for_a_network_that_is_not_there() -> None:
    async with house("a") as home:
        await (await home.at("a").put(PATH, {"n": 1})).outcome()
        await home.end("a", "hub")
        await home.start_edge("a")
        client = home.at("a")
        began = time.monotonic()
        for n in range(20):
            await client.put(PATH, {"n": n})
            assert await _value(client) == {"n": n}
        assert [one.key async for one in client.list(f"{SPACE}/parts")] == ["7"]
        assert len((await client.history(PATH)).entries) >= 1
        assert time.monotonic() - began < 5, "a hub that is away costs no time"
        assert (await home.status("a")).pending == 20


@pytest.mark.promise("rule.downloads-do-not-wait")
async def test_what_others_wrote_comes_while_own_pushes_are_stalled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with house("a") as home:
        await home.settled()
        ingest = home.running["hub"].daemon.ingest
        enqueue, held = ingest.enqueue, []

        def stalled(submission: Any) -> Any:
            if not isinstance(submission, Pushed):
                return enqueue(submission)
            held.append((submission, asyncio.get_running_loop().create_future()))
            return held[-1][1]

        async def arrived() -> bool:
            return await _value(home.at("a")) == {"from": "the hub"}

        with monkeypatch.context() as patched:
            patched.setattr(ingest, "enqueue", stalled)
            for n in range(50):
                await home.at("a").put(f"{SPACE}/own/{n}", {"n": n})
            await home.at("hub").put(PATH, {"from": "the hub"})
            await until(arrived)
            assert (await home.status("a")).pending == 50
        for submission, answer in held:
            answer.set_result(await enqueue(submission))
        await home.settled()


# -- whose cursor it is ------------------------------------------------------------------------


@pytest.mark.promise("rule.edge-owns-cursor")
async def test_the_hub_may_forget_an_edge_and_move_and_nothing_is_sent_again() -> None:
    async with house("a") as home:
        for n in range(20):
            await home.at("hub").put(f"{SPACE}/parts/{n}", {"n": n})
        await home.settled()
        before = await home.status("a")
        assert before.applied == 20
        await home.end("a", "hub")
        _forget_edges(home)
        home.port = 0
        await home.start_hub()
        settings = home.settings["a"]
        moved = insecure(f"127.0.0.1:{home.port}")
        home.settings["a"] = type(settings)(
            settings.data, moved, settings.sockets, settings.name, settings.scopes
        )
        await home.start_edge("a")
        await home.at("a").put(PATH, {"n": 8})
        await until(lambda: _pushed(home))
        after = await home.status("a")
        assert after.applied <= 2, "nothing but what is new"
        assert (after.origin, dict(after.rebuilds)) == (before.origin, {})
        identity = await home.running["a"].daemon.files.in_outbox(_identity)
        assert identity.isdisjoint({before.hub, after.hub, before.hub.encode()})


def _forget_edges(home: House) -> None:
    import sqlite3

    connection = sqlite3.connect(home.root / "hub" / "hub.db")
    with connection:
        connection.execute("DELETE FROM edge_spaces")
        connection.execute("DELETE FROM edges")
    connection.close()


def _identity(connection: Any) -> set[Any]:
    return {cell for row in connection.execute("SELECT * FROM identity") for cell in row}


async def _pushed(home: House) -> bool:
    return (await home.status("a")).pending == 0


# -- whole commits -----------------------------------------------------------------------------


@pytest.mark.promise("seen.atomic")
@pytest.mark.promise("watch.atomic")
async def test_no_reader_at_any_door_sees_half_a_commit() -> None:
    async with house("a", "b") as home:
        writer, names = home.at("a"), [f"{SPACE}/left/1", f"{SPACE}/right/1"]
        await (await writer.commit([Put(name, {"n": 0}) for name in names])).outcome()
        await home.settled()
        done = asyncio.Event()

        async def read(door: str) -> int:
            client, looks = home.at(door), 0
            while not done.is_set():
                found = await client.batch_get(names)
                values = {one.value["n"] for one in found.values()}
                assert (len(found), len(values)) == (2, 1), (door, found)
                looks += 1
            return looks

        async def watched(door: str) -> None:
            async with home.at(door).watch(SPACE) as watch:
                await watch.started()
                async for event in watch:
                    assert isinstance(event, CommitEvent)
                    assert len({change.record.value["n"] for change in event.changes}) == 1
                    assert len(event.changes) == 2
                    if event.changes[0].record.value == {"n": 60}:
                        return

        tasks = [asyncio.create_task(read(door)) for door in ("a", "b", "hub")]
        watches = [asyncio.create_task(watched(door)) for door in ("a", "b", "hub")]
        await asyncio.sleep(0.2)
        for n in range(1, 61):
            await writer.commit([Put(name, {"n": n}) for name in names])
        await asyncio.wait_for(asyncio.gather(*watches), 20)
        done.set()
        assert min(await asyncio.gather(*tasks)) > 0


# -- numbers -----------------------------------------------------------------------------------


@pytest.mark.promise("merge.numbers-survive")
async def test_numbers_survive_the_way_from_door_to_door() -> None:
    text = (
        '{"a":9007199254740993,"b":-170141183460469231731687303715884105728,"c":1,"d":1.0,"e":1e2}'
    )
    async with house("a", "b") as home:
        async with home.at("b").watch(SPACE) as watch:
            await watch.started()
            await (await home.at("a").put(PATH, text)).outcome()
            event = await asyncio.wait_for(anext(aiter(watch)), 10)
        assert isinstance(event, CommitEvent)
        assert event.changes[0].record.json == text
        await home.settled()
        for name in ("a", "b", "hub"):
            found = await home.at(name).get(PATH)
            assert found is not None and found.json == text
        # 1 is another value than 1.0: writing it is a change, and wins and loses as one.
        await (await home.at("b").patch(PATH, '{"c":1.0,"d":1}')).outcome()
        await home.settled()
        found = await home.at("a").get(PATH)
        assert found is not None and '"c":1.0,"d":1,' in found.json


# -- the past ----------------------------------------------------------------------------------


@pytest.mark.promise("read.as-of")
async def test_the_hub_reads_as_of_any_revision() -> None:
    async with house("a") as home:
        client, states = home.at("hub"), []
        for n in range(1, 8):
            if n % 3:
                await client.put(PATH, {"n": n})
            else:
                await client.delete(PATH)
            states.append({"n": n} if n % 3 else None)
        for revision, wanted in enumerate(states, start=1):
            found = await client.get(PATH, as_of=revision)
            assert (None if found is None else found.value) == wanted
            if found is not None:
                assert found.answer is not None and found.answer.position is not None
                assert found.answer.position.revision == revision
        with pytest.raises(errors.HoldfastError) as refused:
            await client.get(PATH, as_of=100)
        assert refused.value.reason == "FUTURE_REVISION"
        with pytest.raises(errors.HoldfastError) as refused:
            await home.at("a").get(PATH, as_of=1)
        assert refused.value.reason in {"NOT_IMPLEMENTED", "HUB_ONLY"}
