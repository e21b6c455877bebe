"""Mistakes put into production code on purpose, each of a kind that other systems have shipped.

A checker that never fails shows nothing. Every mistake here must be found within a few seeds of the
faults that bring it out, by a promise that it breaks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import cloud_hub.conflicts
import cloud_hub.deciding
import cloud_hub.ingest
import cloud_hub.loading
import cloud_hub.transaction
import edge_agent.daemon
import edge_agent.events
import edge_agent.level_reads
import edge_agent.reconcile
import edge_agent.renaming
import edge_agent.replica
import edge_agent.retention
import edge_agent.services.state
import edge_agent.standing
import edge_agent.stream
import edge_agent.watchers
import sync.merge
import sync.rules
from cloud_hub.repeats import Repeats
from cloud_hub.storage.driver import StorageUnavailable
from holdfast.host import failpoints
from holdfast.host.sqlite import Pragmas, transact
from sync.clock import MAX_LEAD_MS, stamp_at
from sync.edge_session import EdgeSession
from sync.policy import DeleteRule
from sync.rules import choices
from sync.ruling import Rule
from tests.simulation import disks, machines

patch = mock.patch.object

BETWEEN = failpoints.declare("test.between.transactions")
SLOW = {"disk_slowness_s": 0.05}
"""Disks so slow that much waits at a time, and much is under way when a stream breaks."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake: how it is made, which faults bring it out, which promises it may break first."""

    name: str
    make: Callable[[], AbstractContextManager[object]]
    families: tuple[str, ...]
    promises: frozenset[str]
    knobs: tuple[tuple[object, str, object], ...] = ()
    changes: Mapping[str, object] = field(default_factory=dict)
    """Of the plan, so that the mistake has occasions."""
    seed: int = 1
    """Where to begin: the first that shows the mistake, as far as is known."""


@contextlib.contextmanager
def _sent_and_decided_again() -> Iterator[None]:
    """The edge sends everything anew on each stream, and the hub does not know it again."""
    push, compared = cloud_hub.deciding.Decider.push, EdgeSession._compared

    def again(self: Any, item: Any) -> Any:
        number = self.loaded.numbers[item.batch.origin]
        mark = self.loaded.marks.get(number)
        if mark is not None and item.batch.first_seq <= mark.seq:
            self._decide(item.batch, number, item)
            return self.result(item.batch.origin)
        return push(self, item)

    def from_zero(self: Any) -> Any:
        actions = compared(self)
        self._sent = {}
        return actions

    with (
        patch(cloud_hub.deciding.Decider, "push", again),
        patch(EdgeSession, "_compared", from_zero),
    ):
        yield


def _synced_less(name: str) -> AbstractContextManager[object]:
    """A file whose newest commits loss of power may take."""
    opening = disks.SimulatedFile.__init__

    def open_less(self: Any, process: Any, disk: Any, file: Any, pragmas: Pragmas) -> None:
        used = replace(pragmas, synchronous="NORMAL") if file.path.name == name else pragmas
        opening(self, process, disk, file, used)

    return patch(disks.SimulatedFile, "__init__", open_less)


def _cursor_apart() -> AbstractContextManager[object]:
    """Records in one transaction, the cursor in the next."""
    return _saved_apart(_keep_records_only)


def _watermark_apart() -> AbstractContextManager[object]:
    """The cursor in one transaction, what is known decided of own commits in the next."""
    return _saved_apart(_keep_cursor_only)


def _keep_records_only(before: Any, after: Any) -> Any:
    return replace(after, cursor=before.cursor, own=before.own)


def _keep_cursor_only(before: Any, after: Any) -> Any:
    return replace(after, own=before.own)


def _saved_apart(first: Callable[[Any, Any], Any]) -> AbstractContextManager[object]:
    apply, save = edge_agent.replica.apply, edge_agent.standing.save

    def apart(connection: Any, space: str, *args: Any, **more: Any) -> Any:
        before, last = edge_agent.standing.load(connection, space), []

        def save_first(c: Any, standing: Any) -> None:
            last.append(standing)
            save(c, first(before, standing))

        with patch(edge_agent.standing, "save", save_first):
            applied = apply(connection, space, *args, **more)
        BETWEEN()
        transact(connection, lambda c: save(c, last[-1]))
        return applied

    return patch(edge_agent.replica, "apply", apart)


def _clamped_only() -> AbstractContextManager[object]:
    """A stamp is clamped to the hub's time and not lifted above what its author had seen."""

    def clamped(claimed: int, hub_ms: int, _floor: int) -> int:
        return min(claimed, stamp_at(hub_ms + MAX_LEAD_MS))

    return patch(cloud_hub.deciding, "decide_stamp", clamped)


@contextlib.contextmanager
def _told_too_early() -> Iterator[None]:
    """Readers are told before the transaction is durable."""
    run, make = cloud_hub.transaction._Run.run, cloud_hub.ingest.Ingest.__init__
    fanouts: dict[int, Any] = {}

    def make_known(self: Any, transactor: Any, fanout: Any, *more: Any) -> None:
        fanouts[id(transactor)] = fanout
        make(self, transactor, fanout, *more)

    async def run_and_tell(self: Any) -> Any:
        decided, kept = await run(self)
        fanouts[id(self._t)].publish(self._space, decided.rows, decided.head)
        return decided, kept

    with (
        patch(cloud_hub.transaction._Run, "run", run_and_tell),
        patch(cloud_hub.ingest.Ingest, "__init__", make_known),
        _failing_at_commit(),
    ):
        yield


def _failing_at_commit() -> AbstractContextManager[object]:
    """The database fails after the work is done and before it is committed."""
    write = machines.FlakyDriver.write

    class Lost(Exception):
        """Rolls the transaction back."""

    async def fail_late(self: Any, work: Any) -> Any:
        if self._machine.next_failure() != "before":
            return await write(self, work)

        async def undone(tx: Any) -> None:
            await work(tx)
            raise Lost

        try:
            await self._driver.write(undone)
        except Lost:
            raise StorageUnavailable("lost before the commit") from None

    return patch(machines.FlakyDriver, "write", fail_late)


@contextlib.contextmanager
def _ids_ignored() -> Iterator[None]:
    """A client's retry at another door is another commit."""

    async def none(_self: Any) -> dict[bytes, Any]:
        return {}

    def all_new(batch: Any, _firsts: Any) -> Any:
        return batch, Repeats()

    with (
        patch(cloud_hub.loading.Loader, "_firsts", none),
        patch(cloud_hub.deciding, "without_repeats", all_new),
    ):
        yield


def _split_commits() -> AbstractContextManager[object]:
    """Watchers are told of a commit in two parts."""
    whole = edge_agent.events.decided_events

    def parts(*args: Any) -> Iterator[Any]:
        for event in whole(*args):
            if len(event.changes) > 1:
                yield replace(event, changes=event.changes[:1])
                yield replace(event, changes=event.changes[1:])
            else:
                yield event

    return patch(edge_agent.watchers, "decided_events", parts)


def _deletions_forgotten() -> AbstractContextManager[object]:
    """An edit revives what was deleted, whatever the policy says."""
    revive = sync.merge.Merge._edit_on_deleted

    def always(self: Any, op: int, record: Any, policy: Any) -> None:
        revive(self, op, record, replace(policy, deletes=DeleteRule.EDIT_WINS))

    return patch(sync.merge.Merge, "_edit_on_deleted", always)


def _losers_dropped() -> AbstractContextManager[object]:
    """What loses is not kept."""

    async def nothing(_tx: Any, _space: str, _rows: Sequence[Any]) -> None:
        return

    return patch(cloud_hub.conflicts, "insert", nothing)


def _view_left_behind() -> AbstractContextManager[object]:
    """After a crash between outbox and view nobody puts the view together."""

    async def nothing(_files: Any, _space: str) -> None:
        return

    return patch(edge_agent.reconcile, "catch_up", nothing)


def _trimmed_unsent() -> AbstractContextManager[object]:
    """Rows of the outbox go when they are old, decided or not."""

    def everything(outbox: Any) -> Mapping[Any, Any]:
        return {stream: (c.last_seq, c.last_id) for stream, c in outbox.counters.items()}

    trim = edge_agent.retention.trim

    def trim_all(connection: Any, outbox: Any, _decided: Any, now_ms: int) -> int:
        return trim(connection, outbox, everything(outbox), now_ms)

    return patch(edge_agent.retention, "trim", trim_all)


def _moved_and_lost() -> AbstractContextManager[object]:
    """Commits that get a new origin are declared lost on the way."""
    return patch(edge_agent.renaming._Renewal, "_fault", lambda _self, _commit: "OUTBOX_DAMAGED")


def _resumed_too_far() -> AbstractContextManager[object]:
    """A watch that resumes leaves one commit out."""
    parse = edge_agent.services.state._resume_from

    def one_more(data: bytes) -> Any:
        place = parse(data)
        return None if place is None else replace(place, revision=place.revision + 1)

    return patch(edge_agent.services.state, "_resume_from", one_more)


@contextlib.contextmanager
def _cancelled_halfway() -> Iterator[None]:
    """The end of a stream takes its worker along in the middle of what it does."""

    async def just_awaited(work: Any) -> Any:
        return await work

    with patch(edge_agent.stream, "_to_its_end", just_awaited):
        yield


@contextlib.contextmanager
def _base_of_group_unknown() -> Iterator[None]:
    """The stamps of commits before it in its group do not lift a commit of the hub's own door."""
    decide = cloud_hub.deciding.Decider._decide

    def forgetful(self: Any, *args: Any, **more: Any) -> Any:
        entry = decide(self, *args, **more)
        self.stamp_max = 0
        return entry

    with patch(cloud_hub.deciding.Decider, "_decide", forgetful):
        yield


def _losing_values_cut() -> AbstractContextManager[object]:
    """A conflict is told of, and what lost in it is not kept."""
    values = cloud_hub.conflicts._values

    def cut(row: Any) -> Any:
        return values(replace(row, conflict=replace(row.conflict, theirs_value=None)))

    return patch(cloud_hub.conflicts, "_values", cut)


def _marks_fall() -> AbstractContextManager[object]:
    """A watermark is merged like any other value."""
    last = {Rule.MAX: choices.last, Rule.MIN: choices.last}
    return mock.patch.dict(sync.rules.RULES, last)


def _answers_not_noted() -> AbstractContextManager[object]:
    """The log of conflicts does not learn of answers."""

    async def nothing(_tx: Any, _space: str, _answers: Sequence[Any]) -> None:
        return

    return patch(cloud_hub.conflicts, "answer", nothing)


def _strong_from_here() -> AbstractContextManager[object]:
    """A strong read at an edge is answered from what is there."""

    async def here(self: Any, _space: str, demand: Any, seconds: float, ask: Any) -> Any:
        return await self._here(demand, seconds, ask)

    return patch(edge_agent.level_reads.LevelReads, "_strong", here)


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


MUTANTS = (
    Mutant(
        "sent and decided again", _sent_and_decided_again, ("network",),
        _of("errors", "gapless", "liveness", "once"),
    ),
    Mutant(
        "outbox synced less", lambda: _synced_less("outbox.db"), ("power",),
        _of("acknowledged", "session", "monotonic", "own writes", "housekeeping", "edge state"),
    ),
    Mutant(
        "hub acknowledges before it is durable", lambda: _synced_less("hub.db"), ("hub_power",),
        _of(
            "acknowledged", "housekeeping", "edge state", "watch", "session", "liveness",
            "monotonic", "own writes", "states",
        ),
    ),
    Mutant(
        "cursor in a second transaction", _cursor_apart, ("between",),
        _of("edge state", "watch", "housekeeping", "liveness"),
    ),
    Mutant(
        "own watermark outside the cursor's transaction", _watermark_apart, ("between", "between"),
        _of("edge state", "liveness"),
    ),
    Mutant("clamp without context", _clamped_only, ("clock",), _of("stamps")),
    Mutant(
        "fan-out before commit", _told_too_early, ("hub",),
        _of("edge state", "watch", "housekeeping"),
    ),
    Mutant("commit id ignored", _ids_ignored, ("crash", "hub"), _of("once")),
    Mutant("commit split for watchers", _split_commits, ("none",), _of("watch")),
    Mutant("deletion forgotten", _deletions_forgotten, ("network",), _of("tombstones")),
    Mutant("losers dropped", _losers_dropped, ("network",), _of("conflict log")),
    Mutant(
        "view left behind", _view_left_behind, ("commit_crash",),
        _of("edge state", "session", "own writes"),
    ),
    Mutant(
        "outbox trimmed unsent", _trimmed_unsent, ("down",),
        _of("acknowledged", "errors", "liveness", "housekeeping", "edge state"),
        (
            (edge_agent.retention, "WINDOW_MS", 500),
            (edge_agent.retention, "CHECKPOINT_ROWS", 10),
            (edge_agent.daemon, "SWEEP_SECONDS", 0.5),
        ),
    ),
    Mutant("moved and lost", _moved_and_lost, ("copy",), _of("lost"), seed=8),
    Mutant("resumed too far", _resumed_too_far, ("crash",), _of("watch")),
    Mutant(
        "cancelled halfway", _cancelled_halfway, ("network", "network"),
        _of("watch", "edge state"), changes=SLOW,
    ),
    Mutant(
        "stamps of the group unknown", _base_of_group_unknown, ("none",), _of("stamps"),
        changes={**SLOW, "hub_clients": 4}, seed=44,
    ),
    Mutant(
        "losing values cut", _losing_values_cut, ("network",), _of("accounting"),
        changes={"workloads": ("ruled",)},
    ),
    Mutant(
        "marks fall", _marks_fall, ("network",), _of("accounting"),
        changes={"workloads": ("ruled",), "gap": 0.2},
    ),
    Mutant(
        "answers not noted", _answers_not_noted, ("none",), _of("inbox"),
        changes={"workloads": ("ruled", "answers")},
    ),
    Mutant(
        "strong read from here", _strong_from_here, ("network",),
        _of("strong by witness", "strong by search"),
        changes={"workloads": ("levels",)},
    ),
)  # fmt: skip
