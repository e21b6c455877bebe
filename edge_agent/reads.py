"""Reading the view: the hub's records at the cursor with this edge's pending commits on top.

Every request is answered from one snapshot of replica.db, on a connection of its own, so it waits
neither for the network nor for a writer. The position, what is pending, and the records belong
together.

A read can demand what its state must contain. That is looked at in the snapshot that answers, so
whatever happened to the replica since somebody waited for it, what is not there is never answered.

Invariant: an answer's context names exactly the state that its records were read from.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from typing import Any

from edge_agent import standing as standings
from edge_agent import statements, states
from edge_agent.database import EdgeFiles
from edge_agent.requests import Context, Read, Record
from edge_agent.standing import Standing
from edge_agent.states import HubRecord, Name, Overlaid
from holdfast.host.refusal import Refusal
from sync import digest as digests
from sync.commit import Version
from sync.filters import Filter
from sync.messages import CollectionDigest, Scope
from sync.position import Position
from sync.room import SCANNED_BYTES, Room

SQL = statements.load("reads")
REPLICA = statements.load("replica")

MAX_NAMES = 1_000
MAX_PAGE = 1_000
MAX_SCAN = 10_000
"""Records looked at for a page: tens of milliseconds, in which other readers wait."""

DEFAULT_PAGE = 100
DEFAULT_SCAN = 1_000

_LAST_POINT = 0x10FFFF
_BEFORE_SURROGATES, _AFTER_SURROGATES = 0xD7FF, 0xE000


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which records of a collection, and how many at once; zero means the default."""

    space: str
    collection: str
    prefix: str = ""
    filter: Filter | None = None
    page_size: int = 0
    page_token: str = ""
    scan_limit: int = 0
    descending: bool = False


class Behind(Exception):
    """The state does not contain what was demanded of it."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a state must contain to be read: the hub's history up to `position`, and decisions on
    this edge's own commits, by the origin's ordinal the seq. With `hub_part` the answer is what the
    hub has decided, without what is pending."""

    position: Position | None = None
    decided: Mapping[int, int] = field(default_factory=dict)
    hub_part: bool = False

    def met(self, standing: Standing) -> bool:
        at, own = self.position, standing.own
        there = (standing.cursor.epoch, standing.cursor.revision)
        reached = at is None or at.revision == 0 or there >= (at.epoch, at.revision)
        return reached and all(
            seq == 0 or (ordinal in own and own[ordinal].decided_seq >= seq)
            for ordinal, seq in self.decided.items()
        )

    def standing(self, connection: sqlite3.Connection, space: str) -> Standing:
        """Where the snapshot stands, as far as it is to be read. Raises Behind."""
        found = standings.load(connection, space)
        if not self.met(found):
            raise Behind
        return found.hub_part if self.hub_part else found


ANYTHING = Demand()


class Reads:
    """Answers reads from a replica. `files.reader` is looked up each time: it may be replaced."""

    def __init__(self, files: EdgeFiles, scopes: Mapping[str, Scope] | None = None) -> None:
        self._files = files
        self._scopes = scopes

    async def get(self, space: str, collection: str, key: str, demand: Demand = ANYTHING) -> Read:
        """One record. Raises Refusal RECORD_NOT_FOUND, OUT_OF_SCOPE, and Behind."""
        read = await self.batch_get(space, [(collection, key)], demand)
        if not read.records:
            raise Refusal("RECORD_NOT_FOUND", f"{space}/{collection}/{key}")
        return read

    async def batch_get(self, space: str, names: Sequence[Name], demand: Demand = ANYTHING) -> Read:
        """The named records that exist, in the order of the names. Raises Refusal, Behind."""
        if not 1 <= len(names) <= MAX_NAMES:
            raise Refusal("TOO_MANY_OPS", f"1 to {MAX_NAMES} names")
        self.check(space, {collection for collection, _ in names})
        return await self._files.reader.snapshot(lambda c: _batch_get(c, space, names, demand))

    async def list(self, query: ListQuery, demand: Demand = ANYTHING) -> Read:
        """A page of a collection in the order of keys. Raises Refusal, Behind."""
        self.check(query.space, {query.collection})
        if not 0 <= query.page_size <= MAX_PAGE:
            raise Refusal("PAGE_SIZE_INVALID")
        if not 0 <= query.scan_limit <= MAX_SCAN:
            raise Refusal("SCAN_LIMIT_INVALID")
        after = _after(query.page_token)
        return await self._files.reader.snapshot(lambda c: _list(c, query, after, demand))

    async def standing(self, space: str) -> Standing:
        """Where the replica stands."""
        return await self._files.reader.snapshot(lambda c: standings.load(c, space))

    async def digests(self, space: str) -> tuple[CollectionDigest, ...]:
        """Digests of the hub's part, by collection."""
        rows = await self._files.reader.snapshot(
            lambda c: c.execute(REPLICA["digests"], (space,)).fetchall()
        )
        return tuple(
            CollectionDigest(collection, digests.from_signed(signed), count)
            for collection, signed, count in rows
        )

    def keeps(self, space: str) -> bool:
        """Whether anything of a space is kept here."""
        return self._scopes is None or space in self._scopes

    def check(self, space: str, collections: Iterable[str]) -> None:
        """Raises Refusal OUT_OF_SCOPE unless all of these collections are kept here; an empty name
        stands for all of the space."""
        if self._scopes is None:
            return
        scope = self._scopes.get(space)
        for collection in collections:
            if scope is None or not (scope.covers(collection) if collection else scope.whole):
                raise Refusal("OUT_OF_SCOPE", f"{space}/{collection or '*'} is not kept here")


def _batch_get(
    connection: sqlite3.Connection, space: str, names: Sequence[Name], demand: Demand
) -> Read:
    standing = demand.standing(connection, space)
    hub = states.hub_records(connection, space, names)
    over = states.overlaid(connection, space, names) if standing.seen else {}
    found = [record_of(standing, name, hub.get(name), over.get(name)) for name in names]
    records = tuple(one for one in found if one is not None and not one.deleted)
    return _read(standing, records, includes_pending=bool(over), scanned=len(names))


def _list(connection: sqlite3.Connection, query: ListQuery, after: str, demand: Demand) -> Read:
    standing = demand.standing(connection, query.space)
    scan = query.scan_limit or DEFAULT_SCAN
    page = query.page_size or DEFAULT_PAGE
    upper = _upper(query.prefix)
    start = after or (upper if query.descending else "")
    place = (query.space, query.collection, start, query.prefix, upper, scan + 1)
    records: list[Record] = []
    room, tried, scanned, at = Room(), Room(SCANNED_BYTES), 0, after
    pending, more = False, False
    back = query.descending
    for key, hub, over in _rows(connection, place, overlaid=bool(standing.seen), back=back):
        if len(records) == page or scanned == scan:
            more = True
            break
        record = record_of(standing, (query.collection, key), hub, over)
        if record is not None and not record.deleted:
            if query.filter is not None and not tried.takes(len(record.value)):
                more = True
                break
            if query.filter is None or query.filter.matches(key, record.value):
                if not room.takes(len(record.value)):
                    more = True
                    break
                records.append(record)
        pending = pending or over is not None
        scanned, at = scanned + 1, key
    token = page_token(at) if more else ""
    return _read(standing, tuple(records), pending, scanned, token)


def _rows(
    connection: sqlite3.Connection, place: tuple[str | int, ...], *, overlaid: bool, back: bool
) -> Iterator[tuple[str, HubRecord | None, Overlaid | None]]:
    """What both sides have of each key, in the order of keys or, `back`, from the greatest down;
    read as it is asked for."""
    way = "_back" if back else ""
    rows = connection.execute(SQL[f"scan_records{way}"], place)
    hub = ((row[0].encode(), 0, row) for row in rows)
    over: Iterable[tuple[bytes, int, Any]] = ()
    if overlaid:
        rows = connection.execute(SQL[f"scan_overlay{way}"], place)
        over = ((row[0].encode(), 1, row) for row in rows)
    both = merge(hub, over, key=lambda each: each[:2], reverse=back)
    for _, group in groupby(both, key=lambda each: each[0]):
        found: list[Any] = [None, None]
        key = ""
        for _, side, row in group:
            key, found[side] = row[0], (HubRecord, Overlaid)[side](*row[1:])
        yield key, found[0], found[1]


def record_of(
    standing: Standing, name: Name, hub: HubRecord | None, over: Overlaid | None
) -> Record | None:
    """A record as a reader sees it, deleted ones too; None if there never was one."""
    cursor = standing.cursor
    if over is not None:
        if over.value is None:
            return None
        origin = standing.own[over.ordinal].origin
        version = Version(cursor.epoch, cursor.revision, origin, over.seq, pending=True)
        return Record(*name, over.value, version, over.actor, bool(over.deleted), over.claimed)
    if hub is None:
        return None
    version = Version(cursor.epoch, hub.revision, hub.origin, hub.seq)
    return Record(*name, hub.value, version, hub.actor, bool(hub.deleted), hub.stamp)


def _read(
    standing: Standing,
    records: tuple[Record, ...],
    includes_pending: bool,
    scanned: int,
    next_page: str = "",
) -> Read:
    cursor = standing.cursor
    return Read(
        records,
        Position(cursor.epoch, standing.space, cursor.revision),
        Context(cursor.epoch, cursor.revision, standing.seen),
        includes_pending,
        scanned,
        next_page,
    )


def _upper(prefix: str) -> str:
    """The least text above all that begin with the prefix, as SQLite orders texts (by UTF-8, which
    is by code point)."""
    for index in range(len(prefix) - 1, -1, -1):
        point = ord(prefix[index])
        if point < _LAST_POINT:
            following = _AFTER_SURROGATES if point == _BEFORE_SURROGATES else point + 1
            return prefix[:index] + chr(following)
    return chr(_LAST_POINT) * 256


def page_token(key: str) -> str:
    """Where a list goes on after a key."""
    return base64.urlsafe_b64encode(b"1" + key.encode()).decode()


def _after(token: str) -> str:
    if not token:
        return ""
    try:
        raw = base64.urlsafe_b64decode(token.encode())
        if raw[:1] != b"1":
            raise Refusal("PAGE_TOKEN_INVALID")
        return raw[1:].decode()
    except (binascii.Error, ValueError) as error:
        raise Refusal("PAGE_TOKEN_INVALID") from error
