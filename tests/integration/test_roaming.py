"""Sessions that move: from an edge to another, to the hub, and back, while what they have seen is
decided, undecided, refused, out of scope, or lost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cloud_hub import epochs
from cloud_hub.storage.sqlite import SqliteDriver
from holdfast import AsyncClient, Expect, errors
from holdfast.client import Context
from sync.messages import Scope
from sync.position import Position
from sync.session import SessionToken
from tests.house import PERSON, SPACE, House, house, until

pytestmark = pytest.mark.integration

PATH = f"{SPACE}/parts/7"


async def value(client: AsyncClient, path: str = PATH, **options: Any) -> Any:
    found = await client.get(path, **options)
    return None if found is None else found.value


async def refusal(asking: Any, kind: type[errors.HoldfastError] = errors.Unavailable) -> Any:
    with pytest.raises(kind) as refused:
        await asking
    return refused.value


async def with_pending(home: House, name: str = "a") -> tuple[AsyncClient, str]:
    """A session with a write that is undecided at an edge which has left its hub; and the name
    under which it is pending."""
    await home.settled()
    await home.pause(name)
    writer = home.at(name)
    receipt = await writer.put(PATH, {"n": 1})
    assert await value(writer) == {"n": 1}
    return writer, f"{receipt.op_id.origin.hex()}:{receipt.op_id.seq}"


@pytest.mark.promise("session.roaming")
@pytest.mark.promise("session.pending-elsewhere")
@pytest.mark.parametrize("door", ["b", "hub"])
async def test_what_is_pending_elsewhere_is_waited_for_and_named(door: str) -> None:
    async with house("a", "b") as home:
        writer, name = await with_pending(home)
        roamed = home.at(door, tokens=writer.token)
        for ask in (
            lambda: roamed.get(PATH, timeout_s=0.5),
            lambda: roamed.get(f"{SPACE}/other/1", timeout_s=0.5),
            lambda: roamed.put(f"{SPACE}/parts/8", {}, timeout_s=0.5),
        ):
            began = time.monotonic()
            refused = await refusal(ask())
            assert refused.reason == "SESSION_NOT_CAUGHT_UP"
            assert refused.metadata["pending"] == name and name in refused.message
            assert time.monotonic() - began < 30
        assert await value(home.at(door)) is None, "who has not seen it does not wait"
        waiting = asyncio.create_task(value(roamed, timeout_s=30))
        await home.resume("a")
        assert await waiting == {"n": 1}
        # Writes follow reads, and each other: across doors in the order of the session.
        second = await roamed.put(PATH, {"n": 2})
        back = home.at("a", tokens=roamed.token)
        assert await value(back, timeout_s=30) == {"n": 2}
        third = await back.put(PATH, {"n": 3})
        outcomes = [await receipt.outcome() for receipt in (second, third)]
        places = [one.position.revision for one in outcomes if one.position]
        assert places == sorted(places) and [one.kind for one in outcomes] == ["applied"] * 2
        assert await value(home.at("hub", tokens=back.token), timeout_s=30) == {"n": 3}


@pytest.mark.promise("session.roaming")
async def test_a_token_forgets_what_is_decided() -> None:
    """Else it would grow with every edge that its holder has been at."""
    async with house("a", "b") as home:
        session = home.at("a")
        for n in range(3):
            await (await session.put(PATH, {"n": n})).outcome()
            for door in ("b", "hub", "a"):
                session = home.at(door, tokens=session.token)
                assert await value(session, timeout_s=30) == {"n": n}
        from sync.session import decode_token

        assert decode_token(session.tokens[SPACE]).pending == {}


@pytest.mark.promise("session.roaming")
async def test_nobody_waits_for_what_was_refused_or_is_outside_the_scope() -> None:
    async with house("a") as home:
        await home.start_edge("b", {SPACE: Scope(whole=False, collections=frozenset({"parts"}))})
        await home.at("hub").put(PATH, {"n": 0})
        await home.settled("a")
        await home.pause("a")
        writer = home.at("a")
        await writer.put(f"{SPACE}/others/1", {"n": 1})
        # True here, and false at the hub: the commit will be rejected there.
        await writer.put(PATH, {"n": 9}, expect=[Expect.absent(f"{SPACE}/parts/8")])
        await home.at("hub").put(f"{SPACE}/parts/8", {})
        roamed = home.at("b", tokens=writer.token)
        refused = await refusal(roamed.get(PATH, timeout_s=0.5))
        assert refused.reason == "SESSION_NOT_CAUGHT_UP" and refused.metadata["pending"]
        await home.resume("a")
        assert await value(roamed, timeout_s=30) == {"n": 0}, "it was refused, and is decided"
        # Not known by this edge's own tail, since not all of it is here.
        again = home.at("b", tokens=writer.token)
        assert await value(again, f"{SPACE}/parts/8", timeout_s=30) == {}


@pytest.mark.promise("session.writes-lost")
async def test_what_was_declared_lost_is_told_at_every_door() -> None:
    async with house("a", "b") as home:
        await home.settled()
        await home.pause("a")
        writer = home.at("a")
        receipts = [await writer.put(f"{SPACE}/parts/{n}", {"n": n}) for n in range(4)]
        before = writer.token
        files = home.running["a"].daemon.files
        outbox, origin = files.outbox, receipts[0].op_id.origin
        ordinal, lost = outbox.ordinals[origin], receipts[1].op_id.seq
        await files.in_outbox(
            lambda c: outbox.declare_void(c, SPACE, ordinal, lost, 2, "OUTBOX_DAMAGED")
        )
        name = f"{origin.hex()}:{lost}-{lost + 1}"

        async def told(door: str, token: str) -> None:
            session = home.at(door, tokens=token)
            for ask in (
                session.get(f"{SPACE}/parts/0", timeout_s=20),
                session.put(f"{SPACE}/parts/9", {}, timeout_s=20),
            ):
                refused = await refusal(ask, errors.PreconditionFailed)
                assert refused.reason == "WRITES_LOST"
                assert refused.metadata["lost"] == name and refused.metadata["count"] == "2"
            assert await value(home.at(door), f"{SPACE}/others/1") is None, "a new session goes on"

        await told("a", before)
        await home.resume("a")
        for door in ("hub", "b", "a"):
            await told(door, before)
        # Who comes after the loss has not seen what was lost.
        await home.settled()
        later = home.at("a")
        await later.put(f"{SPACE}/parts/5", {"n": 5})
        for door in ("a", "b", "hub"):
            roamed = home.at(door, tokens=later.token)
            assert await value(roamed, f"{SPACE}/parts/5", timeout_s=30) == {"n": 5}


@pytest.mark.promise("session.epoch-changed")
async def test_a_token_above_the_fork_is_refused_and_one_below_is_not() -> None:
    async with house("a") as home:
        for n in range(3):
            await home.at("hub").put(PATH, {"n": n})
        await home.settled()
        early = home.at("a")
        assert await value(early) == {"n": 2}
        await home.end("hub")
        driver = await SqliteDriver.open(home.root / "hub" / "hub.db", 0)
        lineage = await driver.write(
            lambda tx: epochs.declare(tx, b"f" * 16, 0, "a drill", "", if_needed=False)
        )
        await driver.close()
        fork = lineage.present.forks[SPACE]
        await home.start_hub()
        await until(lambda: home.running["a"].daemon.uplink.away_ms == 0)
        await home.at("hub").put(PATH, {"n": 3})
        seen = SessionToken({SPACE: Position(1, SPACE, fork + 5)}).encode()
        for door in ("hub", "a"):
            await until(lambda: len(home.running["a"].daemon.files.outbox.lineage) == 2)
            session = home.at(door, tokens={SPACE: seen})
            refused = await refusal(session.get(PATH, timeout_s=20), errors.PreconditionFailed)
            assert refused.reason == "EPOCH_CHANGED"
            gone = (refused.metadata["first_gone"], refused.metadata["last_gone"])
            assert gone == (str(fork + 1), str(fork + 5)) and "epoch 1" in refused.message
            # What both histories share stays seen.
            shared = home.at(door, tokens=early.token)
            assert await value(shared, timeout_s=30) in ({"n": 2}, {"n": 3})
        assert await value(home.at("a"), level="strong", timeout_s=30) == {"n": 3}


@pytest.mark.promise("time.ancestor-loses")
@pytest.mark.parametrize("door", ["b", "hub"])
async def test_a_write_on_what_is_undecided_elsewhere_waits_for_it(door: str) -> None:
    """Without a session, too: a context that names it is enough. Decided first, the write would
    lose to what its author had seen, if the other device's clock is fast."""
    async with house("a", "b") as home:
        writer, name = await with_pending(home)
        seen = await writer.get(PATH)
        assert seen is not None and isinstance(seen.context, Context) and seen.context.seen
        stranger = home.at(door, PERSON)
        refused = await refusal(stranger.put(PATH, {"n": 2}, based_on=seen, timeout_s=0.5))
        assert refused.reason == "SESSION_NOT_CAUGHT_UP" and refused.metadata["pending"] == name
        await home.resume("a")
        receipt = await home.at(door, PERSON).put(PATH, {"n": 2}, based_on=seen, timeout_s=30)
        assert (await receipt.outcome()).kind == "applied"
        await home.settled()
        assert await value(home.at("hub")) == {"n": 2}


@pytest.mark.promise("session.roaming")
async def test_an_absence_that_was_seen_stays_seen() -> None:
    async with house("a", "b") as home:
        hub = home.at("hub")
        await hub.put(PATH, {"n": 1})
        await home.settled()
        await home.pause("b")
        await hub.delete(PATH)
        session = home.at("hub")
        assert await value(session) is None
        refused = await refusal(home.at("b", tokens=session.token).get(PATH, timeout_s=0.5))
        assert refused.reason == "SESSION_NOT_CAUGHT_UP"
        await home.resume("b")
        assert await value(home.at("b", tokens=session.token), timeout_s=30) is None
