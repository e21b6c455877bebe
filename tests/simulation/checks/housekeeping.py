"""Starting from zero has a reason, and alarms are about what happened."""

from __future__ import annotations

from tests.simulation.evidence import Evidence
from tests.simulation.outside import RESTORED

AFTER_RESTORE = frozenset({"ORIGIN_COPIED", "OUTBOX_BEHIND", "OUTBOX_RESTORED"})
OF_DAMAGE = frozenset({"REPLICA_DAMAGED", "OUTBOX_DAMAGED", "DIGEST_MISMATCH"})
OF_THE_DISK = frozenset({"DISK_FULL"})


def no_rebuild_and_no_alarm(found: Evidence) -> list[str]:
    """No replica begins from zero, and no alarm is raised that no fault explains."""
    damaged = "damaged_replica" in found.kinds
    problems = [
        f"{edge} began from zero: {rebuilds}"
        for edge, rebuilds in found.rebuilds.items()
        if set(rebuilds) - (OF_DAMAGE if damaged else set())
    ]
    allowed = AFTER_RESTORE if found.kinds & RESTORED else frozenset()
    if found.kinds & {"disk_full", "disk_broken"}:
        allowed |= OF_THE_DISK
    if damaged or "damaged_outbox" in found.kinds:
        allowed |= OF_DAMAGE
    raised = {(s.edge, name) for s in found.history.samples for name in s.alarms}
    problems += [f"{edge} raises {name}" for edge, name in sorted(raised) if name not in allowed]
    return problems
