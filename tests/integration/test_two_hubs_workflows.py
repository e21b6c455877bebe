"""Two hub processes on one PostgreSQL are one node: either advances a workflow, each step is done
once, and what was asked of the hub is carried out once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from cloud_hub.hub import HubSettings, started
from holdfast import AsyncClient, Workflow
from holdfast.errors import TransitionNotAllowed
from sync.authority import REQUESTS
from sync.doors import workflow_children, workflow_errands
from tests.house import until

pytestmark = pytest.mark.needs_postgres


@asynccontextmanager
async def both(dsn: str) -> AsyncIterator[tuple[AsyncClient, AsyncClient]]:
    """A client at each of two hubs."""
    settings = HubSettings("127.0.0.1:0", database=dsn)
    async with started(settings) as one, started(settings) as other:
        stop = asyncio.Event()
        running = [asyncio.create_task(hub.run(stop)) for hub in (one, other)]
        try:
            async with (
                AsyncClient(f"127.0.0.1:{one.port}", actor=("anna", "human")) as here,
                AsyncClient(f"127.0.0.1:{other.port}", actor=("bert", "human")) as there,
            ):
                yield here, there
        finally:
            stop.set()
            await asyncio.gather(*running)


@pytest.mark.promise("workflow.one-advances")
async def test_each_step_is_done_once_at_whichever_hub(postgres_dsn: str) -> None:
    async with both(postgres_dsn) as (here, there):
        await here.workflows.create("job")
        await there.workflows.transition("job", "run")
        for event in ("prepared", "executed", "validated"):
            tries = [hub.workflows.transition("job", event) for hub in (here, there) * 4]
            answers = await asyncio.gather(*tries, return_exceptions=True)
            assert sum(isinstance(one, Workflow) for one in answers) == 1
            assert sum(isinstance(one, TransitionNotAllowed) for one in answers) == 7
        past = await here.workflows.history("job")
        assert [one.act.event for one in reversed(past.entries)] == [
            "created", "run", "prepared", "executed", "validated",
        ]  # fmt: skip


@pytest.mark.promise("workflow.children-asked")
async def test_what_is_asked_of_the_hub_is_carried_out_once(
    postgres_dsn: str, monkeypatch: Any
) -> None:
    # So few that a child's own children do not fit, and the child is asked.
    monkeypatch.setattr(workflow_children, "MAX_CONDITIONS", 8)
    monkeypatch.setattr(workflow_errands, "MAX_CONDITIONS", 12)
    async with both(postgres_dsn) as (here, there):
        await here.workflows.create("line")
        await here.workflows.create("cell", parent="line")
        for number in range(6):
            await there.workflows.create(f"arm-{number}", parent="cell")
        await there.workflows.transition("line", "cancel")

        async def done() -> bool:
            return [one async for one in here.list(f"default/{REQUESTS}")] == []

        await until(done)
        for name in ("cell", *(f"arm-{number}" for number in range(6))):
            await until(partial(_cancelled, here, name))
            past = await here.workflows.history(name)
            assert [one.act.event for one in past.entries] == ["cancel", "created"]


async def _cancelled(client: AsyncClient, name: str) -> bool:
    return (await client.workflows.load_workflow_state(name)).status == "cancelled"
