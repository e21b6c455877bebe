"""Commits as watchers see them: each whole, with the records as it left them.

The log holds what changed; a watcher wants what is. Values are carried forward
from change to change and kept for the records changed last, so that a row is
worked out once for all watchers; a record that is not kept is rebuilt from the
log.

Invariant: events of a row are in the order of their revisions, and depend on the
log alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from cloud_hub.change_log import LogRow
from cloud_hub.storage.driver import Driver, Transaction
from cloud_hub.timeline import Rows, Timeline
from cloud_hub.transaction import Bases
from sync.apply import apply_to
from sync.batch import Decided
from sync.body import Body
from sync.commit import Actor, Extra, OpId, Outcome
from sync.resolve import Key

KEPT_VALUES = 20_000
"""Values carried forward: some 10 MB of the usual size."""

KEPT_ROWS = 32
"""Rows worked out: watchers are close to each other, at the head."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A record after a commit; `body` is that of the last value if it was deleted."""

    collection: str
    key: str
    body: Body
    deleted: bool
    previous: int

    @property
    def value(self) -> bytes:
        """Put together each time for long texts, since many states of one are kept here."""
        return self.body.copy().value


@dataclass(frozen=True, slots=True)
class Event:
    """One commit."""

    revision: int
    op_id: OpId
    outcome: Outcome
    actor: Actor
    stamp: int
    extra: Extra
    changes: tuple[Changed, ...]


class Events:
    """Works out rows of the log."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._values: OrderedDict[tuple[str, Key], tuple[int, Body | None]] = OrderedDict()
        self._rows: OrderedDict[tuple[str, int], Sequence[Event]] = OrderedDict()
        self._before: OrderedDict[tuple[str, int], Bases] = OrderedDict()

    def decided(self, space: str, first_revision: int, before: Bases) -> None:
        """Notes records as they were before a group, so that whoever watches at the head never
        needs a record's past, however long it is."""
        self._before[space, first_revision] = before
        if len(self._before) > KEPT_ROWS:
            self._before.popitem(last=False)

    def forget(self) -> None:
        """A history has ended: a revision may stand for another commit now."""
        self._values.clear()
        self._rows.clear()
        self._before.clear()

    async def of(self, space: str, row: LogRow) -> Sequence[Event]:
        """The commits of a row. Raises StorageError, Refusal HISTORY_TOO_LONG."""
        place = (space, row.first_revision)
        if place not in self._rows:
            decided = row.decided(space)
            bases = await self._bases(space, decided)
            self._rows[place] = _events(decided, bases)
            self._keep(space, decided, bases)
            if len(self._rows) > KEPT_ROWS:
                self._rows.popitem(last=False)
        return self._rows[place]

    async def _bases(self, space: str, decided: Decided) -> dict[Key, Body | None]:
        """The live values before the row of the records that it changes."""
        wanted: dict[Key, int] = {}
        batch = decided.batch
        for op, (collection, key) in enumerate(zip(batch.collections, batch.keys, strict=True)):
            if batch.kinds[op]:
                wanted.setdefault((collection, key), decided.previous[op])
        bases: dict[Key, Body | None] = {}
        missing: dict[Key, int] = {}
        before = self._before.get((space, decided.first_revision), {})
        for name, revision in wanted.items():
            known = (before.get(name), self._values.get((space, name)))
            kept = next((k for k in known if k is not None and k[0] == revision), None)
            if revision == 0:
                bases[name] = None
            elif kept is not None:
                bases[name] = kept[1]
            else:
                missing[name] = revision
        if missing:
            bases.update(await self._rebuilt(space, missing))
        return bases

    async def _rebuilt(self, space: str, missing: dict[Key, int]) -> dict[Key, Body | None]:
        """One by one, since long histories take a while and others wait to read; what is past
        does not change in between."""
        rows: Rows = OrderedDict()
        found: dict[Key, Body | None] = {}
        for key, at in missing.items():

            async def work(tx: Transaction, key: Key = key, at: int = at) -> Body | None:
                return await Timeline(tx, space, rows).rebuild(*key, at)

            found[key] = await self._driver.read(work)
        return found

    def _keep(self, space: str, decided: Decided, values: dict[Key, Body | None]) -> None:
        """Notes the values after the row, which `values` holds by now, with their revisions."""
        starts = decided.batch.op_starts()
        for index in range(len(decided.batch)):
            for op in range(starts[index], starts[index + 1]):
                if decided.batch.kinds[op]:
                    name = (decided.batch.collections[op], decided.batch.keys[op])
                    place = (space, name)
                    self._values[place] = (decided.first_revision + index, values[name])
                    self._values.move_to_end(place)
        while len(self._values) > KEPT_VALUES:
            self._values.popitem(last=False)


def _events(decided: Decided, values: dict[Key, Body | None]) -> list[Event]:
    """The commits of a row; `values` goes from before it to after it."""
    batch, starts = decided.batch, decided.batch.op_starts()
    events: list[Event] = []
    for index in range(len(batch)):
        changed: dict[Key, Changed] = {}
        for op in range(starts[index], starts[index + 1]):
            if not batch.kinds[op]:
                continue
            name = (batch.collections[op], batch.keys[op])
            before = values[name]
            own = None if before is None else before.copy()
            made = apply_to(own, batch.kinds[op], batch.payloads[op])
            after = values[name] = None if made is None else made.copy()  # as small as it can be
            previous = changed[name].previous if name in changed else decided.previous[op]
            shown = after or before or Body(b"{}")
            changed[name] = Changed(*name, shown, after is None, previous)
        events.append(
            Event(
                revision=decided.first_revision + index,
                op_id=OpId(batch.origin, batch.first_seq + index, batch.commit_ids[index]),
                outcome=decided.outcome(index),
                actor=batch.actors[index],
                stamp=decided.stamps[index],
                extra=batch.extra(index),
                changes=tuple(changed.values()),
            )
        )
    return events
