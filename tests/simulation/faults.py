"""Doing what a plan says goes wrong."""

from __future__ import annotations

import json
import shutil
from functools import partial
from typing import TYPE_CHECKING

from cloud_hub.submissions import Requested
from sync.commit import Actor, ActorKind
from sync.policy import POLICIES
from sync.reduce import Put
from tests.simulation.clients import CHANGES
from tests.simulation.disks import image
from tests.simulation.plan import Fault

if TYPE_CHECKING:
    from tests.simulation.machines import EdgeMachine
    from tests.simulation.world import World

OPERATOR = Actor("operator", ActorKind.HUMAN)
DAMAGED_BYTES = 2_000
"""Less than a page, more than what is free in most."""

OUTBOX = ("outbox.db", "outbox.db-wal")


class Faults:
    """Does faults, and undoes them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.healed = False

    def schedule(self) -> None:
        """Arranges everything in the plan, and the copies that yesterday's files come from."""
        loop = self._world.loop
        for fault in self._world.plan.faults:
            loop.call_later(fault.at_s, self._do, fault)
            if fault.kind in ("old_outbox", "old_files"):
                before = max(0.3, fault.at_s - fault.detail)
                loop.call_later(before, self._back_up, fault)

    def heal(self) -> None:
        """From now on nothing goes wrong any more."""
        self.healed = True
        world = self._world
        world.hub.failing = 0.0
        for machine in world.machines:
            machine.doomed = ""
            machine.disk.free()
            machine.start()
        for edge in world.edges:
            edge.link.heal()
            self._resume(edge)

    # -- one fault -----------------------------------------------------------

    def _do(self, fault: Fault) -> None:
        if self.healed:
            return
        self._world.note("fault:", str(fault))
        getattr(self, f"_{fault.kind}")(fault)

    def _edge(self, fault: Fault) -> EdgeMachine:
        return self._world.machine(fault.target)  # type: ignore[return-value]

    def _until(self, fault: Fault, undo: partial[None]) -> None:
        """Undoes it when it has lasted long enough, unless everything is healed by then."""
        self._world.loop.call_later(fault.seconds, lambda: None if self.healed else undo())

    def _cut(self, fault: Fault) -> None:
        self._edge(fault).link.cut()

    def _down(self, fault: Fault) -> None:
        link = self._edge(fault).link
        link.down = True
        link.cut()
        self._until(fault, partial(link.heal))

    def _hang(self, fault: Fault) -> None:
        link = self._edge(fault).link
        link.hangs = True
        link.cut()
        self._until(fault, partial(link.heal))

    def _stall(self, fault: Fault) -> None:
        link = self._edge(fault).link
        link.stall({"up", "down"} if fault.detail == "both" else {fault.detail})
        self._until(fault, partial(link.heal))

    def _slow_reader(self, fault: Fault) -> None:
        link = self._edge(fault).link
        link.reading_s = 0.3
        self._until(fault, partial(link.heal))

    def _crash(self, fault: Fault) -> None:
        self._world.machine(fault.target).crash("at random", down_s=fault.seconds)

    def _restart(self, fault: Fault) -> None:
        self._world.machine(fault.target).restart()

    def _failpoint(self, fault: Fault) -> None:
        self._world.machine(fault.target).doomed = fault.detail

    def _power(self, fault: Fault) -> None:
        self._world.machine(fault.target).crash("at random", power=True, down_s=fault.seconds)

    def _disk_full(self, fault: Fault) -> None:
        disk = self._edge(fault).disk
        disk.fill()
        self._until(fault, partial(disk.free))

    def _disk_broken(self, fault: Fault) -> None:
        disk = self._edge(fault).disk
        disk.broken = True
        self._until(fault, partial(disk.free))

    def _storage(self, fault: Fault) -> None:
        hub = self._world.hub
        hub.failing = fault.detail
        self._until(fault, partial(setattr, hub, "failing", 0.0))

    def _clock(self, fault: Fault) -> None:
        clock = self._world.machine(fault.target).clock
        if fault.detail == 0:
            clock.freeze()
        else:
            clock.jump(fault.detail)

    def _pause(self, fault: Fault) -> None:
        edge = self._edge(fault)
        if edge.up and edge.agent is not None and edge.process is not None:
            edge.process.launch(edge.agent.uplink.pause(), "pause")
            self._until(fault, partial(self._resume, edge))

    def _resume(self, edge: EdgeMachine) -> None:
        if edge.up and edge.agent is not None and edge.process is not None:
            edge.process.launch(edge.agent.uplink.resume(), "resume")

    def _policy(self, fault: Fault) -> None:
        name, policy = CHANGES[fault.detail % len(CHANGES)]
        self._world.set_policy(name, policy, fault.detail)

    # -- files that are put back ---------------------------------------------

    def _back_up(self, fault: Fault) -> None:
        edge, world = self._edge(fault), self._world
        target = edge.root / f"kept-{fault.at_s:.6f}"
        if not self.healed:
            image(edge.directory, target, edge.disk, None)
            world.backups[str(target)] = len(world.history.wanted), world.loop.time()

    def _put_back(self, fault: Fault, names: tuple[str, ...] | None) -> None:
        edge, world = self._edge(fault), self._world
        source = edge.root / f"kept-{fault.at_s:.6f}"
        if not source.exists():
            return
        edge.crash("files put back", down_s=fault.seconds)
        if edge.process is not None and edge.process.alive:
            return
        if names is None:
            shutil.rmtree(edge.directory)
            shutil.copytree(source, edge.directory)
        else:
            for name in names:
                (edge.directory / name).unlink(missing_ok=True)
                if (source / name).exists():
                    shutil.copyfile(source / name, edge.directory / name)
        _, kept_at = world.backups[str(source)]
        world.lost_since(edge, kept_at, "outbox put back")

    def _old_outbox(self, fault: Fault) -> None:
        self._put_back(fault, OUTBOX)

    def _old_files(self, fault: Fault) -> None:
        self._put_back(fault, None)

    def _old_replica(self, fault: Fault) -> None:
        """The replica as it was a while ago: what a file system may give back after a crash."""
        edge = self._edge(fault)
        kept = edge.root / "replica-kept"
        first = not kept.exists()
        if first:
            image(edge.directory, kept, edge.disk, None)
            self._world.loop.call_later(fault.seconds + 3.0, self._do, fault)
            return
        edge.crash("replica put back", down_s=fault.seconds)
        if edge.process is not None and edge.process.alive:
            return
        for name in ("replica.db", "replica.db-wal"):
            (edge.directory / name).unlink(missing_ok=True)
            if (kept / name).exists():
                shutil.copyfile(kept / name, edge.directory / name)
        shutil.rmtree(kept)

    # -- damage --------------------------------------------------------------

    def _damaged_replica(self, fault: Fault) -> None:
        """Bytes of the replica are others when the edge comes back."""
        edge = self._edge(fault)
        edge.crash("replica damaged", down_s=fault.seconds)
        path = edge.directory / "replica.db"
        if path.exists() and not (edge.process is not None and edge.process.alive):
            with path.open("rb+") as file:
                file.seek(int(fault.detail * max(0, path.stat().st_size - DAMAGED_BYTES)))
                file.write(bytes(DAMAGED_BYTES))

    def _damaged_outbox(self, fault: Fault) -> None:
        """A row of the outbox is not as it was written: its commit is declared lost, by name. The
        hub is out of reach for a while before, so that there are rows to damage."""
        link = self._edge(fault).link
        link.down = True
        link.cut()
        self._world.loop.call_later(1.0, self._damage_row, fault)

    def _damage_row(self, fault: Fault) -> None:
        if self.healed:
            return
        edge = self._edge(fault)
        edge.link.heal()
        edge.crash("outbox damaged", down_s=fault.seconds)
        path = edge.directory / "outbox.db"
        if path.exists() and not (edge.process is not None and edge.process.alive):
            self._world.damage_row(edge, path)

    def _copy(self, fault: Fault) -> None:
        """The device's card is copied, and both devices run."""
        self._world.copy(self._edge(fault), fault.seconds)


def policy_submission(space: str, name: str, policy: object, commit_id: bytes) -> Requested:
    """What an operator's command makes of a change of policy."""
    value = json.dumps(policy, separators=(",", ":"), sort_keys=True).encode()
    return Requested(space, (Put(POLICIES, name, value),), OPERATOR, commit_id, system=True)
