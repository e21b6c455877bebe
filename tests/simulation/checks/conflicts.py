"""What lost is kept, and what was deleted stays deleted for those who had not seen it go."""

from __future__ import annotations

from collections import defaultdict

from sync.commit import Kind, OutcomeKind
from tests.blackbox.hub_rows import Entry, Name
from tests.simulation.evidence import Evidence, Space

EDIT_WINS = "notes"
"""The collection whose deletions lose against edits, by policy; `things` may become so."""


def losers_are_kept(found: Evidence) -> list[str]:
    """Superseded and rejected commits have left rows in the log of conflicts."""
    problems = []
    for space in found.spaces.values():
        rows = defaultdict(list)
        for row in space.conflicts:
            rows[row.revision].append(row)
        repeated: set[bytes] = set()
        for entry in space.entries:
            lost = entry.outcome.kind in (OutcomeKind.SUPERSEDED, OutcomeKind.REJECTED)
            if lost and entry.commit_id not in repeated and not rows[entry.revision]:
                problems.append(
                    f"{space.name}: {entry.revision} is {entry.outcome.kind.name.lower()},"
                    " and no conflict says what it lost"
                )
            repeated.add(entry.commit_id)
    return problems


def nothing_deleted_returns(found: Evidence) -> list[str]:
    """Where a deletion wins, only who has seen it, or saw nothing there before, begins anew."""
    return [text for space in found.spaces.values() for text in _returned(space)]


def _returned(space: Space) -> list[str]:
    problems = []
    deleted: dict[Name, Entry] = {}
    for entry in space.entries:
        for op in entry.ops:
            name = (op.collection, op.key)
            if op.kind == Kind.DELETE:
                deleted[name] = entry
            elif op.kind != Kind.NONE:
                gone = deleted.pop(name, None)
                excepted = op.collection in (EDIT_WINS, "things")
                if gone is not None and not excepted and not _saw(entry, gone):
                    problems.append(
                        f"{space.name}: {'/'.join(name)}, deleted at {gone.revision}, returns at"
                        f" {entry.revision}, whose author was at {entry.base}"
                    )
    return problems


def _saw(entry: Entry, other: Entry) -> bool:
    if other.revision <= entry.base or other.revision == entry.revision:
        return True
    if other.origin == entry.origin and other.seq <= entry.seen:
        return True
    return any(origin == other.origin and seq >= other.seq for origin, seq in entry.extra.seen)
