"""HoldfastSaver: LangGraph's own conformance suite, and graphs that go on elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("langgraph.checkpoint.conformance", reason="the extra langgraph is absent")

from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.initializer import RegisteredCheckpointer
from langgraph.graph import END, START, StateGraph

from cloud_hub import hub as hubs
from holdfast import AsyncClient, errors
from holdfast.langgraph import HoldfastSaver
from tests.house import SPACE, House, house

pytestmark = pytest.mark.integration

TESTS = 81
"""In langgraph-checkpoint-conformance 0.0.2; that its label says FULL is no proof."""


def registered(address: str, space: str = SPACE) -> RegisteredCheckpointer:
    @checkpointer_test(name="HoldfastSaver")
    async def made() -> AsyncGenerator[HoldfastSaver, None]:
        async with HoldfastSaver(address, space=space) as saver:
            yield saver

    return made


async def conforms(address: str) -> None:
    report = await validate(registered(address))
    failures = [failure for each in report.results.values() for failure in each.failures]
    assert failures == []
    assert sum(each.tests_skipped for each in report.results.values()) == 0
    assert sum(each.tests_passed for each in report.results.values()) == TESTS


@pytest.mark.promise("langgraph.conformance")
async def test_it_conforms_at_an_edge_on_sqlite() -> None:
    async with house("a") as home:
        await conforms(f"unix:{home.socket('a')}")


@asynccontextmanager
async def postgres_hub(dsn: str) -> AsyncIterator[str]:
    async with hubs.started(hubs.HubSettings(listen="127.0.0.1:0", database=dsn)) as hub:
        yield f"127.0.0.1:{hub.port}"
        await hub.drain()


@pytest.mark.promise("langgraph.conformance")
@pytest.mark.needs_postgres
async def test_it_conforms_at_a_hub_on_postgresql(postgres_dsn: str) -> None:
    async with postgres_hub(postgres_dsn) as address:
        await conforms(address)


def saver_at(home: House, name: str) -> HoldfastSaver:
    return HoldfastSaver(f"unix:{home.socket(name)}", space=SPACE)


# -- graphs ------------------------------------------------------------------------------------


def joined(left: list[str], right: list[str]) -> list[str]:
    return left + right


class State(TypedDict):
    steps: Annotated[list[str], joined]
    left: int


def graph_of(saver: HoldfastSaver, stop_before: tuple[str, ...] = ()) -> Any:
    """A graph with a deterministic agent: it works down what is left."""

    def work(state: State) -> dict[str, Any]:
        return {"steps": [f"worked {state['left']}"], "left": state["left"] - 1}

    def report(state: State) -> dict[str, Any]:
        return {"steps": ["done"]}

    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_node("report", report)
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", lambda s: "work" if s["left"] else "report")
    builder.add_edge("report", END)
    return builder.compile(checkpointer=saver, interrupt_before=list(stop_before))


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


DONE = ["worked 3", "worked 2", "worked 1", "done"]


async def test_a_graph_goes_on_at_another_edge() -> None:
    async with house("a", "b") as home:
        async with saver_at(home, "a") as here:
            graph = graph_of(here, ("report",))
            await graph.ainvoke({"steps": [], "left": 3}, config("run"))
            await home.settled()
            async with saver_at(home, "b") as there:
                with pytest.raises(errors.StaleAuthority):
                    await graph_of(there).ainvoke(None, config("run"))
            await here.arelease("run")
            await home.settled()
        async with saver_at(home, "b") as there:
            found = await graph_of(there).ainvoke(None, config("run"))
            assert found["steps"] == DONE
            await home.settled()
        async with HoldfastSaver(f"127.0.0.1:{home.port}", space=SPACE) as hub:
            history = [one async for one in graph_of(hub).aget_state_history(config("run"))]
            assert history[0].values["steps"] == DONE
            assert len(history) == 6


async def test_blocking_graphs_and_those_of_asyncio_share_a_saver(tmp_path: Path) -> None:
    async with house("a") as home, saver_at(home, "a") as saver:
        graph = graph_of(saver, ("report",))
        start: Any = {"steps": [], "left": 3}
        await asyncio.to_thread(graph.invoke, start, config("run"))
        found = await graph_of(saver).ainvoke(None, config("run"))
        assert found["steps"] == DONE
        told = await asyncio.to_thread(lambda: list(saver.list(config("run"), limit=2)))
        assert [t.metadata["step"] for t in told] == [4, 3]
        ids = [t.checkpoint["id"] async for t in saver.alist(None)]
        assert len(ids) == 6


async def test_a_channel_that_did_not_change_costs_nothing() -> None:
    async with house("a") as home:
        async with saver_at(home, "a") as saver:
            large = bytes(range(256)) * 4_000
            first = {**empty_checkpoint(), "channel_values": {"large": large, "n": 1}}
            first["channel_versions"] = {"large": 1, "n": 1}
            at = await saver.aput(config("t"), first, {"step": 0}, {"large": 1, "n": 1})  # type: ignore[arg-type]
            second = {**empty_checkpoint(), "channel_values": {"large": large, "n": 2}}
            second["channel_versions"] = {"large": 1, "n": 2}
            at = await saver.aput(at, second, {"step": 1}, {"n": 2})  # type: ignore[arg-type]
            found = await saver.aget_tuple(at)
            assert found is not None
            assert found.checkpoint["channel_values"] == {"large": large, "n": 2}
        client: AsyncClient = home.at("a")
        newest, oldest = [c async for c in client.checkpoints.list("t", space=SPACE)]
        assert newest.stored == 0 < oldest.stored


async def test_many_channels_with_long_names_and_odd_metadata_come_back() -> None:
    async with house("a") as home, saver_at(home, "a") as saver:
        channels = {f"{n}" * 60: n for n in range(300)} | {"short": {1, 2}}
        made = {**empty_checkpoint(), "channel_values": channels}
        versions = dict.fromkeys(channels, 1)
        made["channel_versions"] = versions
        odd: Any = {"step": 1, "writes_seen": {(1, 2): b"x"}, "run_id": "r", "x": float("nan")}
        at = await saver.aput(config("t"), made, odd, versions)  # type: ignore[arg-type]
        found = await saver.aget_tuple(at)
        assert found is not None
        assert found.checkpoint["channel_values"] == channels
        assert found.metadata["writes_seen"] == odd["writes_seen"]  # type: ignore[typeddict-item]
        listed = [t async for t in saver.alist(config("t"), filter={"run_id": "r"})]
        assert len(listed) == 1
        await saver.aput_writes(at, [("large", "y" * 5_000_000)], "task", "path")
        found = await saver.aget_tuple(at)
        assert found is not None and found.pending_writes is not None
        assert found.pending_writes[0] == ("task", "large", "y" * 5_000_000)
