"""Checkpoints: what is asked of a door's CheckpointService, and what its answers mean.

A state travels in one request as long as it fits; the chunks of a larger one go before it, each in
a request of its own, so that a connection that breaks costs one of them. Whatever comes is held
against its hash.

Every method of `Checkpoints` returns steps (see `call`), so that both clients share all of it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from holdfast.client import checkpoint_wire as nouns
from holdfast.client import values, wire
from holdfast.client.call import Call, Steps, method
from holdfast.client.checkpoint_memory import Memory
from holdfast.client.checkpoint_options import (
    ListOptions,
    LoadOptions,
    SaveOptions,
    State,
    WriteOptions,
)
from holdfast.client.checkpoint_records import (
    BYTES,
    CHUNK_BYTES,
    JSON,
    STATE,
    Checkpoint,
    CheckpointKind,
    CheckpointName,
    Page,
    PendingWrite,
    StatePart,
)
from holdfast.client.checkpoint_threads import Threads
from holdfast.client.limits import READ_TIMEOUT_S, WRITE_TIMEOUT_S
from holdfast.client.session import Session
from holdfast.client.writes import Writes
from holdfast.errors import DataLoss, InvalidArgument
from holdfast.v1 import checkpoint_service_pb2 as pb

MESSAGE_BYTES = 2 << 20
"""Contents that go with the request itself; what is beyond goes before it, chunk by chunk."""


Named = Checkpoint | CheckpointName


class Checkpoints:
    """Asks for checkpoints and saves them, in the name of the author of `writes`."""

    def __init__(self, writes: Writes, session: Session) -> None:
        self._memory = Memory(writes, session)
        self.of_threads = Threads(self._memory)

    # -- saving ----------------------------------------------------------------

    def save(
        self, thread: str, contents: State | None, parts: Mapping[str, Any] | None,
        options: SaveOptions, copied: Mapping[str, str] | None = None,
    ) -> Steps[Checkpoint]:  # fmt: skip
        """See `AsyncCheckpoints.save_checkpoint`. `copied` are parts by name as they are in the
        checkpoints of these ids."""
        space, namespace = options.get("space", "default"), options.get("namespace", "")
        parent = self._memory.parent(space, thread, namespace, options)
        made = {name: _part(name, part) for name, part in _parts(contents, parts).items()}
        request = pb.SaveCheckpointRequest(
            space=values.encodable(space),
            thread_id=values.encodable(thread),
            namespace=values.encodable(namespace),
            id=values.encodable(options.get("id") or new_id(parent)),
            parent_id=values.encodable(parent),
            token=self._memory.token(space, thread, options),
            fork=options.get("fork", False),
            kind=nouns.kind_to(options.get("kind", CheckpointKind.AUTO)),
            name=values.encodable(options.get("name", "")),
            metadata_json=values.encode(options.get("metadata", {})),
            schema_version=values.encodable(options.get("schema_version", "")),
            unchanged=map(values.encodable, options.get("unchanged", ())),
            actor=self._memory.author(options),
            commit_id=options.get("commit_id") or self._memory.writes.new_id(),
            session_token=self._memory.session.token(space),
            correlation_id=values.encodable(options.get("correlation_id", "")),
            copied=[pb.CopiedPart(name=n, checkpoint_id=i) for n, i in (copied or {}).items()],
        )
        if sum(part.size for part in made.values()) > MESSAGE_BYTES:
            yield from self._send(request, made, options)
        request.parts.extend(nouns.part_to(name, part) for name, part in made.items())
        timeout_s = options.get("timeout_s", WRITE_TIMEOUT_S)
        called = method("CheckpointService.SaveCheckpoint")
        response: pb.SaveCheckpointResponse = yield Call(
            called, request, timeout_s, commit_id=request.commit_id
        )
        receipt = self._memory.writes.receipt(response.commit)
        saved = nouns.checkpoint_from(space, response.checkpoint)
        self._memory.remember(saved, response.token)
        return replace(saved, token=response.token, receipt=receipt)

    def _send(
        self, request: pb.SaveCheckpointRequest, made: dict[str, StatePart], options: SaveOptions
    ) -> Steps[None]:
        """Sends the chunks of large parts ahead, but for those that the parent has; such parts are
        without data afterwards."""
        known: set[bytes] = set()
        if request.parent_id:
            before = yield from self.load(
                request.thread_id,
                request.parent_id,
                {
                    "space": request.space, "namespace": request.namespace, "metadata_only": True,
                },
            )  # fmt: skip
            known = {name for part in before.parts.values() for name in part.chunks}
        timeout_s = options.get("timeout_s", WRITE_TIMEOUT_S)
        called = method("CheckpointService.PutChunk")
        for name, part in made.items():
            if not part.chunks or part.data is None:
                continue
            for index, chunk in enumerate(part.chunks):
                if chunk in known:
                    continue
                start = index * CHUNK_BYTES
                yield Call(
                    called,
                    pb.PutChunkRequest(
                        space=request.space,
                        thread_id=request.thread_id,
                        namespace=request.namespace,
                        parent_id=request.parent_id,
                        part=name,
                        index=index,
                        data=part.data[start : start + CHUNK_BYTES],
                    ),
                    timeout_s,
                )
                known.add(chunk)
            made[name] = replace(part, data=None)

    def put_writes(
        self, checkpoint: Named, writes: Iterable[PendingWrite], options: WriteOptions
    ) -> Steps[None]:
        """See `AsyncCheckpoints.put_writes`."""
        space, made = checkpoint.space, list(writes)
        if sum(len(write.data) for write in made) > MESSAGE_BYTES:
            made = yield from self._sent(checkpoint, made, options)
        request = pb.PutWritesRequest(
            space=space,
            thread_id=checkpoint.thread,
            namespace=checkpoint.namespace,
            checkpoint_id=checkpoint.id,
            token=self._memory.token(space, checkpoint.thread, options),
            writes=map(nouns.write_to, made),
            actor=self._memory.author(options),
            commit_id=self._memory.writes.new_id(),
            session_token=self._memory.session.token(space),
        )
        timeout_s = options.get("timeout_s", WRITE_TIMEOUT_S)
        called = method("CheckpointService.PutWrites")
        response = yield Call(called, request, timeout_s, commit_id=request.commit_id)
        self._memory.committed(response)

    def _sent(
        self, checkpoint: Named, writes: list[PendingWrite], options: WriteOptions
    ) -> Steps[list[PendingWrite]]:
        """The same writes, the chunks of large ones sent ahead."""
        made: list[PendingWrite] = []
        for write in writes:
            part = StatePart.of(write.data)
            for index in range(len(part.chunks)):
                start = index * CHUNK_BYTES
                request = pb.PutChunkRequest(
                    space=checkpoint.space,
                    thread_id=checkpoint.thread,
                    namespace=checkpoint.namespace,
                    data=write.data[start : start + CHUNK_BYTES],
                )
                timeout_s = options.get("timeout_s", WRITE_TIMEOUT_S)
                yield Call(method("CheckpointService.PutChunk"), request, timeout_s)
            made.append(replace(write, chunks=part.chunks))
        return made

    # -- loading ---------------------------------------------------------------

    def load(self, thread: str, id_: str, options: LoadOptions) -> Steps[Checkpoint]:
        """See `AsyncCheckpoints.load_checkpoint`."""
        space = options.get("space", "default")
        request = pb.LoadCheckpointRequest(
            space=values.encodable(space),
            thread_id=values.encodable(thread),
            namespace=values.encodable(options.get("namespace", "")),
            id=values.encodable(id_),
            as_of_revision=options.get("as_of", 0),
            metadata_only=options.get("metadata_only", False),
            level=wire.level_to(options.get("level")),
            session_token=self._memory.session.token(space),
        )
        timeout_s = options.get("timeout_s", READ_TIMEOUT_S)
        called = method("CheckpointService.LoadCheckpoint")
        response: pb.LoadCheckpointResponse = yield Call(called, request, timeout_s)
        self._memory.learn(space, response.answer)
        found = nouns.checkpoint_from(space, response.checkpoint)
        if not request.metadata_only:
            parts = dict(found.parts)
            for name, part in parts.items():
                if part.data is None:
                    data = bytearray()
                    for index in range(len(part.chunks)):
                        data += yield from self.chunk(found, name, index, timeout_s)
                    parts[name] = replace(part, data=bytes(data))
                _check(found, name, parts[name])
            writes = yield from self._written(found, timeout_s)
            found = replace(found, parts=parts, writes=writes)
            if not id_ and not request.as_of_revision:
                self._memory.remember(found)
        return replace(found, answer=wire.answer_from(response.answer))

    def _written(self, found: Checkpoint, timeout_s: float) -> Steps[tuple[PendingWrite, ...]]:
        """The writes, with the bytes of those that did not fit the answer."""
        writes: list[PendingWrite] = []
        for write in found.writes:
            data = bytearray(write.data)
            for wanted in write.chunks:
                data += yield from self._chunk(found, wanted, timeout_s)
            writes.append(replace(write, data=bytes(data)))
        return tuple(writes)

    def chunk(
        self, found: Checkpoint, name: str, index: int, timeout_s: float = READ_TIMEOUT_S
    ) -> Steps[bytes]:
        """One chunk of a part. Raises DataLoss if it is not what its hash says."""
        return self._chunk(found, found.parts[name].chunks[index], timeout_s)

    def _chunk(self, found: Checkpoint, wanted: bytes, timeout_s: float) -> Steps[bytes]:
        request = pb.ReadChunkRequest(
            space=found.space,
            thread_id=found.thread,
            sha256=wanted,
            namespace=found.namespace,
            checkpoint_id=found.id,
        )
        called = method("CheckpointService.ReadChunk")
        response: pb.ReadChunkResponse = yield Call(called, request, timeout_s)
        if sha256(response.data).digest() != wanted:
            raise DataLoss("BLOB_DAMAGED", f"a chunk of checkpoint {found.id} is another")
        return response.data

    def page(self, thread: str, options: ListOptions, token: str) -> Steps[Page]:
        """See `AsyncCheckpoints.list`."""
        space, before = options.get("space", "default"), options.get("before", "")
        request = pb.ListCheckpointsRequest(
            space=values.encodable(space),
            thread_id=values.encodable(thread),
            before_id=before.id if isinstance(before, Checkpoint) else values.encodable(before),
            metadata_json=values.encode(options.get("metadata", {})),
            kinds=map(nouns.kind_to, options.get("kinds", ())),
            named=options.get("named", False),
            with_writes=options.get("with_writes", False),
            page_size=options.get("page_size", 0),
            page_token=token,
            level=wire.level_to(options.get("level")),
            session_token=self._memory.session.token(space),
        )
        namespace = options.get("namespace", "")
        if namespace is not None:
            request.namespace = values.encodable(namespace)
        timeout_s = options.get("timeout_s", READ_TIMEOUT_S)
        called = method("CheckpointService.ListCheckpoints")
        response: pb.ListCheckpointsResponse = yield Call(called, request, timeout_s)
        self._memory.learn(space, response.answer)
        found = [nouns.checkpoint_from(space, each) for each in response.checkpoints]
        for n, one in enumerate(found):
            if any(write.chunks for write in one.writes):
                found[n] = replace(one, writes=(yield from self._written(one, timeout_s)))
        return Page(tuple(found), response.next_page_token)


def new_id(after: str = "") -> str:
    """An id of this moment, a UUID of version 7, later than `after` where that is one, too."""
    then = after.replace("-", "")[:12]
    is_one = len(after) == 36 and all(c in "0123456789abcdef" for c in then)
    at_ms = max(time.time_ns() // 1_000_000, int(then, 16) + 1 if is_one else 0) & ((1 << 48) - 1)
    number = (at_ms << 80) | secrets.randbits(80)
    number = (number & ~(0xF << 76)) | (0x7 << 76)
    number = (number & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def chunks_of(part: StatePart) -> Iterator[int]:
    """The places of a part's chunks."""
    return iter(range(len(part.chunks)))


def _parts(contents: State | None, parts: Mapping[str, Any] | None) -> dict[str, Any]:
    if contents is None:
        return dict(parts or {})
    given = dict(parts or {})
    if STATE in given:
        raise InvalidArgument("MALFORMED_REQUEST", f"the part {STATE!r} is the state itself")
    return {STATE: contents, **given}


def _part(name: str, given: Any) -> StatePart:
    """A part of what a caller gave: bytes, an object, a tag with bytes, or a part."""
    if isinstance(given, StatePart):
        return given
    if isinstance(given, bytes | bytearray | memoryview):
        return StatePart.of(bytes(given), BYTES)
    if isinstance(given, tuple) and len(given) == 2:
        tag, data = given
        return StatePart.of(bytes(data), tag)
    if isinstance(given, Mapping):
        return StatePart.of(values.encode(given).encode(), JSON)
    text = f"part {name!r}: bytes, (tag, bytes) or an object, not a {type(given).__name__}"
    raise InvalidArgument("MALFORMED_REQUEST", text)


def _check(found: Checkpoint, name: str, part: StatePart) -> None:
    assert part.data is not None
    if sha256(part.data).digest() != part.sha256:
        raise DataLoss("BLOB_DAMAGED", f"part {name!r} of checkpoint {found.id} is another")
