"""`make demo`: what happens while the network is gone, and what becomes of it, told in a minute.

A hub and two edges as processes, a link that is cut, a process that is killed. Each line is looked
up before it is told; the exit code is 0 only if all of them are so. The data is in a temporary
folder and goes with it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from holdfast.client import AsyncClient, AsyncReceipt, Record
from holdfast.demo.stage import HUMAN, PLANNER, ROBOT, Stage, stage
from holdfast.demo.teller import Teller
from holdfast.errors import HoldfastError
from holdfast.host import loops
from holdfast.host.commands import ExitCode, epilog
from holdfast.shell import asking
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import edge_service_pb2 as edge

POLICIES = {
    "tasks": {"fields": {"attempts": "counter", "tags": "set", "owner": "ask", "notes": "text"}},
    "arms": {"fields": {"mode": {"rule": "priority"}}},
}
TASK = "default/tasks/7"
ARM = "default/arms/1"
ORDER = "default/orders/3"
LOG = "default/log"

SYNCED_SECONDS = 30.0
BOUND_S = 60.0
"""What the person asks for while the answer can be proven fresh."""

TIGHT_S = 0.5
"""What nobody can prove of a hub that has not been heard for longer."""

KILLED_AT = 60
"""Acknowledged commits after which the edge is killed, in the middle of the next ones."""


@dataclass(slots=True)
class Play:
    """The story on its stage."""

    on: Stage
    tell: Teller
    written: list[tuple[str, AsyncReceipt]] = field(default_factory=list)

    async def run(self) -> None:
        """All chapters."""
        await self.begin()
        await self.cut_off()
        await self.levels()
        await self.killed()
        await self.healed()
        await self.inbox()
        await self.undo()
        await self.equal()

    # -- chapters ------------------------------------------------------------

    async def begin(self) -> None:
        """All are connected, and know the same."""
        tell, hub = self.tell, self.on.at("hub")
        tell.chapter("A hub and two edges: Maria and the planner at edge-b, the arm at edge-a.")
        for collection, policy in POLICIES.items():
            request = asking.policy_request("default", collection, json.dumps(policy), 0, HUMAN)
            await hub.request("AdminService.SetPolicy", request)
        task = {"state": "open", "attempts": 0, "tags": ["urgent", "hall-2"], "owner": "nobody"}
        await hub.put(TASK, {**task, "notes": "Sweep the hall."})
        await hub.put(ARM, {"mode": "idle"})
        await hub.put(ORDER, {"item": "bolts", "amount": 10})
        await self._synced("edge-a", "edge-b")
        tell.so(
            "both edges hold what the hub holds",
            found=await self._value("edge-a", TASK), expected=await self._value("hub", TASK),
        )  # fmt: skip

    async def cut_off(self) -> None:
        """Both edges write on without knowing of each other."""
        tell = self.tell
        tell.chapter("The cable of edge-b is pulled. Everybody goes on working.")
        self.on.cut("edge-b")
        arm, maria = self.on.at("edge-a", ROBOT), self.on.at("edge-b", HUMAN)
        planner = self.on.at("edge-b", PLANNER)
        await arm.patch(TASK, {"state": "in progress"})
        await self._wrote("Maria: the task is done", maria.patch(TASK, {"state": "done"}))
        await arm.add(TASK, {"attempts": 2})
        await self._wrote("Maria: three attempts more", maria.add(TASK, {"attempts": 3}))
        await arm.set_remove(TASK, "tags", ["urgent"])
        await self._wrote("Maria: a tag more", maria.set_add(TASK, "tags", ["wet floor"]))
        await arm.splice(TASK, "notes", at=15, insert=" Twice.")
        await self._wrote(
            "Maria: a word in the notes", maria.splice(TASK, "notes", at=9, insert=" whole")
        )
        await arm.patch(TASK, {"owner": "arm-1"})
        await self._wrote("Maria: the task is hers", maria.patch(TASK, {"owner": "maria"}))
        await self._wrote("Maria: STOP", maria.patch(ARM, {"mode": "stopped"}))
        await self.on.at("hub").delete(ORDER)
        await self._wrote("the planner: more bolts", planner.patch(ORDER, {"amount": 40}))
        await asyncio.sleep(0.2)
        await arm.patch(ARM, {"mode": "running"})
        pending = (await self._status("edge-b")).pending
        tell.so(
            f"edge-b has taken {len(self.written)} writes, all durable there, none known elsewhere",
            found=pending, expected=len(self.written),
        )  # fmt: skip
        tell.so("Maria sees her own", found=(await self._task("edge-b"))["state"], expected="done")

    async def levels(self) -> None:
        """What cannot be promised is refused, at once and by name."""
        tell, maria = self.tell, self.on.at("edge-b", HUMAN)
        tell.chapter("Some answers need the hub. They are refused, never made up.")
        began_s = tell.seconds
        reason = await _reason(maria.patch(TASK, {"state": "sold"}, level="strong"))
        tell.so(
            f"a strong write is refused after {(tell.seconds - began_s) * 1000:.0f} ms",
            found=reason, expected="HUB_UNREACHABLE",
        )  # fmt: skip
        tell.so("and never appears", found=(await self._task("edge-b"))["state"], expected="done")
        read = await maria.get(TASK, max_staleness=BOUND_S, local_only=True)
        bound_ms = read.answer.staleness_ms if read is not None and read.answer else None
        tell.so(
            f"a read that may be {BOUND_S:.0f} s old is served: it is provably no older than"
            f" {(bound_ms or 0) / 1000:.1f} s",
            found=bound_ms is not None and bound_ms <= BOUND_S * 1000,
        )  # fmt: skip
        await asyncio.sleep(TIGHT_S)
        reason = await _reason(maria.get(TASK, max_staleness=TIGHT_S, local_only=True))
        tell.so(
            f"one that may be {TIGHT_S} s old is refused by now",
            found=reason, expected="BOUND_UNPROVABLE",
        )  # fmt: skip
        reason = await _reason(maria.get(TASK, level="strong", timeout_s=5))
        tell.so("so is a strong one", found=reason, expected="HUB_UNREACHABLE")

    async def killed(self) -> None:
        """An edge dies while it takes commits."""
        tell = self.tell
        tell.chapter("edge-b is killed with SIGKILL while it takes writes, and started again.")
        acknowledged: list[int] = []
        enough = asyncio.Event()
        writer = asyncio.create_task(self._log(acknowledged, enough))
        await enough.wait()
        await self.on.kill("edge-b")
        await asyncio.gather(writer, return_exceptions=True)
        await self.on.start("edge-b")
        kept = {record.key async for record in self.on.at("edge-b").list(LOG)}
        lost = [number for number in acknowledged if f"{number:05}" not in kept]
        tell.so(f"all {len(acknowledged)} writes that it had acknowledged are there", found=lost,
                expected=[])  # fmt: skip

    async def healed(self) -> None:
        """What the rules make of it."""
        tell = self.tell
        tell.chapter("The cable is plugged in again.")
        await self.on.heal("edge-b")
        await self._synced("edge-b", "edge-a")
        outcomes = await self.on.at("edge-b").outcomes([one.op_id for _, one in self.written])
        for (said, _), outcome in zip(self.written, outcomes, strict=True):
            tell.so(f"{said}: {outcome.kind}", found=outcome.decided)
        task = await self._task("hub")
        tell.so("same field, last writer wins: the task is done", found=task["state"],
                expected="done")  # fmt: skip
        tell.so("a counter counts all: 2 and 3 attempts are 5", found=task["attempts"], expected=5)
        tell.so("a set keeps both changes", found=sorted(task["tags"]),
                expected=["hall-2", "wet floor"])  # fmt: skip
        tell.so("a text keeps both edits", found=task["notes"],
                expected="Sweep the whole hall. Twice.")  # fmt: skip
        arm = await self._value("hub", ARM)
        tell.so("the person's stop stands against the robot's later status",
                found=arm, expected={"mode": "stopped"})  # fmt: skip
        tell.so("the deletion wins against the edit", found=await self._value("hub", ORDER),
                expected=None)  # fmt: skip
        lost = [c.path async for c in self.on.at("hub").conflicts(states=(), kinds=["delete_edit"])]
        tell.so("and the edit is kept in the log of conflicts", found=lost, expected=[ORDER])

    async def inbox(self) -> None:
        """What no rule may decide is asked of a person."""
        tell, maria = self.tell, self.on.at("edge-b", HUMAN)
        tell.chapter("Whose task it is, a person decides: Maria, at her edge.")
        waiting = [conflict async for conflict in maria.conflicts()]
        tell.so("the conflict waits in her inbox", found=[(c.path, c.field) for c in waiting],
                expected=[(TASK, "owner")])  # fmt: skip
        kept = (await self._task("edge-b"))["owner"]
        tell.so("until then stands what the hub had", found=kept, expected="arm-1")
        for conflict in waiting:
            now = await maria.conflict("default", conflict.id)
            receipt = await maria.resolve(now, "theirs", note="I carry it", seen=now.record)
            outcome = await receipt.outcome()
            tell.so(f"Maria: it is mine, I carry it: {outcome.kind}", found=outcome.decided)
        await self._synced("edge-a")
        tell.so("so it stands at edge-a, too", found=(await self._task("edge-a"))["owner"],
                expected="maria")  # fmt: skip

    async def undo(self) -> None:
        """What a rule decided can be taken back."""
        tell, ben = self.tell, self.on.at("hub", ("ben", "human"))
        tell.chapter(
            "Ben finds that the arm was right about the state, and undoes what the rule did."
        )
        decided = [
            one
            async for one in ben.conflicts(states=["auto"])
            if (one.path, one.field) == (TASK, "state")
        ]
        for conflict in decided[:1]:
            now = await ben.conflict("default", conflict.id)
            await ben.undo(now, note="not yet", seen=now.record)
        tell.so("the task is in progress again", found=(await self._task("hub"))["state"],
                expected="in progress")  # fmt: skip
        history = await ben.history(TASK, limit=1)
        tell.so("and its history says who did that", found=history.entries[0].actor.id,
                expected="ben")  # fmt: skip

    async def equal(self) -> None:
        """Everybody has the same."""
        tell = self.tell
        tell.chapter("In the end:")
        await self._synced("edge-a", "edge-b")
        hub = await self._hub_digests()
        for name in ("edge-a", "edge-b"):
            status = await self._status(name)
            (space,) = [one for one in status.spaces if one.space == "default"]
            found = {one.collection: one.digest for one in space.digests if one.records}
            tell.so(f"{name} has the hub's digests, and nothing pending",
                    found=(found, status.pending), expected=(hub, 0))  # fmt: skip

    # -- looking -------------------------------------------------------------

    async def _wrote(self, said: str, write: Any) -> None:
        self.written.append((said, await write))

    async def _log(self, acknowledged: list[int], enough: asyncio.Event) -> None:
        client = self.on.at("edge-b", PLANNER)
        try:
            for number in range(100 * KILLED_AT):
                await client.put(f"{LOG}/{number:05}", {"n": number}, retry=False)
                acknowledged.append(number)
                if len(acknowledged) == KILLED_AT:
                    enough.set()
        finally:
            enough.set()

    async def _synced(self, *edges: str) -> None:
        for name in edges:
            await self.on.at(name).synced("default", timeout_s=SYNCED_SECONDS)

    async def _value(self, door: str, path: str) -> dict[str, Any] | None:
        found: Record | None = await self.on.at(door).get(path)
        return None if found is None else found.value

    async def _task(self, door: str) -> dict[str, Any]:
        return await self._value(door, TASK) or {}

    async def _status(self, name: str) -> edge.GetEdgeStatusResponse:
        request = edge.GetEdgeStatusRequest()
        answer = await self.on.at(name).request("EdgeService.GetEdgeStatus", request)
        assert isinstance(answer, edge.GetEdgeStatusResponse)
        return answer

    async def _hub_digests(self) -> dict[str, int]:
        client: AsyncClient = self.on.at("hub")
        answer = await client.request("AdminService.ListSpaces", admin.ListSpacesRequest())
        assert isinstance(answer, admin.ListSpacesResponse)
        return {
            one.collection: one.digest
            for space in answer.spaces
            if space.space == "default"
            for one in space.digests
            if one.records
        }


async def _reason(call: Any) -> str:
    """The reason of a refusal; empty if there was none."""
    try:
        await call
    except HoldfastError as error:
        return error.reason
    return ""


@click.command(epilog=epilog("make demo"))
def cli() -> int:
    """Tell what Holdfast does while a network is gone, with a hub and two edges on this machine,
    in under a minute. The exit code is 0 only if everything is as the story says."""
    return loops.run(_told())


async def _told() -> int:
    tell = Teller(Console(file=sys.stdout, highlight=False, soft_wrap=True))
    with tempfile.TemporaryDirectory(prefix="holdfast-") as directory:
        async with stage(Path(directory)) as on:
            await Play(on, tell).run()
    tell.end()
    return ExitCode.REFUSED if tell.untrue else ExitCode.OK
