"""Starting from zero has a reason, and alarms are about what happened."""

from __future__ import annotations

from tests.simulation.evidence import Evidence

RESTORED = frozenset({"old_outbox", "old_files", "copy"})
AFTER_RESTORE = frozenset({"ORIGIN_COPIED", "OUTBOX_BEHIND", "OUTBOX_RESTORED"})
OF_THE_DISK = frozenset({"DISK_FULL"})


def no_rebuild_and_no_alarm(found: Evidence) -> list[str]:
    """No replica begins from zero, and no alarm is raised that no fault explains."""
    problems = [
        f"{edge} began from zero: {rebuilds}"
        for edge, rebuilds in found.rebuilds.items()
        if rebuilds
    ]
    allowed = AFTER_RESTORE if found.kinds & RESTORED else frozenset()
    if found.kinds & {"disk_full", "disk_broken"}:
        allowed |= OF_THE_DISK
    raised = {(s.edge, name) for s in found.history.samples for name in s.alarms}
    problems += [f"{edge} raises {name}" for edge, name in sorted(raised) if name not in allowed]
    return problems
