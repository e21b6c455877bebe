"""Strong requests are linearizable: shown by the places that the answers name.

Each strong request has a place in the order: of a write, where it was decided; of a read, the
position of its answer. The order of places must respect real time, and every answer must be what a
sequential model answers at that place. Which of the writes without an answer took effect is told by
the hub's log, by commit id.

That trusts the positions in answers; search.py does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.blackbox.checks.commits import WHOLE, attempts_of
from tests.blackbox.history import (
    NOWHERE,
    OK,
    STRONG,
    UNKNOWN,
    Commit,
    Decided,
    Expect,
    History,
    Op,
    Place,
    Read,
    Value,
)
from tests.blackbox.hub_log import HubLog, logs_of


def step(op: Op, live: Value) -> Value:
    """The sequential model: what an operation makes of a record that nobody else touches."""
    if op.kind == "delete":
        return None
    if op.kind == "put":
        return dict(op.value)
    had: dict[str, Any] = dict(live or {})
    if op.kind == "add":
        return {**had, **{name: had.get(name, 0) + more for name, more in op.value.items()}}
    assert op.kind == "patch", op.kind
    return {name: v for name, v in {**had, **op.value}.items() if name not in op.remove}


@dataclass(frozen=True, slots=True)
class Write:
    """A strong commit with all its attempts. `ended_s` is None where no answer came."""

    commit: Commit
    began_s: float
    ended_s: float | None
    told: Place

    @property
    def name(self) -> str:
        return f"commit {self.commit.commit_id[:8]} of {self.commit.client}"


def strong_writes(history: History, space: str) -> list[Write]:
    """Those that may have taken effect."""
    found = []
    for (where, _), attempts in attempts_of(history).items():
        if where != space or attempts[0].level != STRONG:
            continue
        answers = [one for one in attempts if one.status == OK]
        if answers:
            told = max(one.decided for one in answers)
            ended = min(one.returned_s for one in answers)
            found.append(Write(attempts[0], attempts[0].invoked_s, ended, told))
        elif any(one.status == UNKNOWN for one in attempts):
            found.append(Write(attempts[0], attempts[0].invoked_s, None, NOWHERE))
    return found


def strong_reads(history: History, space: str) -> list[Read]:
    return [
        one
        for one in history.reads
        if one.space == space and one.level == STRONG and one.status == OK
    ]


def by_witness(history: History) -> list[str]:
    """Every strong request at the place that its answer names."""
    problems = []
    for space, log in logs_of(history).items():
        writes: list[tuple[Write, Decided]] = []
        for write in strong_writes(history, space):
            entry = log.first(write.commit)
            if entry is not None and (write.ended_s is not None or entry.outcome in WHOLE):
                writes.append((write, entry))
            elif write.ended_s is not None:
                problems.append(f"{space}: {write.name} was acknowledged, and is nowhere")
        reads = strong_reads(history, space)
        for write, entry in writes:
            problems += [f"{space}: {write.name} {text}" for text in _write(write, entry, log)]
        for read in reads:
            problems += [f"{space}: {_name(read)} {text}" for text in _read(read, log)]
        problems += [f"{space}: {text}" for text in _real_time(writes, reads)]
    return problems


def _name(read: Read) -> str:
    return f"read of {', '.join(read.paths)} by {read.client} at {read.door}"


# -- each at its place -------------------------------------------------------


def _write(write: Write, entry: Decided, log: HubLog) -> Iterator[str]:
    at = entry.place[1]
    if entry.outcome not in WHOLE:
        yield f"was acknowledged, and is {entry.outcome} at {at}"
        return
    for expect in write.commit.expects:
        if not _holds(expect, log, entry.place):
            yield f"at {at} was written although {expect.path} is not as it expects"
    states: dict[str, Value] = {}
    for op in write.commit.ops:
        before = log.before(op.path, entry.place)[1]
        states[op.path] = step(op, states.get(op.path, before))
    for path, wanted in states.items():
        if log.state(path, entry.place)[1] != wanted:
            yield f"at {at} left {path} as {log.state(path, entry.place)[1]}, not as {wanted}"


def _holds(expect: Expect, log: HubLog, place: Place) -> bool:
    written, value = log.before(expect.path, place)
    if expect.kind == "version":
        return value is not None and written == expect.place
    return (value is not None) == (expect.kind == "exists")


def _read(read: Read, log: HubLog) -> Iterator[str]:
    for path in read.paths:
        found = read.records.get(path)
        if found is not None and found.pending:
            yield f"has {path} as nobody has decided it"
            continue
        place, value = log.state(path, read.place)
        told = None if found is None else found.value
        if told != value or (found is not None and found.place != place):
            yield f"at {read.place[1]} has {path} as {found}, which was {value} of {place[1]}"


# -- in the order of time ----------------------------------------------------


def _real_time(writes: list[tuple[Write, Decided]], reads: list[Read]) -> Iterator[str]:
    """What had been answered before a request was made is not after it in the order."""
    ends: list[tuple[float, Place, str]] = [
        (write.ended_s, entry.place, write.name)
        for write, entry in writes
        if write.ended_s is not None
    ]
    ends += [(read.returned_s, read.place, _name(read)) for read in reads]
    begins = [(write.began_s, entry.place, True, write.name) for write, entry in writes]
    begins += [(read.invoked_s, read.place, False, _name(read)) for read in reads]
    ends.sort(reverse=True)
    newest, whose = NOWHERE, ""
    for at_s, place, writes_it, name in sorted(begins):
        while ends and ends[-1][0] < at_s:
            _, ended, other = ends.pop()
            if ended > newest:
                newest, whose = ended, other
        if place < newest or (writes_it and place == newest):
            yield f"{name} is at {place[1]}, and {whose} had been answered before at {newest[1]}"
