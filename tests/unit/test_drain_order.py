"""Which space goes first when several have something to send: control, then state, then bulk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloud_hub.cursors import CursorKey
from cloud_hub.downstream import Downstream
from cloud_hub.fanout import Fanout, Head
from edge_agent.requests import Write
from edge_agent.stream import MAX_PUSH_COMMITS, Stream
from edge_agent.strong import StrongCommits
from sync import messages as m
from sync.clock import BootInstant
from sync.position import NOWHERE, Epoch
from sync.reduce import Put
from tests.contract.hub_rows import log_row
from tests.edges import ROBOT, TestClock, edge_at

pytestmark = pytest.mark.promise("stream.priority")

RANKS = {"alarms": 0, "parts": 1, "telemetry": 2}
SPACES = sorted(RANKS, key=lambda space: -RANKS[space])


async def none_older(_space: str, _revision: int) -> list[Any]:
    return []


async def test_down_a_control_space_overtakes_a_backlog() -> None:
    fanout, wake = Fanout(none_older), asyncio.Event()

    def decide(space: str, revision: int) -> None:
        rows = (log_row(revision, revision),)
        fanout.publish(space, rows, Head(1, revision, b"t" * 16, (), RANKS[space]))

    spaces = [m.SpaceHello(space, m.Scope(), NOWHERE) for space in SPACES]
    down = Downstream(fanout, CursorKey(b"s" * 32), spaces, log_row(1, 1).codec, wake)
    for revision in (1, 2):
        for space in SPACES:
            decide(space, revision)
    sent = []
    for turn in range(9):
        if turn == 5:  # all that is left is telemetry, and then there is an alarm
            decide("alarms", 3)
        message = await down.next(0)
        if isinstance(message, m.Changes):
            sent.append(message.space)
    down.close()
    assert sent == ["alarms"] * 2 + ["parts"] * 2 + ["telemetry"] + ["alarms"] + ["telemetry"]


@dataclass
class Link:
    """As much of an uplink as pushing needs."""

    files: Any
    intake: Any = None
    push_limit: int = MAX_PUSH_COMMITS
    pending_commits: int = 0
    said: list[m.Push] = field(default_factory=list)
    strong: StrongCommits = field(default_factory=lambda: StrongCommits(TestClock()))

    def priority(self, space: str) -> int:
        return RANKS[space]

    async def learn(self, _: object) -> None: ...


async def test_up_an_urgent_space_overtakes_a_backlog(tmp_path: Path) -> None:
    async with edge_at(tmp_path) as edge:
        link = Link(edge.files, push_limit=2)
        stream = Stream(link, m.Hello("edge-1", edge.origin, ()), None)  # type: ignore[arg-type]
        session = stream._session
        session.start(BootInstant(1))
        welcome = m.Welcome(
            "hub", 1, (Epoch(1, b"e" * 16, 0),), (), "identity", 4 << 20, 0, m.Credit(100, 1 << 20)
        )
        session.receive(welcome, BootInstant(1))

        async def write(space: str) -> None:
            await edge.store.commit(Write(space, (Put("things", "a", b"{}"),), ROBOT))

        for space in SPACES * 3:
            await write(space)
        pushed: list[tuple[str, int]] = []
        for turn in range(8):
            if turn == 5:
                await write("alarms")
            if not await stream._push_next():
                break
            pushed += [(one.space, one.count) for one in taken(stream)]
        assert pushed == [
            ("alarms", 2), ("alarms", 1), ("parts", 2), ("parts", 1), ("telemetry", 2),
            ("alarms", 1), ("telemetry", 1),
        ]  # fmt: skip


async def test_up_a_space_that_somebody_waits_for_overtakes_all_but_control_spaces(
    tmp_path: Path,
) -> None:
    async with edge_at(tmp_path) as edge:
        link = Link(edge.files, push_limit=2)
        stream = Stream(link, m.Hello("edge-1", edge.origin, ()), None)  # type: ignore[arg-type]
        stream._session.start(BootInstant(1))
        welcome = m.Welcome(
            "hub", 1, (Epoch(1, b"e" * 16, 0),), (), "identity", 4 << 20, 0, m.Credit(100, 1 << 20)
        )
        stream._session.receive(welcome, BootInstant(1))
        for space in SPACES * 2:
            await edge.store.commit(Write(space, (Put("things", "a", b"{}"),), ROBOT))
        found = []
        with link.strong.awaiting("telemetry", b"i" * 16, 1):
            while await stream._push_next():
                found += [one.space for one in taken(stream)]
        assert found == ["alarms", "telemetry", "parts"]


def taken(stream: Stream) -> list[m.Push]:
    """What is about to be written to the stream."""
    found = [one for one in stream._outgoing if isinstance(one, m.Push)]
    stream._outgoing.clear()
    return found
