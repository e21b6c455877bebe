"""Who advances a thread: taking it, giving it back; and its end.

A thread is deleted in steps, since it may have more records than one commit: it is marked, which
makes it gone for everybody, then what is in it goes, page by page, and its own record last. Until
that is gone its authority governs the rest; deleting it again goes on where it stopped.

Invariant: a thread that is marked has nothing in it for anybody, and nobody adds to it.
"""

from __future__ import annotations

from holdfast.v1 import checkpoint_service_pb2 as pb
from holdfast.v1 import state_service_pb2 as state
from sync.authority import CHECKPOINTS, MAX_TOKEN, NOBODY, THREADS, WRITES, Authority
from sync.codec import checkpoints as convert
from sync.commit import Precondition
from sync.doors.contents import Contents
from sync.doors.door import Asked, Call, Door, Plan
from sync.doors.pruning import let_go
from sync.doors.threads import At, ThreadRefused, Threads, checked, record_of
from sync.levels import Level
from sync.reduce import Delete, Patch
from sync.threads import Place, deleting_to, thread_from
from sync.values import join

PAGE = 500
"""Records that are deleted by one commit."""

MAX_PAGES = 1_000
"""So many such commits at most in one request."""


class Handing:
    """Hands threads over at one door."""

    def __init__(self, door: Door, contents: Contents) -> None:
        self._door, self._contents, self._threads = door, contents, Threads(door)

    async def take(self, request: pb.TakeThreadRequest, call: Call) -> pb.TakeThreadResponse:
        """See CheckpointService."""
        self._door.state.named(request.actor)
        place = Place(request.thread_id)
        space, token = checked(request.space, place), request.session_token
        node = self._door.node()

        async def decide() -> Plan:
            at, _ = await self._threads.need(space, place, call, token)
            held = at.thread.authority
            if held.holder == node:
                raise _Ours
            if held.holder != NOBODY and not request.force:
                metadata = {"holder": held.holder, "token": str(held.token)}
                message = f"thread {place.thread_id} is held by {held.holder}"
                raise ThreadRefused("AUTHORITY_HELD", message, metadata)
            seen = Precondition(THREADS, place.thread, version=at.found.version)
            return Plan((_given(at, node),), (seen,), Level.STRONG, token)

        asked = Asked(space, call, request.actor, (THREADS, place.thread), session_token=token)
        commit = None
        try:
            commit = (await self._door.write(asked, decide)).commit
            token = commit.answer.session_token
        except _Ours:
            pass
        at, _ = await self._threads.need(space, place, call, token)
        version = record_of(at.found).version
        told = convert.thread_to(place.thread_id, at.thread, node, version)
        return pb.TakeThreadResponse(thread=told, commit=commit)

    async def release(
        self, request: pb.ReleaseThreadRequest, call: Call
    ) -> pb.ReleaseThreadResponse:
        """See CheckpointService."""
        self._door.state.named(request.actor)
        place = Place(request.thread_id)
        space, token = checked(request.space, place), request.session_token

        async def decide() -> Plan:
            at, _ = await self._threads.need(space, place, call, token)
            shown = at.shown(self._door.node(), request.token)
            return Plan((_given(at, NOBODY),), shown, session_token=token)

        asked = Asked(space, call, request.actor, (THREADS, place.thread), session_token=token)
        return pb.ReleaseThreadResponse(commit=(await self._door.write(asked, decide)).commit)

    async def delete(self, request: pb.DeleteThreadRequest, call: Call) -> pb.DeleteThreadResponse:
        """See CheckpointService."""
        self._door.state.named(request.actor)
        place = Place(request.thread_id)
        space = checked(request.space, place)
        about = (THREADS, place.thread)
        asked = Asked(space, call, request.actor, about, session_token=request.session_token)

        async def mark() -> Plan:
            at = await self._marked(space, place, call, request.session_token)
            if at is None:
                raise _Gone
            shown = at.shown(self._door.node(), request.token)
            marked = Patch(THREADS, place.thread, deleting_to(), ())
            return Plan((marked,), shown, session_token=request.session_token)

        try:
            done = await self._door.write(asked, mark)
        except _Gone:
            return pb.DeleteThreadResponse()
        counted = 0
        for collection in (WRITES, CHECKPOINTS):
            for _ in range(MAX_PAGES):
                gone = await self._page(asked, place, collection, request.token, done.token)
                counted += gone if collection == CHECKPOINTS else 0
                if gone < PAGE:
                    break

        async def end() -> Plan:
            at = await self._marked(space, place, call, done.token)
            if at is None:
                raise _Gone
            shown = at.shown(self._door.node(), request.token)
            return Plan((Delete(THREADS, place.thread),), shown, session_token=done.token)

        try:
            commit = (await self._door.write(asked, end)).commit
        except _Gone:
            commit = done.commit
        await let_go(self._contents.blobs, space, place.thread, frozenset())
        return pb.DeleteThreadResponse(commit=commit, checkpoints=counted)

    async def _page(
        self, asked: Asked, place: Place, collection: str, token: int, session: bytes
    ) -> int:
        """Deletes some records of a thread that is marked. Returns how many."""
        found: list[str] = []

        async def decide() -> Plan:
            at = await self._marked(asked.space, place, asked.call, session)
            if at is None:
                raise _Gone
            page = await self._door.page(
                state.ListRequest(
                    space=asked.space, collection=collection, key_prefix=f"{place.thread}/",
                    page_size=PAGE, scan_limit=10_000, session_token=session,
                ),
                asked.call,
            )  # fmt: skip
            found[:] = [row.key for row in page.records]
            if not found:
                raise _Gone
            shown = at.shown(self._door.node(), token)
            deletes = tuple(Delete(collection, key) for key in found)
            return Plan(deletes, shown, session_token=session)

        try:
            await self._door.write(asked, decide)
        except _Gone:
            return 0
        return len(found)

    async def _marked(self, space: str, place: Place, call: Call, token: bytes) -> At | None:
        """The thread, also while it is being deleted."""
        reading = await self._door.read(space, [(THREADS, place.thread)], call, token)
        found = reading[THREADS, place.thread]
        return None if found is None else At(place, thread_from(found.value), found)


class _Ours(Exception):
    """This node has the authority already."""


class _Gone(Exception):
    """There is nothing left to delete."""


def _given(at: At, holder: str) -> Patch:
    token = min(at.thread.authority.token + 1, MAX_TOKEN)
    given = Authority(holder, token).encode()
    return Patch(THREADS, at.found.key, join({"authority": given}), ())
