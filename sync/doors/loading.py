"""Loading: checkpoints with their contents, and lists of them.

What cannot be read is told with the nearest ancestor that can: a run goes on from there. A content
that has not arrived yet is asked for where it can be had, before that is said.

Invariant: whatever is answered is what its hashes say, and fits a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from holdfast.v1 import checkpoint_service_pb2 as pb
from holdfast.v1 import state_service_pb2 as state
from sync import pruning, values
from sync.authority import CHECKPOINTS, THREADS
from sync.blobs import MAX_NAMES
from sync.chains import ChainRefused
from sync.codec import checkpoints as convert
from sync.codec.requests import level_from
from sync.contents import PartDamaged
from sync.doors.contents import Contents
from sync.doors.door import Call, Door, Found
from sync.doors.threads import ThreadRefused, Threads, checked, no_checkpoint, no_thread, record_of
from sync.levels import Level
from sync.room import ANSWER_BYTES, Room
from sync.threads import Checkpoint, Place, TaskWrites, checkpoint_from, place_of, thread_from
from sync.work_keys import unquoted

MAX_LOOKED_AT = 64
"""Ancestors that are looked at for one that is sound: each may have to be unpacked."""

Sound = Callable[[Checkpoint], bool]


class Loading:
    """Loads at one door."""

    def __init__(self, door: Door, contents: Contents) -> None:
        self._door, self._contents, self._threads = door, contents, Threads(door)

    async def load(
        self, request: pb.LoadCheckpointRequest, call: Call
    ) -> pb.LoadCheckpointResponse:
        """See CheckpointService."""
        place = Place(request.thread_id, request.namespace)
        space, token = checked(request.space, place), request.session_token
        level = level_from(request.level)
        if request.as_of_revision:
            id_, record, answer = await self._threads.as_of(
                space, place, request.id, request.as_of_revision, call
            )
            found = checkpoint_from(record.json.encode())
        else:
            id_, row, answer = await self._found(request, place, call, token, level)
            found, record = checkpoint_from(row.value), record_of(row)
        if request.metadata_only:
            told = convert.checkpoint_to(place, id_, found, record)
            return pb.LoadCheckpointResponse(checkpoint=told, answer=answer)
        try:
            data = await self._data(space, place, found)
            told = convert.checkpoint_to(place, id_, found, record, data)
            told.writes.extend(await self._writes(space, place, id_, call))
        except (ChainRefused, PartDamaged) as refused:
            raise await self._unreadable(space, place, id_, call, refused) from refused
        return pb.LoadCheckpointResponse(checkpoint=told, answer=answer)

    async def _found(
        self, request: pb.LoadCheckpointRequest, place: Place, call: Call, token: bytes,
        level: Level | None,
    ) -> tuple[str, Found, state.Answer]:  # fmt: skip
        """The record of the checkpoint that was asked for. Raises ThreadRefused."""
        id_, names = request.id, [(THREADS, place.thread)]
        if id_:
            names.append((CHECKPOINTS, place.key(id_)))
        reading = await self._door.read(request.space, names, call, token, level)
        at = self._threads.at(reading, place)
        if at is None:
            raise no_thread(place)
        if not id_:
            id_ = at.thread.heads.get(place.namespace, "")
            if not id_:
                raise no_checkpoint(place, "")
            names = [(CHECKPOINTS, place.key(id_))]
            seen = reading.answer.session_token
            reading = await self._door.read(request.space, names, call, seen, level)
        row = reading[CHECKPOINTS, place.key(id_)]
        if row is None:
            raise no_checkpoint(place, id_)
        return id_, row, reading.answer

    async def _data(self, space: str, place: Place, found: Checkpoint) -> dict[str, bytes]:
        """The bytes of the parts that fit one message."""
        room, data = Room(), dict[str, bytes]()
        for name, part in found.parts.items():
            if part.size <= ANSWER_BYTES and room.takes(part.size):
                data[name] = await self._contents.part(space, place.thread, part)
        return data

    async def _writes(
        self, space: str, place: Place, id_: str, call: Call
    ) -> list[pb.PendingWrite]:
        found: list[pb.PendingWrite] = []
        room = Room()
        for task, writes in (await self._threads.writes(space, place, id_, call)).items():
            data = await self._bytes(space, place, writes, room)
            found += convert.writes_to(task, writes, data)
        return found

    async def _bytes(
        self, space: str, place: Place, writes: TaskWrites, room: Room
    ) -> Mapping[int, bytes]:
        """The bytes of the writes that fit one message."""
        return {
            n: await self._contents.part(space, place.thread, part)
            for n, part in writes.parts.items()
            if not part.chunks or (part.size <= ANSWER_BYTES and room.takes(part.size))
        }

    async def chunk(self, request: pb.ReadChunkRequest, call: Call) -> pb.ReadChunkResponse:
        """See CheckpointService."""
        place = Place(request.thread_id, request.namespace)
        space = checked(request.space, place)
        convert.check_hashes([request.sha256])
        try:
            data = await self._contents.read(space, place.thread, request.sha256)
        except ChainRefused as refused:
            id_ = request.checkpoint_id
            raise await self._unreadable(space, place, id_, call, refused) from refused
        return pb.ReadChunkResponse(data=data)

    async def _unreadable(
        self, space: str, place: Place, id_: str, call: Call, why: ChainRefused | PartDamaged
    ) -> ThreadRefused:
        """The refusal for a checkpoint that cannot be read, with the nearest ancestor that can."""
        reason = why.reason if isinstance(why, ChainRefused) else "BLOB_DAMAGED"
        near = await self._nearest(space, place, id_, call, damaged=reason == "BLOB_DAMAGED")
        metadata = {"thread": place.thread_id, "id": id_, "nearest": near}
        told = f"; the nearest that can be read is {near}" if near else ""
        return ThreadRefused(reason, f"checkpoint {id_}: {why}{told}", metadata)

    async def _nearest(
        self, space: str, place: Place, id_: str, call: Call, *, damaged: bool
    ) -> str:
        parents: dict[str, str | None] = {}
        sound: set[str] = set()
        at: str | None = id_
        for looked_at in range(MAX_LOOKED_AT):
            found = await self._threads.checkpoints(space, place, [at], call) if at else {}
            if not at or at not in found:
                break
            parents[at] = found[at].parent or None
            if looked_at and await self._is_sound(space, place, found[at], read=damaged):
                sound.add(at)
                break
            at = found[at].parent
        return pruning.nearest(id_, parents, sound.__contains__)

    async def _is_sound(self, space: str, place: Place, one: Checkpoint, *, read: bool) -> bool:
        """Whether all of a checkpoint is here, or can be brought; `read`: and is what it should
        be."""
        names = sorted(one.blobs)
        for start in range(0, len(names), MAX_NAMES):
            group = names[start : start + MAX_NAMES]
            missing = set(group) - (await self._contents.blobs.known(space, group)).keys()
            if missing:
                await self._contents.fetch(space, place.thread, missing)
                if len(await self._contents.blobs.known(space, group)) < len(group):
                    return False
        if read:
            try:
                for part in one.parts.values():
                    await self._contents.part(space, place.thread, part)
            except (ChainRefused, PartDamaged):
                return False
        return True

    # -- lists -----------------------------------------------------------------

    async def list(
        self, request: pb.ListCheckpointsRequest, call: Call
    ) -> pb.ListCheckpointsResponse:
        """See CheckpointService."""
        place = Place(request.thread_id, request.namespace)
        space = checked(request.space, place)
        wanted = _Wanted(request)
        at, _ = await self._threads.need(
            space, place, call, request.session_token, level_from(request.level)
        )
        start = request.page_token
        if request.before_id and not start:
            start = self._door.state.page_token(place.key(request.before_id))
        prefix = place.prefix if request.HasField("namespace") else f"{at.found.key}/"
        page = await self._door.page(
            state.ListRequest(
                space=space, collection=CHECKPOINTS, key_prefix=prefix,
                page_size=request.page_size, page_token=start, level=request.level,
                session_token=request.session_token, descending=True,
            ),
            call,
        )  # fmt: skip
        told: list[pb.Checkpoint] = []
        for row in page.records:
            where, id_ = place_of(row.key)
            found = checkpoint_from(row.value)
            if not wanted.matches(found):
                continue
            one = convert.checkpoint_to(where, id_, found, record_of(row), bare=True)
            if request.with_writes:
                one.writes.extend(await self._writes(space, where, id_, call))
            told.append(one)
        return pb.ListCheckpointsResponse(
            checkpoints=told, next_page_token=page.next_token, answer=page.answer
        )

    async def threads(self, request: pb.ListThreadsRequest, call: Call) -> pb.ListThreadsResponse:
        """See CheckpointService."""
        page = await self._door.page(
            state.ListRequest(
                space=request.space, collection=THREADS, page_size=request.page_size,
                page_token=request.page_token, level=request.level,
                session_token=request.session_token,
            ),
            call,
        )  # fmt: skip
        told = []
        for row in page.records:
            found = thread_from(row.value)
            if not found.deleting:
                version = record_of(row).version
                thread_id = unquoted(row.key)
                told.append(convert.thread_to(thread_id, found, self._door.node(), version))
        return pb.ListThreadsResponse(
            threads=told, next_page_token=page.next_token, answer=page.answer
        )

    async def thread(self, request: pb.GetThreadRequest, call: Call) -> pb.GetThreadResponse:
        """See CheckpointService."""
        place = Place(request.thread_id)
        space = checked(request.space, place)
        at, reading = await self._threads.need(
            space, place, call, request.session_token, level_from(request.level)
        )
        version = record_of(at.found).version
        told = convert.thread_to(place.thread_id, at.thread, self._door.node(), version)
        return pb.GetThreadResponse(thread=told, answer=reading.answer)


class _Wanted:
    """Which checkpoints of a list are wanted."""

    def __init__(self, request: pb.ListCheckpointsRequest) -> None:
        self._kinds = {convert.kind_from(kind) for kind in request.kinds}
        self._metadata = values.fields(values.canonical(request.metadata_json or "{}"))
        self._named = request.named

    def matches(self, one: Checkpoint) -> bool:
        if self._kinds and one.kind not in self._kinds:
            return False
        if self._named and not one.name:
            return False
        return not self._metadata or self._metadata.items() <= values.fields(one.metadata).items()
