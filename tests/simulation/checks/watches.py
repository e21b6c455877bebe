"""Watchers are refused for a reason only; what they are told is judged in tests/blackbox."""

from __future__ import annotations

from tests.simulation.evidence import Evidence

EXPECTED = frozenset({"COMPACTED"})


def refused_for_a_reason(found: Evidence) -> list[str]:
    """No watch ends with a refusal that nothing explains."""
    return [
        f"watch of {name}: {reason}"
        for name, reason in found.history.watch_faults
        if reason not in EXPECTED
    ]
