"""Starting from zero has a reason, and alarms are about what happened."""

from __future__ import annotations

from tests.simulation.evidence import Evidence
from tests.simulation.outside import RESTORED, SET_BACK

AFTER_RESTORE = frozenset({"ORIGIN_COPIED", "OUTBOX_BEHIND", "OUTBOX_RESTORED"})
OF_DAMAGE = frozenset({"REPLICA_DAMAGED", "OUTBOX_DAMAGED", "DIGEST_MISMATCH"})
OF_SPLICES = frozenset({"SPLICES_REPLAYED"})
VIEW_LATE = RESTORED | SET_BACK | {"disk_full", "disk_broken"}
"""Faults after which pending splices may have to be woven in where they were written, from zero."""
OF_THE_DISK = frozenset({"DISK_FULL"})


def no_rebuild_and_no_alarm(found: Evidence) -> list[str]:
    """No replica begins from zero, and no alarm is raised that no fault explains."""
    damaged = "damaged_replica" in found.kinds
    woven = OF_SPLICES if found.kinds & VIEW_LATE else frozenset()
    problems = [
        f"{edge} began from zero: {rebuilds}"
        for edge, rebuilds in found.rebuilds.items()
        if set(rebuilds) - (OF_DAMAGE if damaged else set()) - woven
    ]
    allowed = (AFTER_RESTORE if found.kinds & RESTORED else frozenset()) | woven
    if found.kinds & {"disk_full", "disk_broken"}:
        allowed |= OF_THE_DISK
    if damaged or "damaged_outbox" in found.kinds:
        allowed |= OF_DAMAGE
    raised = {(s.edge, name) for s in found.history.samples for name in s.alarms}
    problems += [f"{edge} raises {name}" for edge, name in sorted(raised) if name not in allowed]
    return problems
