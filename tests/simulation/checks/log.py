"""Stamps: causes come before effects. Gaps and order are judged in tests/blackbox."""

from __future__ import annotations

from itertools import accumulate

from tests.blackbox.hub_rows import Entry
from tests.simulation.evidence import Evidence, Space


def stamps_follow_causes(found: Evidence) -> list[str]:
    """A commit's stamp is greater than those of all that its author had seen."""
    return [text for space in found.spaces.values() for text in _stamps(space)]


def _stamps(space: Space) -> list[str]:
    problems = []
    newest = list(accumulate((e.stamp for e in space.entries), max, initial=0))
    by_origin: dict[bytes, list[Entry]] = {}
    for entry in space.entries:
        mine = by_origin.setdefault(entry.origin, [])
        causes = [newest[min(entry.base, len(space.entries))]]
        causes += [mine[-1].stamp] if mine else []
        for origin, seq in entry.extra.seen:
            causes += [one.stamp for one in by_origin.get(origin, ()) if one.seq <= seq]
        if max(causes) >= entry.stamp:
            problems.append(
                f"{space.name}: {entry.revision} is stamped {entry.stamp}, not above {max(causes)}"
            )
        mine.append(entry)
    return problems
