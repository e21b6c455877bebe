"""The history itself: gapless, in order, stamped so that causes come before effects."""

from __future__ import annotations

from itertools import accumulate

from tests.blackbox.hub_rows import Entry
from tests.simulation.evidence import Evidence, Space


def gapless(found: Evidence) -> list[str]:
    """Revisions from 1 to the head; per origin seqs from 1, in the log's order."""
    return [text for space in found.spaces.values() for text in _gaps(space)]


def _gaps(space: Space) -> list[str]:
    problems = []
    revisions = [entry.revision for entry in space.entries]
    if revisions != list(range(1, len(revisions) + 1)):
        problems.append(f"{space.name}: revisions are not 1 to {len(revisions)}")
    if space.head != len(revisions):
        problems.append(f"{space.name}: the head is {space.head}, the log has {len(revisions)}")
    last: dict[bytes, int] = {}
    for entry in space.entries:
        if entry.seq != last.get(entry.origin, 0) + 1:
            problems.append(
                f"{space.name}: seq {entry.seq} of {entry.origin.hex()[:6]} at {entry.revision}"
                f" follows {last.get(entry.origin, 0)}"
            )
        last[entry.origin] = entry.seq
    return problems


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
