"""ConflictService at an edge's sockets: the inbox of what it replicates, offline too.

An answer is a commit like any other: durable here when it is answered, decided by the hub later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from edge_agent.inbox import NEWEST, Inbox
from edge_agent.services.state import StateService
from edge_agent.services.telling import record_to
from holdfast.host.refusal import Refusal
from holdfast.v1 import conflict_service_pb2 as pb
from holdfast.v1 import state_service_pb2 as state
from sync import names
from sync.codec import conflicts as convert
from sync.inbox import Entry, decode
from sync.names import inbox_of, is_inbox
from sync.position import ID_BYTES
from sync.room import Room

Context = grpc.aio.ServicerContext[Any, Any]

MAX_PAGE = 1_000
DEFAULT_PAGE = 100

SCAN_PAGE = 100
"""Entries fetched at once: of the largest, some tens of megabytes."""

MAX_SCAN = 10_000
"""Entries looked at for one page of a narrow list: a tenth of a second."""


class ConflictService:
    """Serves holdfast.v1.ConflictService at one socket, whose StateService is `door`."""

    def __init__(self, inbox: Inbox, door: StateService) -> None:
        self._inbox, self._door = inbox, door

    async def ListConflicts(
        self, request: pb.ListConflictsRequest, context: Context
    ) -> pb.ListConflictsResponse:
        """The inbox, newest first."""
        del context
        space, wanted = names.check_space(request.space), convert.wanted_from(request)
        if not 0 <= request.page_size <= MAX_PAGE:
            raise Refusal("PAGE_SIZE_INVALID")
        size = request.page_size or DEFAULT_PAGE
        found, left = await self._narrowed(space, wanted, _before(request.page_token), size)
        return pb.ListConflictsResponse(
            conflicts=[convert.conflict_to(space, entry) for entry in found], next_page_token=left
        )

    async def _narrowed(
        self, space: str, wanted: convert.Wanted, before: str, size: int
    ) -> tuple[list[Entry], str]:
        """A page of entries that are wanted, and the token of the next (empty: this is the end)."""
        found: list[Entry] = []
        room = Room()
        for _ in range(MAX_SCAN // SCAN_PAGE):
            entries = await self._inbox.page(space, before, SCAN_PAGE)
            for entry in entries:
                if wanted.matches(entry.collection, entry.key, entry.kind, entry.state):
                    if not room.takes(entry.size_bytes):
                        return found, before
                    found.append(entry)
                before = entry.id.hex()
                if len(found) == size:
                    return found, before
            if len(entries) < SCAN_PAGE:
                return found, ""
        return found, before

    async def GetConflict(
        self, request: pb.GetConflictRequest, context: Context
    ) -> pb.GetConflictResponse:
        """One conflict, with the record as it is here."""
        del context
        space = names.check_space(request.space)
        entry, _, read = await self._inbox.get(space, convert.id_from(request.id))
        rest = read.records[1:]
        return pb.GetConflictResponse(
            conflict=convert.conflict_to(space, entry),
            record=record_to(rest[0]) if rest else None,
        )

    async def WatchConflicts(
        self, request: pb.WatchConflictsRequest, context: Context
    ) -> AsyncIterator[pb.WatchConflictsResponse]:
        """The inbox as it changes; answers given here are told at once."""
        del context
        collection = request.collection and names.check_collection(request.collection)
        watch = state.WatchRequest(
            space=request.space,
            collection=inbox_of(collection) if collection else "",
            include_pending=True,
            resume_token=request.resume_token,
        )
        async with aclosing(self._door.watch(watch)) as messages:
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
        """Takes what shall stand."""
        return pb.ResolveConflictResponse(commit=await self._say(request, context))

    async def UndoConflict(
        self, request: pb.UndoConflictRequest, context: Context
    ) -> pb.UndoConflictResponse:
        """Takes that what was before shall be again."""
        return pb.UndoConflictResponse(commit=await self._say(request, context))

    async def _say(
        self, request: pb.ResolveConflictRequest | pb.UndoConflictRequest, context: Context
    ) -> state.CommitResponse:
        self._door.named(request.actor)
        word = convert.word_from(request)
        entry, record, _ = await self._inbox.get(word.space, word.id)
        return await self._door.commit(word.commit(entry, record.version), context, system=True)


def _before(token: str) -> str:
    if not token:
        return NEWEST
    try:
        if len(bytes.fromhex(token)) != ID_BYTES:
            raise ValueError
    except ValueError:
        raise Refusal("PAGE_TOKEN_INVALID") from None
    return token.lower()
