"""Strong requests are linearizable: shown by finding an order, without trusting any revision.

The search of Wing and Gong with the memory of Lowe: requests are taken in an order that time allows
and that a sequential model explains; what was tried before from the same state is not tried again.
Being linearizable is a property of each record, and of each set of records that are used together,
so every such set is searched alone.

Invariant: a set that would take more than MAX_STEPS is a problem, not a pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from tests.blackbox.checks.commits import WHOLE, attempts_of
from tests.blackbox.checks.strong import step, strong_reads, strong_writes
from tests.blackbox.history import (
    REFUSED,
    STRONG,
    Commit,
    Expect,
    History,
    Read,
    Value,
)
from tests.blackbox.hub_log import HubLog, logs_of

MAX_STEPS = 500_000
"""Some seconds; a set of few records with few clients takes about as many steps as requests."""

NEVER_S = float("inf")

States: TypeAlias = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Call:
    """A request between its beginning and its end; without an answer it has no end."""

    began_s: float
    ended_s: float
    request: Read | Commit
    mismatch: bool = False
    """It was refused because its expectations were false."""

    @property
    def paths(self) -> frozenset[str]:
        if isinstance(self.request, Read):
            return frozenset(self.request.paths)
        return self.request.paths | {expect.path for expect in self.request.expects}

    def after(self, states: States) -> States | None:
        """The states after it, None if it cannot have happened in these."""
        if isinstance(self.request, Read):
            told = self.request.records
            same = all(
                (told[path].value if path in told else None) == states.get(path)
                for path in self.request.paths
            )
            return states if same else None
        holds = all(_holds(expect, states) for expect in self.request.expects)
        if self.mismatch:
            return None if holds else states
        if not holds:
            return None
        states = dict(states)
        for op in self.request.ops:
            states[op.path] = step(op, states.get(op.path))
        return states


def _holds(expect: Expect, states: States) -> bool:
    value = states.get(expect.path)
    if expect.kind == "version":
        return value is not None and value == expect.value
    return (value is not None) == (expect.kind == "exists")


def by_search(history: History, max_steps: int = MAX_STEPS) -> list[str]:
    """Every set of records that strong requests alone write has an order that explains them.

    Contents must be unique (a version is known by what was read at it)."""
    problems = []
    for space, log in logs_of(history).items():
        others = _written_otherwise(history, log, space)
        for calls in _sets(_calls(history, log, space)):
            paths = frozenset().union(*(call.paths for call in calls))
            if paths & others:
                continue
            if (text := linearizable(calls, max_steps)) is not None:
                problems.append(f"{space}: {', '.join(sorted(paths)[:5])}: {text}")
    return problems


def searched(history: History) -> int:
    """How many requests `by_search` judges."""
    return sum(
        len(calls)
        for space, log in logs_of(history).items()
        for calls in _sets(_calls(history, log, space))
        if not frozenset().union(*(call.paths for call in calls))
        & _written_otherwise(history, log, space)
    )


def _written_otherwise(history: History, log: HubLog, space: str) -> frozenset[str]:
    """Records that somebody wrote at another level, where they merge: no sequential model."""
    strong = {
        commit_id
        for (where, commit_id), attempts in attempts_of(history).items()
        if where == space and attempts[0].level == STRONG
    }
    return frozenset(
        path for entry in log.entries if entry.commit_id not in strong for path in entry.writes
    )


def _calls(history: History, log: HubLog, space: str) -> list[Call]:
    calls = [Call(read.invoked_s, read.returned_s, read) for read in strong_reads(history, space)]
    for write in strong_writes(history, space):
        if write.ended_s is not None:
            calls.append(Call(write.began_s, write.ended_s, write.commit))
        elif (entry := log.first(write.commit)) is not None and entry.outcome in WHOLE:
            calls.append(Call(write.began_s, NEVER_S, write.commit))
    for (where, _), attempts in attempts_of(history).items():
        if where == space and len(attempts) == 1 and _is_mismatch(attempts[0]):
            one = attempts[0]
            calls.append(Call(one.invoked_s, one.returned_s, one, mismatch=True))
    return calls


def _is_mismatch(one: Commit) -> bool:
    """Whether it was refused because what it expected was false."""
    refused = one.status == REFUSED and one.reason == "REVISION_MISMATCH"
    return refused and one.level == STRONG and bool(one.expects)


def _sets(calls: Iterable[Call]) -> list[list[Call]]:
    """Calls that share records, directly or through others."""
    root: dict[str, str] = {}

    def find(path: str) -> str:
        while root.setdefault(path, path) != path:
            path = root[path]
        return path

    calls = list(calls)
    for call in calls:
        first, *others = sorted(call.paths)
        for other in others:
            root[find(other)] = find(first)
    found: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        found[find(min(call.paths))].append(call)
    return list(found.values())


# -- the search --------------------------------------------------------------


class _Event:
    """The beginning or the end of a call, in a list from which calls are taken and put back."""

    __slots__ = ("after", "before", "call", "end", "number")

    def __init__(self, number: int, call: Call | None, end: _Event | None) -> None:
        self.number, self.call, self.end = number, call, end
        self.before: _Event | None = None
        self.after: _Event | None = None


def _linked(calls: list[Call]) -> _Event:
    """The events in the order of time, after an event that is none. Of two at one time, beginnings
    come first: such calls overlap."""
    events: list[tuple[float, int, _Event]] = []
    for number, call in enumerate(calls):
        end = _Event(number, None, None)
        events.append((call.began_s, 0, _Event(number, call, end)))
        events.append((call.ended_s, 1, end))
    events.sort(key=lambda event: event[:2])
    head = last = _Event(-1, None, None)
    for _, _, event in events:
        last.after, event.before = event, last
        last = event
    return head


def _lift(event: _Event) -> None:
    """Takes a call out of the list."""
    end = event.end
    assert end is not None and event.before is not None and end.before is not None
    event.before.after = event.after
    if event.after is not None:
        event.after.before = event.before
    end.before.after = end.after
    if end.after is not None:
        end.after.before = end.before


def _unlift(event: _Event) -> None:
    """Puts back the call that was taken out last."""
    end = event.end
    assert end is not None and event.before is not None and end.before is not None
    if end.after is not None:
        end.after.before = end
    end.before.after = end
    if event.after is not None:
        event.after.before = event
    event.before.after = event


def linearizable(calls: list[Call], max_steps: int = MAX_STEPS) -> str | None:
    """None if there is an order that explains all these calls, else what is wrong."""
    head = _linked(calls)
    wanted = sum(1 for call in calls if call.ended_s != NEVER_S)
    states: States = {}
    taken: list[tuple[_Event, States]] = []
    done, answered, deepest = 0, 0, 0
    tried: set[Hashable] = set()
    event = head.after
    for steps in count():
        if answered == wanted:
            return None
        if steps > max_steps:
            return f"no order was found in {max_steps} steps; {len(calls)} requests are too many"
        assert event is not None
        if event.call is not None:  # may it be the next?
            after = event.call.after(states)
            key = (done | 1 << event.number, _frozen(after))
            if after is not None and key not in tried:
                tried.add(key)
                taken.append((event, states))
                states, done = after, done | 1 << event.number
                answered += event.call.ended_s != NEVER_S
                deepest = max(deepest, answered)
                _lift(event)
                event = head.after
            else:
                event = event.after
        elif not taken:
            return f"no order explains these {len(calls)} requests, at most {deepest} of them"
        else:  # this call has ended, so it must come before; the last choice was wrong
            chosen, states = taken.pop()
            assert chosen.call is not None
            done &= ~(1 << chosen.number)
            answered -= chosen.call.ended_s != NEVER_S
            _unlift(chosen)
            event = chosen.after
    raise AssertionError("not reached")


def _frozen(states: States | None) -> Hashable:
    return frozenset(_pairs(states)) if states is not None else None


def _pairs(states: States) -> Iterator[tuple[str, str]]:
    for path, value in states.items():
        if value is not None:
            yield path, repr(sorted(value.items()))
