"""Levels and sessions with daemons that are frozen and killed: what is answered late, and that it
is never wrong."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast import AsyncClient, errors
from tests.daemons import EdgeProcess, HubProcess

pytestmark = pytest.mark.acceptance

SPACE = "default"
PATH = f"{SPACE}/parts/7"
BOUND_S = 2.0
FROZEN_S = 3.0
"""Longer than the bound."""


async def value(client: AsyncClient, path: str = PATH, **options: Any) -> Any:
    found = await client.get(path, **options)
    return None if found is None else found.value


@pytest.mark.promise("read.strong")
@pytest.mark.promise("read.strong.late")
@pytest.mark.promise("read.bound-without-clocks")
async def test_a_hub_that_was_frozen_answers_late_and_proves_no_more_than_is_true(
    tmp_path: Path,
) -> None:
    with HubProcess(tmp_path / "hub") as hub, EdgeProcess(hub.address, tmp_path / "a") as edge:
        async with edge.client() as here, hub.client() as there:
            await there.put(PATH, {"n": 1})
            assert await value(here, level="strong", timeout_s=20) == {"n": 1}
            assert await value(here, max_staleness=BOUND_S, timeout_s=20) == {"n": 1}
            hub.send(signal.SIGSTOP)
            frozen = time.monotonic()
            try:
                with pytest.raises(errors.DeadlineExceeded) as late:
                    await here.get(PATH, level="strong", timeout_s=1)
                assert late.value.reason == "DEADLINE_PASSED"
                await asyncio.sleep(FROZEN_S - (time.monotonic() - frozen))
                # Asked in vain: nothing proves the bound any more, whoever asks the hub or not.
                for local_only in (True, False):
                    with pytest.raises(errors.Unavailable) as refused:
                        await here.get(
                            PATH, max_staleness=BOUND_S, local_only=local_only, timeout_s=1
                        )
                    assert refused.value.reason == "BOUND_UNPROVABLE"
                    age_ms = int(refused.value.metadata["staleness_ms"])
                    assert age_ms >= (FROZEN_S - 0.1) * 1_000, "since before it was frozen"
                assert await value(here) == {"n": 1}, "what is here is read as ever"
                waiting = asyncio.create_task(value(here, level="strong", timeout_s=30))
                writing = asyncio.create_task(there.put(PATH, {"n": 2}, timeout_s=30))
                await asyncio.sleep(0.2)
                assert not waiting.done() and not writing.done()
            finally:
                hub.send(signal.SIGCONT)
            await writing
            assert await value(here, level="strong", timeout_s=30) == {"n": 2}
            assert await waiting in ({"n": 1}, {"n": 2})
            assert await value(here, max_staleness=BOUND_S, timeout_s=30) == {"n": 2}


@pytest.mark.promise("read.strong.unreachable")
@pytest.mark.promise("read.bound-without-clocks")
async def test_a_restart_leaves_nothing_proven(tmp_path: Path) -> None:
    with HubProcess(tmp_path / "hub") as hub, EdgeProcess(hub.address, tmp_path / "a") as edge:
        async with edge.client() as here, hub.client() as there:
            await there.put(PATH, {"n": 1})
            assert await value(here, max_staleness=60, timeout_s=20) == {"n": 1}
        hub.kill()
        edge.kill()
        edge.start()
        async with edge.client() as here:
            with pytest.raises(errors.Unavailable) as refused:
                await here.get(PATH, max_staleness=10**6, timeout_s=20)
            assert refused.value.reason == "BOUND_UNPROVABLE"
            assert "staleness_ms" not in refused.value.metadata
            with pytest.raises(errors.Unavailable) as refused:
                await here.get(PATH, level="strong", timeout_s=60)
            assert refused.value.reason == "HUB_UNREACHABLE"
            assert await value(here) == {"n": 1}


@pytest.mark.promise("session.roaming")
async def test_a_session_goes_round_with_its_guarantees_and_comes_back_after_a_kill(
    tmp_path: Path,
) -> None:
    """Edge, other edge, hub, and the first edge again, which was killed meanwhile: twice round.
    What is written at each door is seen at the next."""
    with (
        HubProcess(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a") as a,
        EdgeProcess(hub.address, tmp_path / "b") as b,
    ):
        token, written = "", 0
        places: list[tuple[int, int]] = []
        for _ in range(2):
            for door in (a, b, hub):
                async with door.client(tokens=token or None) as session:
                    found = await session.get(PATH, timeout_s=30)
                    assert (0 if found is None else found.value["n"]) == written
                    written += 1
                    receipt = await session.put(PATH, {"n": written}, timeout_s=30)
                    if door is a:
                        a.kill()  # right after its acknowledgement
                        a.start()
                        outcome = await session.wait([receipt.op_id], timeout_s=60)
                    else:
                        outcome = (await receipt.outcome(60),)
                    assert outcome[0].position is not None
                    places.append((outcome[0].position.epoch, outcome[0].position.revision))
                    assert await value(session, timeout_s=30) == {"n": written}
                    token = session.token
        assert places == sorted(set(places)), "in the order in which the session wrote"
