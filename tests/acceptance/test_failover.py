"""A primary that dies, and a promoted standby that was behind it: the newest commits are gone from
the database, and no hub process, edge or session goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import AsyncClient, errors
from sync.messages import Scope
from tests import postgres
from tests.acceptance.programs import run
from tests.convergence import edge_status, settled
from tests.daemons import EdgeProcess, HubProcess
from tests.house import until

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.needs_postgres,
    pytest.mark.promise("hub.timeline"),
    pytest.mark.promise("hub.fork-reported"),
]

SPACE = "default"
PART = f"{SPACE}/parts"
PATIENCE_S = 60.0


@pytest.fixture
def pair() -> Iterator[postgres.Pair]:
    try:
        made = postgres.Pair()
    except postgres.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield made
    finally:
        made.close()


async def test_a_promoted_standby_that_was_behind(pair: postgres.Pair, tmp_path: Path) -> None:
    with contextlib.ExitStack() as processes:
        dsn = pair.server.dsn
        hubs = [HubProcess(tmp_path / f"hub{n}", database=dsn) for n in range(2)]
        for hub in hubs:
            processes.enter_context(hub)
        edge = EdgeProcess(",".join(hub.address for hub in hubs), tmp_path / "a")
        processes.enter_context(edge)
        async with hubs[0].client() as one, hubs[1].client() as other, edge.client() as device:
            await one.put(f"{PART}/1", {"n": 1})
            await _settled(one, device)
            pair.back_up()
            await one.put(f"{PART}/1", {"n": 2})
            await device.put(f"{PART}/mine", {"n": 1})
            await _settled(one, device)
            await other.put(f"{PART}/2", {"n": 2})
            assert (await other.get(f"{PART}/1")).value == {"n": 2}  # type: ignore[union-attr]
            await _settled(other, device)
            pair.fail_over()
            await _refused(hubs)
            await device.put(f"{PART}/mine", {"n": 2})  # an edge takes writes meanwhile
            declared = run("cloud-hub", "epochs", "declare", "--hub", hubs[1].address, "--reason",
                           "failover", "--actor", "ann", "--json")  # fmt: skip
            assert (declared.code, declared.json["forks"]) == (0, {SPACE: 1})
            with pytest.raises(errors.PreconditionFailed, match="EPOCH_CHANGED"):
                await other.get(f"{PART}/1")
            await until(lambda: _rebuilt(device), PATIENCE_S)
            async with hubs[0].client() as anew:
                await anew.put(f"{PART}/3", {"n": 3})
                await _settled(anew, device)
                found = [(one.key, one.value["n"]) async for one in anew.list(PART)]
                # What an edge had acknowledged is there, what only the old primary had is not.
                assert found == [("1", 1), ("3", 3), ("mine", 2)]
            _shown(hubs[0])


async def _settled(hub: AsyncClient, device: AsyncClient) -> None:
    await settled(hub, {"a": device}, {"a": {SPACE: Scope()}}, PATIENCE_S)


async def _refused(hubs: list[HubProcess]) -> None:
    """Until an epoch is declared nothing is read or written, least of all the older state."""
    for hub in hubs:
        async with hub.client() as client:

            async def stopped(door: AsyncClient = client) -> bool:
                try:
                    found = await door.get(f"{PART}/1", timeout_s=5)
                except errors.HoldfastError as error:
                    return error.reason == "SPACE_STOPPED"
                raise AssertionError(f"stale: {found}")

            await until(stopped, PATIENCE_S)
            with pytest.raises(errors.Unavailable, match="SPACE_STOPPED"):
                await client.put(f"{PART}/9", {"n": 9}, timeout_s=3)


async def _rebuilt(device: AsyncClient) -> bool:
    status = await edge_status(device)
    return "FORK_DETECTED" in status.rebuilds


def _shown(hub: HubProcess) -> None:
    """What a person is told of it afterwards."""
    listed = run("cloud-hub", "epochs", "list", "--hub", hub.address, "--json").lines
    assert [(e["epoch"], e["after"], e["timeline"]) for e in listed] == [(1, 0, 1), (2, 1, 2)]
    assert (listed[1]["reason"], listed[1]["by"]) == ("failover", "ann:human")
    signs = run("cloud-hub", "epochs", "signs", "--hub", hub.address, "--json").lines
    (sign,) = [sign for sign in signs if sign["witness"] == "edge a"]
    assert (sign["space"], sign["epoch"], sign["revision"], sign["shared"]) == (SPACE, 1, 4, 1)
    assert sign["held"].startswith("a replica of revisions 2 to 4, and ")
    status = json.loads(run("cloud-hub", "status", "--hub", hub.address, "--json").out)
    assert status["alarms"] == []
