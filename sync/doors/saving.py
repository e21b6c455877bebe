"""Saving: checkpoints upon their parents, and what tasks write between two of them.

Contents are durable before the commit that names them is made, so a checkpoint that is acknowledged
can be loaded here. What a save that is refused has stored is needed by nobody, and goes when its
thread is pruned.

Invariant: of two saves on one head, at most one succeeds without asking for a fork; a save never
begins a thread unless it names no parent and there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from holdfast.v1 import checkpoint_service_pb2 as pb
from sync import chains, values
from sync.authority import CHECKPOINTS, THREADS, WRITES, Authority
from sync.blobs import MAX_NAMES
from sync.codec import checkpoints as convert
from sync.codec.requests import BadRequest
from sync.commit import Precondition
from sync.contents import MAX_PARTS, Part
from sync.doors.contents import Contents, Piece
from sync.doors.door import Asked, Call, Done, Door, Plan, Reading
from sync.doors.threads import At, ThreadRefused, Threads, checked, no_checkpoint, no_thread
from sync.reduce import Patch, Put, Request
from sync.threads import (
    NOTHING,
    Checkpoint,
    Place,
    TaskWrites,
    Thread,
    checkpoint_from,
    heads_to,
    new_id,
    writes_from,
)
from sync.work_keys import quoted

MAX_ID_CHARS = 128
"""Of a checkpoint: a UUID and what programs put before it."""


@dataclass(frozen=True, slots=True)
class _Save:
    """A save as it was asked for, with what it was first decided on."""

    request: pb.SaveCheckpointRequest
    space: str
    place: Place
    id: str
    call: Call

    @property
    def parent(self) -> str:
        return self.request.parent_id

    @property
    def names(self) -> list[tuple[str, str]]:
        """The records that it is decided on."""
        own = (CHECKPOINTS, self.place.key(self.id))
        parent = [(CHECKPOINTS, self.place.key(self.parent))] if self.parent else []
        return [(THREADS, self.place.thread), own, *parent]


class Saving:
    """Saves at one door. `new_bytes` are 16 random bytes."""

    def __init__(self, door: Door, contents: Contents, new_bytes: Callable[[], bytes]) -> None:
        self._door, self._contents, self._new_bytes = door, contents, new_bytes
        self._threads = Threads(door)

    # -- checkpoints -----------------------------------------------------------

    async def save(
        self, request: pb.SaveCheckpointRequest, call: Call
    ) -> pb.SaveCheckpointResponse:
        """See CheckpointService."""
        save = self._asked(request, call)
        first = await self._door.read(save.space, save.names, call, request.session_token)
        if first[CHECKPOINTS, save.place.key(save.id)] is None:
            at, parent = self._fits(save, first)
            made = await self._made(save, parent)
        else:
            at, made = None, None  # a retry, or an id that is taken
        left: list[Reading] = [first]

        async def decide() -> Plan:
            reading = left.pop() if left else await self._read(save)
            at, _ = self._fits(save, reading)
            assert made is not None, "an id that is taken is refused"
            return self._plan(save, at, made)

        asked = Asked(
            save.space, call, request.actor, save.names[0], commit_id=request.commit_id,
            session_token=request.session_token, correlation_id=request.correlation_id,
        )  # fmt: skip
        done = await self._door.write(asked, decide)
        if done.repeated or made is None:
            return await self._again(save, done)
        token = at.thread.authority.token if at is not None else 1
        told = convert.checkpoint_to(save.place, save.id, made, None, bare=True)
        told.actor.CopyFrom(request.actor)
        return pb.SaveCheckpointResponse(checkpoint=told, commit=done.commit, token=token)

    def _asked(self, request: pb.SaveCheckpointRequest, call: Call) -> _Save:
        self._door.state.named(request.actor)
        place = Place(request.thread_id, request.namespace)
        space = checked(request.space, place)
        if request.commit_id and not request.id:
            raise BadRequest("MALFORMED_REQUEST", "a commit id makes a retry safe with an id only")
        if len(request.id) > MAX_ID_CHARS:
            raise BadRequest("MALFORMED_REQUEST", f"an id has at most {MAX_ID_CHARS} characters")
        id_ = request.id or new_id(self._door.now_ms(), self._new_bytes(), request.parent_id)
        if len(request.parts) + len(request.unchanged) + len(request.copied) > MAX_PARTS:
            raise BadRequest("MALFORMED_REQUEST", f"at most {MAX_PARTS} parts")
        return _Save(request, space, place, id_, call)

    async def _read(self, save: _Save) -> Reading:
        token = save.request.session_token
        return await self._door.read(save.space, save.names, save.call, token)

    def _fits(self, save: _Save, reading: Reading) -> tuple[At | None, Checkpoint | None]:
        """The thread and the parent that a save goes upon. Raises ThreadRefused."""
        place, parent = save.place, None
        at = self._threads.at(reading, place)
        if at is None:
            if save.parent or save.request.token or reading[THREADS, place.thread] is not None:
                raise no_thread(place)
            return None, None
        at.shown(self._door.node(), save.request.token)
        if reading[CHECKPOINTS, place.key(save.id)] is not None:
            metadata = {"thread": place.thread_id, "id": save.id}
            raise ThreadRefused("CHECKPOINT_EXISTS", f"there is a checkpoint {save.id}", metadata)
        if save.parent:
            found = reading[CHECKPOINTS, place.key(save.parent)]
            if found is None:
                raise no_checkpoint(place, save.parent)
            parent = checkpoint_from(found.value)
        head = at.thread.heads.get(place.namespace, "")
        if head != save.parent and not save.request.fork:
            message = f"the head is {head or 'none'}, and not {save.parent or 'none'}"
            metadata = {"thread": place.thread_id, "head": head, "parent": save.parent}
            raise ThreadRefused("STALE_PARENT", message, metadata)
        return at, parent

    async def _made(self, save: _Save, parent: Checkpoint | None) -> Checkpoint:
        """The checkpoint, with its contents kept. Raises BadRequest, ThreadRefused."""
        request = save.request
        before = {} if parent is None else parent.parts
        parts = {name: _unchanged(before, name) for name in request.unchanged}
        parts |= await self._copied(save)
        pieces: list[Piece] = []
        stored: set[bytes] = set()
        for message in request.parts:
            if message.name in parts:
                raise BadRequest("MALFORMED_REQUEST", f"part {message.name!r} is named twice")
            part = parts[message.name] = convert.part_from(message)
            upon = before.get(message.name)
            if message.HasField("data"):
                pieces += _pieces(message.data, part, upon)
            else:
                stored |= set(part.chunks) - set(upon.chunks if upon else ())
        await self._check_stored(save.space, save.place, stored)
        size = await self._contents.put(save.space, save.place.thread, pieces)
        return Checkpoint(
            parts,
            parent=save.parent,
            kind=convert.kind_from(request.kind),
            name=request.name,
            metadata=values.canonical(request.metadata_json or NOTHING),
            schema_version=request.schema_version,
            stored=size,
            created_ms=self._door.now_ms(),
        )

    async def _copied(self, save: _Save) -> dict[str, Part]:
        """Parts as they are in other checkpoints. Raises ThreadRefused, BadRequest."""
        wanted = {each.name: each.checkpoint_id for each in save.request.copied}
        ids = sorted(set(wanted.values()))
        known = await self._threads.checkpoints(save.space, save.place, ids, save.call)
        missing = [id_ for id_ in ids if id_ not in known]
        if missing:
            raise no_checkpoint(save.place, missing[0])
        return {name: _unchanged(known[id_].parts, name) for name, id_ in wanted.items()}

    async def _check_stored(self, space: str, place: Place, names: set[bytes]) -> None:
        """Notes that chunks are needed which are to be here already. Raises ThreadRefused."""
        wanted = sorted(names)
        for start in range(0, len(wanted), MAX_NAMES):
            group = wanted[start : start + MAX_NAMES]
            there = await self._contents.blobs.use(space, place.thread, group)
            missing = [name for name in group if name not in there]
            if missing:
                message = f"chunk {missing[0].hex()} is not here"
                raise ThreadRefused("CHUNK_UNKNOWN", message, {"chunk": missing[0].hex()})

    def _plan(self, save: _Save, at: At | None, made: Checkpoint) -> Plan:
        place, key = save.place, save.place.key(save.id)
        head = {place.namespace: save.id}
        conditions: tuple[Precondition, ...]
        thread: Request
        if at is None:
            begun = Thread(Authority(self._door.node(), 1), head, self._door.now_ms())
            thread = Put(THREADS, place.thread, begun.encode())
            conditions = (Precondition(THREADS, place.thread, exists=False),)
        else:
            thread = Patch(THREADS, place.thread, heads_to(head), ())
            conditions = at.shown(self._door.node(), save.request.token)
        absent = Precondition(CHECKPOINTS, key, exists=False)
        requests = (Put(CHECKPOINTS, key, made.encode()), thread)
        return Plan(requests, (*conditions, absent), session_token=save.request.session_token)

    async def _again(self, save: _Save, done: Done) -> pb.SaveCheckpointResponse:
        """The first answer once more, as far as it can still be told."""
        reading = await self._read(save)
        found = reading[CHECKPOINTS, save.place.key(save.id)]
        at = self._threads.at(reading, save.place)
        if found is None:
            raise no_checkpoint(save.place, save.id)
        made = checkpoint_from(found.value)
        told = convert.checkpoint_to(save.place, save.id, made, None, bare=True)
        token = 0 if at is None else at.thread.authority.token
        return pb.SaveCheckpointResponse(checkpoint=told, commit=done.commit, token=token)

    async def chunk(self, request: pb.PutChunkRequest, call: Call) -> pb.PutChunkResponse:
        """See CheckpointService."""
        place = Place(request.thread_id, request.namespace)
        space, data = checked(request.space, place), convert.chunk_from(request.data)
        upon = None
        if request.parent_id:
            known = await self._threads.checkpoints(space, place, [request.parent_id], call)
            before = known[request.parent_id].parts if known else {}
            part = before.get(request.part)
            if part is not None and request.index < len(part.chunks):
                upon = part.chunks[request.index]
        stored = await self._contents.put(space, place.thread, [Piece(data, upon)])
        return pb.PutChunkResponse(sha256=chains.name_of(data), stored=stored)

    # -- writes between checkpoints --------------------------------------------

    async def writes(self, request: pb.PutWritesRequest, call: Call) -> pb.PutWritesResponse:
        """See CheckpointService."""
        self._door.state.named(request.actor)
        place = Place(request.thread_id, request.namespace)
        space = checked(request.space, place)
        task, told, pieces, stored = _told(request.writes)
        key = place.writes_prefix(request.checkpoint_id) + quoted(task)
        names = [(THREADS, place.thread), (CHECKPOINTS, place.key(request.checkpoint_id))]
        kept = False

        async def decide() -> Plan:
            nonlocal kept
            token = request.session_token
            reading = await self._door.read(space, [*names, (WRITES, key)], call, token)
            at = self._threads.at(reading, place)
            if at is None:
                raise no_thread(place)
            held, _ = at.shown(self._door.node(), request.token)
            if reading[names[1]] is None:
                raise no_checkpoint(place, request.checkpoint_id)
            before = reading[WRITES, key]
            after = told if before is None else writes_from(before.value).joined(told)
            if before is not None and after == writes_from(before.value):
                raise _Nothing
            if not kept:
                await self._check_stored(space, place, stored)
                await self._contents.put(space, place.thread, pieces)
                kept = True
            seen = (
                Precondition(WRITES, key, exists=False)
                if before is None
                else Precondition(WRITES, key, version=before.version)
            )
            put = Put(WRITES, key, after.encode())
            return Plan((put,), (held, seen), session_token=token)

        asked = Asked(
            space, call, request.actor, (WRITES, key), commit_id=request.commit_id,
            session_token=request.session_token,
        )  # fmt: skip
        try:
            done = await self._door.write(asked, decide)
        except _Nothing:
            return pb.PutWritesResponse()
        return pb.PutWritesResponse(commit=done.commit)


class _Nothing(Exception):
    """There is nothing to be written."""


def _unchanged(before: Mapping[str, Part], name: str) -> Part:
    if name not in before:
        raise BadRequest("MALFORMED_REQUEST", f"the checkpoint has no part {name!r}")
    return before[name]


def _pieces(data: bytes, part: Part, upon: Part | None) -> list[Piece]:
    """The chunks of a part's bytes, each with the one that was in its place."""
    if not part.chunks:
        return []
    below = upon.chunks if upon is not None else ()
    return [
        Piece(chunk, below[n] if n < len(below) else None)
        for n, chunk in enumerate(chains.cut(data))
    ]


def _told(
    messages: Sequence[pb.PendingWrite],
) -> tuple[str, TaskWrites, list[Piece], set[bytes]]:
    """The task, what it has written, the chunks of that, and those that are to be here already.
    Raises BadRequest, InvalidManifest."""
    tasks = {message.task_id for message in messages}
    if len(tasks) != 1:
        raise BadRequest("MALFORMED_REQUEST", "writes: of one task, and at least one")
    pieces: list[Piece] = []
    stored: set[bytes] = set()
    found = TaskWrites(messages[0].task_path, {}, {})
    for message in messages:
        part = convert.write_from(message)
        if message.HasField("data"):
            pieces += _pieces(message.data, part, None)
        else:
            stored |= set(part.chunks)
        one = TaskWrites("", {message.index: message.channel}, {message.index: part})
        found = found.joined(one)
    return tasks.pop(), replace(found, path=messages[0].task_path), pieces, stored
