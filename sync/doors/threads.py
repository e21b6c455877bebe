"""What all that is done with threads of checkpoints has in common: finding them, and who may.

Invariant: what is decided on a thread is decided on the version that its commit names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.v1 import record_pb2
from holdfast.v1 import state_service_pb2 as state
from sync import authority, names
from sync.authority import CHECKPOINTS, THREADS, WRITES
from sync.commit import Precondition
from sync.doors.door import Call, Door, Found, Reading
from sync.levels import Level
from sync.threads import (
    Checkpoint,
    Place,
    TaskWrites,
    Thread,
    checkpoint_from,
    thread_from,
    writes_from,
)
from sync.work_keys import unquoted

PAGE = 500
"""Records read at once where all of a thread are looked at."""

MAX_PAGES = 200
"""So many pages of them at most: 100,000 records; a thread is pruned long before."""


class ThreadRefused(Exception):
    """What cannot be done with a thread; `metadata` is for programs."""

    def __init__(
        self, reason: str, message: str, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reason, self.metadata = reason, dict(metadata or {})


@dataclass(frozen=True, slots=True)
class At:
    """A thread as it was read, and which state of it."""

    place: Place
    thread: Thread
    found: Found

    def shown(self, node: str, token: int) -> tuple[Precondition, ...]:
        """What a commit has to show that advances the thread in the name of a node, decided on this
        state; a token of zero stands for that of the node. Raises ThreadRefused STALE_AUTHORITY."""
        held = self.thread.authority
        wanted = Precondition(THREADS, self.found.key, authority=token or held.token)
        if held != authority.Authority(node, token or held.token):
            message, metadata = authority.stale(wanted, node, self.found.value)
            raise ThreadRefused("STALE_AUTHORITY", message, metadata)
        return (wanted, Precondition(THREADS, self.found.key, version=self.found.version))


@dataclass(frozen=True, slots=True)
class Threads:
    """Reads threads, checkpoints and writes at a door."""

    door: Door

    def at(self, reading: Reading, place: Place) -> At | None:
        """The thread in a reading; None if there is none, or none any more. Raises Damaged."""
        found = reading[THREADS, place.thread]
        if found is None:
            return None
        thread = thread_from(found.value)
        return None if thread.deleting else At(place, thread, found)

    async def need(
        self, space: str, place: Place, call: Call, token: bytes, level: Level | None = None
    ) -> tuple[At, Reading]:
        """The thread. Raises ThreadRefused THREAD_NOT_FOUND."""
        reading = await self.door.read(space, [(THREADS, place.thread)], call, token, level)
        at = self.at(reading, place)
        if at is None:
            raise no_thread(place)
        return at, reading

    async def checkpoints(
        self, space: str, place: Place, ids: list[str], call: Call
    ) -> dict[str, Checkpoint]:
        """Those of these that are here, all of one moment."""
        named = {place.key(id_): id_ for id_ in ids}
        if not named:
            return {}
        reading = await self.door.read(space, [(CHECKPOINTS, key) for key in named], call)
        return {
            id_: checkpoint_from(found.value)
            for key, id_ in named.items()
            if (found := reading[CHECKPOINTS, key]) is not None
        }

    async def writes(
        self, space: str, place: Place, id_: str, call: Call, token: bytes = b""
    ) -> dict[str, TaskWrites]:
        """What tasks have written since a checkpoint, by task."""
        prefix = place.writes_prefix(id_)
        rows = await self.all_of(space, WRITES, prefix, call, token)
        return {unquoted(row.key[len(prefix) :]): writes_from(row.value) for row in rows}

    async def all_of(
        self, space: str, collection: str, prefix: str, call: Call, token: bytes = b""
    ) -> list[Found]:
        """All records whose keys begin so. Raises ThreadRefused HISTORY_TOO_LONG if they are too
        many."""
        rows: list[Found] = []
        page_token = ""
        for _ in range(MAX_PAGES):
            request = state.ListRequest(
                space=space, collection=collection, key_prefix=prefix, page_size=PAGE,
                page_token=page_token, session_token=token,
            )  # fmt: skip
            page = await self.door.page(request, call)
            rows += page.records
            page_token = page.next_token
            if not page_token:
                return rows
        raise ThreadRefused("HISTORY_TOO_LONG", f"more than {len(rows)} records under {prefix}")

    async def as_of(
        self, space: str, place: Place, id_: str, revision: int, call: Call
    ) -> tuple[str, record_pb2.Record, state.Answer]:
        """The record of a checkpoint as of a revision, the newest then if no id is given. Raises
        ThreadRefused, and what Get does."""
        if not id_:
            thread = await self._get(space, THREADS, place.thread, revision, call)
            found = None if thread is None else thread_from(thread.record.json.encode())
            if found is None or found.deleting:
                raise no_thread(place)
            id_ = found.heads.get(place.namespace, "")
        got = await self._get(space, CHECKPOINTS, place.key(id_), revision, call) if id_ else None
        if got is None:
            raise no_checkpoint(place, id_)
        return id_, got.record, got.answer

    async def _get(
        self, space: str, collection: str, key: str, revision: int, call: Call
    ) -> state.GetResponse | None:
        get: Any = self.door.state.Get  # type: ignore[attr-defined]
        request = state.GetRequest(
            space=space, collection=collection, key=key, as_of_revision=revision
        )
        try:
            response: state.GetResponse = await get(request, call)
        except Exception as error:
            if getattr(error, "reason", "") == "RECORD_NOT_FOUND":
                return None
            raise
        return response


def record_of(found: Found) -> record_pb2.Record:
    """What is told of a record beside its value."""
    version = found.version
    return record_pb2.Record(
        version=record_pb2.Version(
            epoch=version.epoch, revision=version.revision, origin=version.origin,
            seq=version.seq, pending=version.pending,
        ),
        actor=found.actor,
    )  # fmt: skip


def checked(space: str, place: Place) -> str:
    """The name of the space, where both are names. Raises InvalidName."""
    assert place.prefix  # both parts are names of their kind
    return names.check_space(space)


def no_thread(place: Place) -> ThreadRefused:
    """The refusal for a thread that is not there."""
    message = f"there is no thread {place.thread_id}"
    return ThreadRefused("THREAD_NOT_FOUND", message, {"thread": place.thread_id})


def no_checkpoint(place: Place, id_: str) -> ThreadRefused:
    """The refusal for a checkpoint that is not there."""
    what = f"no checkpoint {id_}" if id_ else f"no checkpoint in namespace {place.namespace!r}"
    metadata = {"thread": place.thread_id, "namespace": place.namespace, "id": id_}
    return ThreadRefused("CHECKPOINT_NOT_FOUND", f"thread {place.thread_id} has {what}", metadata)
