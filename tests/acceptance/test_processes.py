"""The commands as processes: who owns a directory, how they end, and that they stay small."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import OutcomeUnknown, ResourceExhausted, Unavailable
from holdfast.v1 import edge_service_pb2 as edge_pb
from sync.messages import Scope
from tests import convergence
from tests.acceptance.writers import SPACE
from tests.daemons import EdgeProcess, HubProcess

pytestmark = pytest.mark.acceptance

END_SECONDS = 5.0
"""Draining with nobody who clings to a call."""


async def test_a_second_process_on_one_directory_is_refused(tmp_path: Path) -> None:
    with (
        HubProcess(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a", scopes=[SPACE]) as edge,
    ):
        async with edge.client() as client:
            await client.put(f"{SPACE}/parts/1", {"n": 1})
        commands = {
            "cloud_hub.cli": ["--insecure", "--listen", "127.0.0.1:0", "--data", str(hub.data)],
            "edge_agent.cli": [
                "--hub", hub.address, "--data", str(edge.data),
                "--socket", str(edge.socket.with_name("second.sock")),
            ],
        }  # fmt: skip
        for module, arguments in commands.items():
            ended = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", module, "run", *arguments],
                capture_output=True, text=True, timeout=30,
            )  # fmt: skip
            assert ended.returncode == 78 or ended.returncode == 1, ended
            assert "in use by process" in ended.stderr
            assert "Traceback" not in ended.stderr
        async with edge.client() as client:
            await client.put(f"{SPACE}/parts/2", {"n": 2})
            await client.synced(SPACE)


@pytest.mark.promise("rule.loopback-only")
@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:7443"])
def test_other_machines_are_refused_with_the_reason(tmp_path: Path, listen: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cloud_hub.cli", "run", "--insecure", "--listen", listen,
         "--data", str(tmp_path / "hub")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "loopback" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.promise("rule.commit-then-ack")
@pytest.mark.promise("watch.resumable")
async def test_sigterm_drains_both_while_agents_write_and_watch(tmp_path: Path) -> None:
    with (
        HubProcess(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a", scopes=[SPACE]) as edge,
    ):
        clients = [edge.client() for _ in range(3)]
        watch = aiter(clients[0].watch(SPACE, bookmarks=True))
        await anext(watch)
        there = aiter(hub.client().watch(SPACE, bookmarks=True))
        await anext(there)
        taken: list[str] = []

        async def write(mark: int) -> None:
            number = 0
            while True:
                try:
                    await clients[mark].put(f"{SPACE}/parts/{mark}-{number}", {}, timeout_s=0.2)
                except (Unavailable, OutcomeUnknown):
                    return
                taken.append(f"{mark}-{number}")
                number += 1

        writing = [asyncio.create_task(write(mark)) for mark in range(3)]
        await asyncio.sleep(0.3)
        for daemon in (hub, edge):
            began = time.monotonic()
            assert await asyncio.to_thread(daemon.stop) == 0
            assert time.monotonic() - began < END_SECONDS, daemon.log_end()
            assert "Traceback" not in daemon.log_end()
        await asyncio.gather(*writing)
        assert taken
        assert not edge.socket.exists()
        await asyncio.to_thread(hub.start)
        await asyncio.to_thread(edge.start)
        async with edge.client() as client, hub.client() as at_hub:
            await client.synced(SPACE)
            found = {record.key async for record in at_hub.list(f"{SPACE}/parts", page_size=1_000)}
        assert set(taken) <= found


@pytest.mark.promise("seen.converged")
async def test_a_hub_with_three_edges_restarts(tmp_path: Path) -> None:
    with HubProcess(tmp_path / "hub") as hub, contextlib.ExitStack() as stack:
        edges = {
            name: stack.enter_context(EdgeProcess(hub.address, tmp_path / name, scopes=[SPACE]))
            for name in ("a", "b", "c")
        }
        clients = {name: edge.client() for name, edge in edges.items()}
        ended = False

        async def write(name: str) -> int:
            number = 0
            while not ended:
                await clients[name].put(f"{SPACE}/parts/{name}-{number}", {"n": number})
                number += 1
                await asyncio.sleep(0.005)
            return number

        writing = [asyncio.create_task(write(name)) for name in clients]
        for restart in (hub.stop, hub.kill):
            await asyncio.sleep(0.2)
            await asyncio.to_thread(restart)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(hub.start)
        ended = True
        total = sum(await asyncio.gather(*writing))
        scopes = {name: {SPACE: Scope()} for name in clients}
        async with hub.client() as at_hub:
            found = await convergence.settled(at_hub, clients, scopes)
        assert found[SPACE]["parts"][1] == total
        for client in clients.values():
            await client.close()


# -- a disk that is full ---------------------------------------------------------------------------


@contextlib.contextmanager
def _small_disk(path: Path, size_kib: int) -> Iterator[Path]:
    """A file system of its own, where this user may mount one."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(path)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("this user cannot mount a small disk")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], capture_output=True, check=False)


@pytest.mark.promise("write.eventual.full")
@pytest.mark.promise("rule.disk-full-recovers")
async def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    with (
        _small_disk(tmp_path / "disk", 1_500) as disk,
        HubProcess(tmp_path / "hub") as hub,
    ):
        edge = EdgeProcess(hub.address, disk / "a", scopes=[SPACE])
        edge.log = tmp_path / "a.log"
        with edge:
            client = edge.client()
            await client.put(f"{SPACE}/parts/first", {"n": 1})
            await client.synced(SPACE)
            await client.request("EdgeService.Pause", edge_pb.PauseRequest())
            ballast = disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(b"\0" * 4_096)
            taken = ["first"]

            async def fill() -> None:
                for number in range(2_000):
                    await client.put(f"{SPACE}/parts/{number}", {"text": "x" * 3_000})
                    taken.append(str(number))

            with pytest.raises(ResourceExhausted) as full:
                await fill()
            assert full.value.reason == "DISK_FULL"
            found = await client.get(f"{SPACE}/parts/first")
            assert found is not None, "reads go on"
            ballast.unlink()
            await client.put(f"{SPACE}/parts/after", {"n": 1})
            await client.request("EdgeService.Resume", edge_pb.ResumeRequest())
            async with hub.client() as at_hub:
                await convergence.settled(at_hub, {"a": client}, {"a": {SPACE: Scope()}})
                keys = {one.key async for one in at_hub.list(f"{SPACE}/parts", page_size=1_000)}
            assert keys == {*taken, "after"}
            await client.close()


@pytest.mark.promise("stream.bad-input")
async def test_attacks_do_not_make_a_daemon_grow(tmp_path: Path) -> None:
    import grpc

    with (
        HubProcess(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a", scopes=[SPACE]) as edge,
    ):
        before = [_resident_bytes(daemon.process.pid) for daemon in (hub, edge)]
        junk = os.urandom(3 << 20)
        for address in (hub.address, f"unix:{edge.socket}"):
            async with grpc.aio.insecure_channel(address) as channel:
                commit: Any = channel.unary_unary("/holdfast.v1.StateService/Commit")
                for _ in range(20):
                    with pytest.raises(grpc.aio.AioRpcError):
                        await commit(junk, timeout=10)
        after = [_resident_bytes(daemon.process.pid) for daemon in (hub, edge)]
        for grown in (new - old for new, old in zip(after, before, strict=True)):
            assert grown < 64 << 20
        async with edge.client() as client:
            await client.put(f"{SPACE}/parts/1", {"n": 1})
            await client.synced(SPACE)


def _resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_frozen_hub_is_survived(tmp_path: Path) -> None:
    """SIGSTOP: the hub answers nothing and closes nothing. Local writes do not notice."""
    with (
        HubProcess(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a", scopes=[SPACE]) as edge,
    ):
        async with edge.client() as client:
            await client.put(f"{SPACE}/parts/0", {"n": 0})
            await client.synced(SPACE)
            hub.send(signal.SIGSTOP)
            began = time.monotonic()
            for number in range(1, 50):
                await client.put(f"{SPACE}/parts/{number}", {"n": number})
            assert time.monotonic() - began < END_SECONDS
            hub.send(signal.SIGCONT)
            await client.synced(SPACE)
