"""Strong and bounded reads at edges: what they hold, and what is answered where they cannot.

Clocks are those of the test where a machine's would have to be set or rebooted; what needs a
process that is frozen or killed is in tests/acceptance.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import AsyncClient, errors
from holdfast.host.clock import BootClock
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from sync.messages import Scope
from tests.house import PERSON, SPACE, House, house, until

pytestmark = pytest.mark.integration

PATH = f"{SPACE}/parts/7"


class TurnedClock(BootClock):
    """A machine's clocks, set forward by a test."""

    __slots__ = ("boot_forward_ms", "wall_forward_ms")

    def __init__(self) -> None:
        self.boot_forward_ms = self.wall_forward_ms = 0

    def forward(self, ms: int) -> None:
        """Time passes, on both."""
        self.boot_forward_ms += ms
        self.wall_forward_ms += ms

    def boot_ns(self) -> int:
        return super().boot_ns() + self.boot_forward_ms * 1_000_000

    def wall_ms(self) -> int:
        return super().wall_ms() + self.wall_forward_ms


async def value(client: AsyncClient, path: str = PATH, **options: Any) -> Any:
    found = await client.get(path, **options)
    return None if found is None else found.value


@contextlib.asynccontextmanager
async def settled_house(
    *names: str, clocks: dict[str, TurnedClock] | None = None
) -> AsyncIterator[House]:
    async with house(*names, clocks=clocks) as home:
        await home.settled()
        yield home


async def known(home: House, name: str) -> int:
    """The age at most of what an edge holds, once it is known."""

    async def look() -> int | None:
        space = (await home.status(name)).spaces[0]
        return space.staleness_ms + 1 if space.HasField("staleness_ms") else None

    return int(await until(look)) - 1


async def refusal(asking: Any, kind: type[errors.HoldfastError] = errors.Unavailable) -> Any:
    with pytest.raises(kind) as refused:
        await asking
    return refused.value


# -- strong ------------------------------------------------------------------------------------


@pytest.mark.promise("read.strong")
async def test_a_strong_read_holds_all_that_was_acknowledged_before_it() -> None:
    """At the hub, at another edge, and at the edge itself; over and over."""
    async with settled_house("a", "b") as home:
        here, there, hub = home.at("a"), home.at("b", PERSON), home.at("hub", PERSON)
        for n in range(25):
            await hub.put(PATH, {"n": n})
            assert await value(here, level="strong") == {"n": n}
            decided = await there.put(f"{SPACE}/parts/8", {"n": n})
            await decided.outcome()
            assert await value(here, f"{SPACE}/parts/8", level="strong") == {"n": n}
            await home.at("a", PERSON).put(f"{SPACE}/parts/9", {"n": n})
            found = await home.at("a").get(f"{SPACE}/parts/9", level="strong")
            assert found is not None and found.value == {"n": n}
            assert not found.version.pending and found.answer is not None
            assert found.answer.level == "strong" and not found.answer.includes_pending


@pytest.mark.promise("read.strong")
async def test_what_became_pending_after_the_request_is_not_in_a_strong_read() -> None:
    """The hub has not decided it: whoever reads it as decided might see it lose."""
    async with settled_house("a") as home:
        here = home.at("a")
        await (await here.put(PATH, {"n": 1})).outcome()
        uplink = home.running["a"].daemon.uplink
        push, uplink._stream._push_next = uplink._stream._push_next, _nothing
        asked = asyncio.create_task(here.get(PATH, level="strong", timeout_s=20))
        await until(lambda: uplink._asked_ns > 0 or asked.done())
        await home.at("a", PERSON).put(PATH, {"n": 2})
        found = await asked
        assert found is not None and found.value == {"n": 1} and found.context is not None
        assert found.context.seen == (), "and it is not said to have been seen"
        assert await value(here) == {"n": 2}, "which an eventual read shows"
        uplink._stream._push_next = push


async def _nothing() -> bool:
    return False


@pytest.mark.promise("read.strong.flush")
async def test_what_is_pending_and_cannot_be_decided_fails_the_read_by_name() -> None:
    async with settled_house("a") as home:
        here = home.at("a")
        uplink = home.running["a"].daemon.uplink
        uplink._stream._push_next = _nothing
        receipt = await here.put(PATH, {"n": 1})
        refused = await refusal(here.get(PATH, level="strong", timeout_s=1))
        assert refused.reason == "FLUSH_FAILED"
        assert f"{receipt.op_id.origin.hex()}:{receipt.op_id.seq}" in refused.message


@pytest.mark.promise("read.strong.unreachable")
async def test_without_a_hub_a_strong_read_is_refused_at_once() -> None:
    async with settled_house("a") as home:
        await home.at("a").put(PATH, {"n": 1})
        await home.settled()
        await home.end("hub")
        await until(lambda: home.running["a"].daemon.uplink.away_ms > 1_000)
        for ask in (
            lambda: home.at("a").get(PATH, level="strong", timeout_s=60),
            lambda: home.at("a").batch_get([PATH], level="strong", timeout_s=60),
            lambda: _listed(home.at("a"), level="strong", timeout_s=60),
        ):
            began = time.monotonic()
            refused = await refusal(ask())
            assert refused.reason == "HUB_UNREACHABLE" and refused.retry_after_s
            assert time.monotonic() - began < 30
        assert await value(home.at("a")) == {"n": 1}, "what is here is still read"
        await home.start_hub()
        await until(lambda: home.running["a"].daemon.uplink.away_ms == 0)
        assert await value(home.at("a"), level="strong", timeout_s=20) == {"n": 1}


async def _listed(client: AsyncClient, **options: Any) -> list[Any]:
    return [one async for one in client.list(f"{SPACE}/parts", **options)]


@pytest.mark.promise("read.strong")
@pytest.mark.promise("scope.read-forwarded")
async def test_an_edge_of_a_part_reads_its_part_and_hands_on_the_rest() -> None:
    async with house() as home:
        await home.start_edge("a", {SPACE: Scope(whole=False, collections=frozenset({"parts"}))})
        hub, here = home.at("hub", PERSON), home.at("a")
        for n in range(5):
            await hub.put(f"{SPACE}/others/1", {"n": n})
            await hub.put(PATH, {"n": n})
            await hub.put(f"{SPACE}/others/1", {"n": n + 1})
            assert await value(here, level="strong", timeout_s=20) == {"n": n}
            found = await here.get(f"{SPACE}/others/1", level="strong")
            assert found is not None and found.value == {"n": n + 1}
            assert found.answer is not None and found.answer.level == "strong"
        both = await here.batch_get([PATH, f"{SPACE}/others/1"], level="strong")
        assert {one.answer.level for one in both.values() if one.answer} == {"strong"}
        assert len(both) == 2
        await hub.put("elsewhere/parts/1", {"n": 1})
        assert await value(here, "elsewhere/parts/1", level="strong") == {"n": 1}
        assert await here.get("elsewhere/parts/2", level="strong") is None
        assert [
            r.value async for r in here.list(f"{SPACE}/others", level="strong", page_size=1)
        ] == [{"n": 5}]
        # The hub's refusals come through as they are.
        refused = await refusal(
            _filtered(here, f"{SPACE}/others", "value."), errors.InvalidArgument
        )
        assert refused.reason == "FILTER_INVALID"
        weaker: tuple[dict[str, Any], ...] = ({}, {"max_staleness": 60})
        for options in weaker:
            refused = await refusal(
                here.get(f"{SPACE}/others/1", **options), errors.PreconditionFailed
            )
            assert refused.reason == "OUT_OF_SCOPE"
        await home.end("hub")
        await until(lambda: home.running["a"].daemon.uplink.away_ms > 1_000)
        refused = await refusal(here.get(f"{SPACE}/others/1", level="strong"))
        assert refused.reason == "HUB_UNREACHABLE"


async def _filtered(client: AsyncClient, path: str, text: str) -> list[Any]:
    return [one async for one in client.list(path, filter=text, level="strong")]


@pytest.mark.promise("read.strong")
async def test_many_strong_reads_share_their_questions() -> None:
    async with settled_house("a") as home:
        await home.at("hub").put(PATH, {"n": 1})
        greeter = home.running["hub"].daemon.replication.greeter
        asked, heartbeat = [], greeter.heartbeat

        async def counted(beat: Any, spaces: Any) -> Any:
            asked.append(beat.nonce)
            return await heartbeat(beat, spaces)

        greeter.heartbeat = counted
        here = home.at("a")
        found = await asyncio.gather(*(value(here, level="strong") for _ in range(200)))
        assert found == [{"n": 1}] * 200
        assert 1 <= len(asked) < 100


# -- bounded -----------------------------------------------------------------------------------


@pytest.mark.promise("read.bounded")
async def test_a_bounded_read_is_served_from_what_is_proven_or_asks_the_hub() -> None:
    clock = TurnedClock()
    async with settled_house("a", clocks={"a": clock}) as home:
        here, hub = home.at("a"), home.at("hub", PERSON)
        await hub.put(PATH, {"n": 1})
        await home.settled()
        await known(home, "a")
        local = await here.get(PATH, max_staleness=60, local_only=True)
        assert local is not None and local.answer is not None and local.value == {"n": 1}
        assert local.answer.level == "bounded" and (local.answer.staleness_ms or 0) <= 60_000
        # No time at all: nothing but a question after the request proves that.
        await hub.put(PATH, {"n": 2})
        assert await value(here, max_staleness=0) == {"n": 2}
        await hub.put(PATH, {"n": 3})
        assert await value(here, max_staleness=0, max_behind=0) == {"n": 3}


@pytest.mark.promise("read.bounded")
async def test_a_bounded_read_has_its_own_pending_writes() -> None:
    async with settled_house("a") as home:
        await known(home, "a")
        await home.pause("a")
        await home.at("a").put(PATH, {"n": 1})
        found = await home.at("a").get(PATH, max_staleness=300)
        assert found is not None and found.value == {"n": 1} and found.version.pending
        assert found.answer is not None and found.answer.includes_pending


@pytest.mark.promise("read.bounded")
@pytest.mark.promise("read.bounded.unprovable")
async def test_a_bound_that_cannot_be_proven_is_refused_with_the_best_that_can() -> None:
    clock = TurnedClock()
    async with settled_house("a", clocks={"a": clock}) as home:
        here = home.at("a")
        await (await here.put(PATH, {"n": 1})).outcome()
        await known(home, "a")
        await home.pause("a")
        clock.forward(30_000)
        assert await value(here, max_staleness=300) == {"n": 1}
        tight: tuple[dict[str, Any], ...] = (
            {"max_staleness": 20},
            {"max_staleness": 20, "local_only": True},
        )
        for options in tight:
            refused = await refusal(here.get(PATH, **options))
            assert refused.reason == "BOUND_UNPROVABLE"
            assert 30_000 <= int(refused.metadata["staleness_ms"]) < 300_000
            assert await value(here, max_staleness=300) == {"n": 1}
        await home.resume("a")
        await until(lambda: home.running["a"].daemon.uplink.away_ms == 0)
        assert await value(here, max_staleness=20) == {"n": 1}


@pytest.mark.promise("read.bounded")
async def test_a_backlog_that_is_known_of_is_counted() -> None:
    """With the intake held up: the hub has told of a head that is not applied."""
    async with settled_house("a") as home:
        here, hub = home.at("a"), home.at("hub", PERSON)
        await known(home, "a")
        assert await value(here, max_behind=0, local_only=True) is None
        agent = home.running["a"].daemon
        applied, held = agent.intake.apply, asyncio.Event()

        async def later(*given: Any) -> Any:
            await held.wait()
            return await applied(*given)

        agent.intake.apply = later
        for n in range(3):
            await hub.put(PATH, {"n": n})
        assert await value(here, max_behind=3) is None
        refused = await refusal(here.get(PATH, max_behind=0, timeout_s=1))
        assert refused.reason == "BOUND_UNPROVABLE" and int(refused.metadata["behind"]) >= 1
        held.set()
        assert await value(here, max_behind=0, max_staleness=0) == {"n": 2}


@pytest.mark.promise("read.bound-without-clocks")
async def test_a_reboot_a_restart_and_a_jump_leave_nothing_proven() -> None:
    clock = TurnedClock()
    async with settled_house("a", clocks={"a": clock}) as home:
        here = home.at("a")
        await (await here.put(PATH, {"n": 1})).outcome()
        await known(home, "a")
        await home.pause("a")
        assert await value(here, max_staleness=300, local_only=True) == {"n": 1}
        clock.wall_forward_ms += 60_000  # a paused machine that goes on, or a clock that was set
        for _ in range(2):
            refused = await refusal(here.get(PATH, max_staleness=300, local_only=True))
            assert refused.reason == "BOUND_UNPROVABLE" and "staleness_ms" not in refused.metadata
            clock.wall_forward_ms -= 60_000  # set back: what was forgotten stays forgotten
        assert not (await home.status("a")).spaces[0].HasField("staleness_ms")
        await home.resume("a")
        await known(home, "a")
        await home.pause("a")
        # A restart; and a reboot, after which the boot clock begins anew.
        for boot_ms in (0, -(BootClock().boot_ns() // 1_000_000) + 5_000):
            await home.end("a")
            clock.boot_forward_ms += boot_ms
            await home.start_edge("a")
            here = home.at("a")
            refused = await refusal(here.get(PATH, max_staleness=10**6, local_only=True))
            assert refused.reason == "BOUND_UNPROVABLE" and "staleness_ms" not in refused.metadata
            assert await value(here) == {"n": 1}
        await home.resume("a")
        await until(lambda: home.running["a"].daemon.uplink.away_ms == 0)
        assert await value(home.at("a"), max_staleness=300) == {"n": 1}


@pytest.mark.promise("read.bound-without-clocks")
async def test_a_device_whose_clock_is_wrong_by_years_gets_the_same_answers() -> None:
    clock = TurnedClock()
    clock.wall_forward_ms = -20 * 365 * 86_400_000
    async with settled_house("a", clocks={"a": clock}) as home:
        await home.at("hub").put(PATH, {"n": 1})
        assert await value(home.at("a"), max_staleness=0) == {"n": 1}
        assert await known(home, "a") < 300_000


@pytest.mark.promise("answer.evidence")
async def test_status_shows_the_bound_live() -> None:
    clock = TurnedClock()
    async with settled_house("a", clocks={"a": clock}) as home:
        first = await known(home, "a")
        await home.pause("a")
        clock.forward(50_000)
        assert await known(home, "a") >= max(50_000, first)


@pytest.mark.promise("read.strong")
async def test_a_page_is_strong_by_itself() -> None:
    async with settled_house("a") as home:
        hub, here = home.at("hub", PERSON), home.at("a")
        for n in range(4):
            await hub.put(f"{SPACE}/parts/{n}", {"n": n})
        seen = []
        async for one in here.list(f"{SPACE}/parts", page_size=2, level="strong"):
            seen.append(one.value["n"])
            if len(seen) == 1:
                await hub.put(f"{SPACE}/parts/9", {"n": 9})
        assert seen == [0, 1, 2, 3, 9]


@pytest.mark.promise("read.strong")
async def test_the_hubs_own_door_serves_every_level() -> None:
    async with house() as home:
        hub = home.at("hub")
        await hub.put(PATH, {"n": 1})
        for options in ({"level": "strong"}, {"max_staleness": 0, "max_behind": 0}, {}):
            found = await hub.get(PATH, **options)
            assert found is not None and found.answer is not None
            assert found.answer.level == options.get("level", "bounded" if options else "strong")
            assert found.answer.staleness_ms == 0
        request = pb.GetRequest(space=SPACE, collection="parts", key="7", level=record.LEVEL_STRONG)
        answer: Any = await hub.request("StateService.Get", request)
        assert answer.answer.level == record.LEVEL_STRONG


# -- what a collection allows ------------------------------------------------------------------


@pytest.mark.promise("level.minimum-read")
async def test_a_collection_says_how_weakly_it_may_be_read() -> None:
    async with settled_house("a") as home:
        here = home.at("a")
        await home.set_policy("orders", '{"min_read_level":"strong"}')
        bound = '"read_bound":{"max_staleness_ms":60000}'
        await home.set_policy("parts", f'{{"min_read_level":"bounded",{bound}}}')
        await home.set_policy("notes", '{"default_level":"strong"}')
        await home.settled()
        await until(lambda: home.running["a"].daemon._policies_of(SPACE).declared("notes"))
        for path, options in (
            ("orders/1", {"level": "eventual"}),
            ("orders/1", {"max_staleness": 1}),
            ("parts/1", {"level": "eventual"}),
            ("parts/1", {"max_staleness": 61}),
            ("parts/1", {"max_behind": 1}),
        ):
            refused = await refusal(
                here.get(f"{SPACE}/{path}", **options), errors.PreconditionFailed
            )
            assert refused.reason == "LEVEL_NOT_PERMITTED", (path, options)
        refused = await refusal(
            here.batch_get([f"{SPACE}/notes/1", f"{SPACE}/orders/1"], level="eventual"),
            errors.PreconditionFailed,
        )
        assert refused.reason == "LEVEL_NOT_PERMITTED", "the strongest of what is read"
        # Who names no level gets what the collection asks for.
        for name, level in (("orders", "strong"), ("parts", "bounded"), ("notes", "strong")):
            await home.at("hub").put(f"{SPACE}/{name}/1", {"n": 1})
            found = (
                await here.get(f"{SPACE}/{name}/1", max_staleness=0)
                if name == "parts"
                else (await here.get(f"{SPACE}/{name}/1"))
            )
            assert found is not None and found.answer is not None
            assert found.answer.level == level and found.value == {"n": 1}
        found = await here.get(f"{SPACE}/parts/1")
        assert found is not None and found.answer is not None and found.answer.level == "bounded"
        assert (await here.batch_get([f"{SPACE}/parts/1", f"{SPACE}/orders/1"])).keys()
        assert await here.get(f"{SPACE}/notes/2", level="eventual") is None, "no minimum there"
