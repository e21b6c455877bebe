"""What lost is kept, and what was deleted stays deleted for those who had not seen it go."""

from __future__ import annotations

from collections import defaultdict

from sync.commit import Kind, OutcomeKind
from sync.inbox import decode
from sync.names import inbox_of, is_inbox
from tests.blackbox.hub_rows import Entry, Name
from tests.simulation.evidence import Evidence, Space

EDIT_WINS = frozenset({"notes", "things", "stocks"})
"""Collections whose deletions lose against edits, by policy; `things` may become so."""


def losers_are_kept(found: Evidence) -> list[str]:
    """Superseded and rejected commits have left rows in the log of conflicts; but for what only
    takes elements from sets, which is nothing where there are none."""
    removals = {
        commit_id
        for wanted in found.history.wanted
        if wanted.ops and all(op.WhichOneof("action") == "set_remove" for op in wanted.ops)
        for commit_id in {wanted.commit_id, *(one.commit_id for one in wanted.attempts)}
    }
    problems = []
    for space in found.spaces.values():
        rows = defaultdict(list)
        for row in space.conflicts:
            rows[row.revision].append(row)
        repeated: set[bytes] = set(removals)
        for entry in space.entries:
            lost = entry.outcome.kind in (OutcomeKind.SUPERSEDED, OutcomeKind.REJECTED)
            if lost and entry.commit_id not in repeated and not rows[entry.revision]:
                problems.append(
                    f"{space.name}: {entry.revision} is {entry.outcome.kind.name.lower()},"
                    " and no conflict says what it lost"
                )
            repeated.add(entry.commit_id)
    return problems


def what_waits_is_in_the_inbox(found: Evidence) -> list[str]:
    """Each conflict that waits has an entry among the records, in the same state; and no entry is
    of anything else. What was undone and put back is decided by its rule again, and stays there."""
    problems = []
    for space in found.spaces.values():
        states = {(inbox_of(row.collection), row.id.hex()): row.state for row in space.conflicts}
        waits = {name for name, state in states.items() if state != "auto"}
        entries = {
            name: value for name, (_, _, value) in space.records.items() if is_inbox(name[0])
        }
        if waits - entries.keys() or entries.keys() - states.keys():
            problems.append(
                f"{space.name}: open and not in the inbox {sorted(waits - entries.keys())},"
                f" in it and nowhere else {sorted(entries.keys() - states.keys())}"
            )
        for name, value in entries.items():
            told = str(decode(name[1], value).state)
            if name in states and told != states[name]:
                problems.append(f"{space.name}: {name} is {told}, in the log {states[name]}")
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
                excepted = op.collection in EDIT_WINS
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
