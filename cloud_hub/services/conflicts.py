"""ConflictService at the hub: the whole log of conflicts, and answers that are decided at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc

from cloud_hub import conflicts, heads, inbox, origins, records
from cloud_hub.conflicts import Logged
from cloud_hub.reads import Reads
from cloud_hub.services.state import StateService, page_size, record_to
from cloud_hub.storage.driver import Driver, Transaction
from holdfast.host.door import Refusal
from holdfast.v1 import conflict_service_pb2 as pb
from holdfast.v1 import state_service_pb2 as state
from sync import names
from sync.codec import conflicts as convert
from sync.commit import Version
from sync.inbox import Entry, decode
from sync.names import inbox_of, is_inbox
from sync.position import parse_number
from sync.room import Room

Context = grpc.aio.ServicerContext[Any, Any]

MAX_SCAN = 10_000
"""Rows looked at for one page of a narrow list: some tens of milliseconds."""

SCAN_PAGE = 100
"""Rows fetched at once: of the largest, some tens of megabytes."""


class ConflictService:
    """Serves holdfast.v1.ConflictService."""

    def __init__(self, driver: Driver, reads: Reads, door: StateService) -> None:
        self._driver, self._reads, self._door = driver, reads, door

    async def ListConflicts(
        self, request: pb.ListConflictsRequest, context: Context
    ) -> pb.ListConflictsResponse:
        """The log of conflicts, newest first."""
        del context
        space, size = names.check_space(request.space), page_size(request.page_size)
        wanted, place = convert.wanted_from(request), _place(request.page_token)

        async def work(tx: Transaction) -> tuple[list[Entry], tuple[int, int] | None]:
            rows, left = await _narrowed(tx, space, wanted, place, size)
            return await _entries(tx, space, rows), left

        found, left = await self._driver.read(work)
        return pb.ListConflictsResponse(
            conflicts=[convert.conflict_to(space, entry) for entry in found],
            next_page_token=f"{left[0]}.{left[1]}" if left else "",
        )

    async def GetConflict(
        self, request: pb.GetConflictRequest, context: Context
    ) -> pb.GetConflictResponse:
        """One conflict, with the record as it is now."""
        del context
        space = names.check_space(request.space)
        entry, _ = await self._entry(space, convert.id_from(request.id))
        position, found = await self._reads.get(space, [(entry.collection, entry.key)])
        return pb.GetConflictResponse(
            conflict=convert.conflict_to(space, entry),
            record=record_to(position.epoch, found[0]) if found else None,
        )

    async def WatchConflicts(
        self, request: pb.WatchConflictsRequest, context: Context
    ) -> AsyncIterator[pb.WatchConflictsResponse]:
        """The inbox as it changes."""
        collection = request.collection and names.check_collection(request.collection)
        watch = state.WatchRequest(
            space=request.space,
            collection=inbox_of(collection) if collection else "",
            resume_token=request.resume_token,
        )
        async with aclosing(self._door.Watch(watch, context)) as messages:  # type: ignore[type-var]
            async for message in messages:
                token = message.resume_token
                if message.HasField("bookmark"):
                    yield pb.WatchConflictsResponse(resume_token=token)
                for change in message.commit.changes:
                    if is_inbox(change.record.collection):
                        entry = decode(change.record.key, change.record.json.encode())
                        told = convert.conflict_to(request.space, entry)
                        yield pb.WatchConflictsResponse(conflict=told, resume_token=token)

    async def ResolveConflict(
        self, request: pb.ResolveConflictRequest, context: Context
    ) -> pb.ResolveConflictResponse:
        """Decides what shall stand."""
        return pb.ResolveConflictResponse(commit=await self._say(request, context))

    async def UndoConflict(
        self, request: pb.UndoConflictRequest, context: Context
    ) -> pb.UndoConflictResponse:
        """Puts back what was before."""
        return pb.UndoConflictResponse(commit=await self._say(request, context))

    async def _say(
        self, request: pb.ResolveConflictRequest | pb.UndoConflictRequest, context: Context
    ) -> state.CommitResponse:
        word = convert.word_from(request)
        entry, at = await self._entry(word.space, word.id)
        return await self._door.commit(word.commit(entry, at), context, system=True)

    async def _entry(self, space: str, id_: bytes) -> tuple[Entry, Version | None]:
        """A conflict, and the version of its entry in the inbox if it has one."""

        async def work(tx: Transaction) -> tuple[Entry, Version | None]:
            row = await conflicts.of_id(tx, space, id_)
            head = await heads.read(tx, space)
            if row is None or head is None:
                raise Refusal("CONFLICT_NOT_FOUND", f"{space} has no conflict {id_.hex()}")
            place = (inbox_of(row.conflict.collection), id_.hex())
            name = (row.conflict.collection, row.conflict.key)
            stored = await records.load(tx, space, [place, name])
            (entry,) = await _entries(tx, space, [row])
            newest = stored[name].working.revision if name in stored else 0
            base = await inbox.History(tx, space).base_of(row, newest)
            at = stored.get(place)
            version = Version(head.epoch, at.working.revision) if at is not None else None
            return replace(entry, base=base), version

        return await self._driver.read(work)


async def _narrowed(
    tx: Transaction, space: str, wanted: convert.Wanted, place: tuple[int, int], size: int
) -> tuple[list[Logged], tuple[int, int] | None]:
    """A page of rows that are wanted, and where to go on (None: this is the end)."""
    found: list[Logged] = []
    room = Room()
    open_only = wanted.states == {"open"}
    for _ in range(MAX_SCAN // SCAN_PAGE):
        rows = await conflicts.page(tx, space, place, SCAN_PAGE, open_only=open_only)
        for row in rows:
            one = row.conflict
            if wanted.matches(one.collection, one.key, one.kind, row.state):
                values = (one.ours_value, one.theirs_value, one.result)
                if not room.takes(sum(len(value) for value in values if value is not None)):
                    return found, place
                found.append(row)
            place = row.place
            if len(found) == size:
                return found, place
        if len(rows) < SCAN_PAGE:
            return found, None
    return found, place


async def _entries(tx: Transaction, space: str, rows: list[Logged]) -> list[Entry]:
    head = await heads.read(tx, space)
    parts = [part for row in rows for part in (row.conflict.ours, row.conflict.theirs) if part]
    known = await origins.names(tx, {part.origin for part in parts})
    history = inbox.History(tx, space)
    entries = []
    for row in rows:
        actor, claimed = await history.author_of(row.conflict.ours)
        epoch = head.epoch if head else 0
        entries.append(inbox.entry_of(row, epoch, known, None, actor, claimed))
    return entries


def _place(token: str) -> tuple[int, int]:
    if not token:
        return conflicts.NEWEST
    revision, _, idx = token.partition(".")
    try:
        return parse_number(revision), parse_number(idx)
    except ValueError:
        raise Refusal("PAGE_TOKEN_INVALID") from None
