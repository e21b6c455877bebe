"""What a client does with checkpoints, for asyncio. `blocking_checkpoints` is the same."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Unpack

from holdfast.client import checkpoint_travel
from holdfast.client.async_transport import AsyncTransport
from holdfast.client.checkpoint_diff import ChangedPart
from holdfast.client.checkpoint_options import (
    ListOptions,
    LoadOptions,
    PlaceOptions,
    PruneOptions,
    SaveOptions,
    State,
    WriteOptions,
)
from holdfast.client.checkpoint_records import Checkpoint, PendingWrite, Pruned, Thread
from holdfast.client.checkpoint_travel import Restored
from holdfast.client.checkpoints import Checkpoints, chunks_of


class AsyncCheckpoints:
    """Checkpoints, as `client.checkpoints`.

        first = await client.checkpoints.save_checkpoint("run-7", {"step": 1})
        await client.checkpoints.save_checkpoint("run-7", {"step": 2})
        last = await client.checkpoints.load_checkpoint("run-7")

    A thread is advanced by one node, the hub or an edge: the one at whose door it was begun, also
    without a network, until another takes it. What is saved is durable when a method returns. A
    save goes upon its parent: without one being named, the checkpoint of the thread that this
    client saved or loaded last. Errors: ThreadNotFound, CheckpointNotFound, StaleParent (somebody
    else went on), StaleAuthority (another node advances the thread), BlobPending, and those of all
    requests.
    """

    def __init__(self, transport: AsyncTransport, checkpoints: Checkpoints) -> None:
        self._transport, self._checkpoints = transport, checkpoints

    async def save_checkpoint(
        self,
        thread: str,
        state: State | None = None,
        parts: Mapping[str, Any] | None = None,
        **options: Unpack[SaveOptions],
    ) -> Checkpoint:
        """Saves a state: an object (as JSON) or bytes; or in `parts` by name, each bytes, an
        object, or (tag, bytes). What is equal to what the thread has already is not stored again.

        Raises StaleParent if the parent is not the newest, unless `fork` is given; nothing is
        saved then.
        """
        steps = self._checkpoints.save(thread, state, parts, options)
        return await self._transport.run(steps)

    async def load_checkpoint(
        self,
        thread: str,
        id: str = "",  # noqa: A002 - the word of the interface
        **options: Unpack[LoadOptions],
    ) -> Checkpoint:
        """The newest checkpoint of a thread, or the one of an id, with what tasks have written
        since. Raises ThreadNotFound, CheckpointNotFound; BlobPending while a content has not
        arrived, and DataLoss for a damaged one: `metadata["nearest"]` is the nearest ancestor that
        can be loaded."""
        return await self._transport.run(self._checkpoints.load(thread, id, options))

    async def read_part(self, checkpoint: Checkpoint, name: str) -> AsyncIterator[bytes]:
        """The bytes of one part, a MiB at a time; of a checkpoint that may have been loaded with
        `metadata_only`."""
        part = checkpoint.parts[name]
        if part.data is not None:
            yield part.data
            return
        for index in chunks_of(part):
            yield await self._transport.run(self._checkpoints.chunk(checkpoint, name, index))

    async def list(self, thread: str, **options: Unpack[ListOptions]) -> AsyncIterator[Checkpoint]:
        """Checkpoints of a thread without their contents, newest first, page by page."""
        token = ""
        while True:
            page = await self._transport.run(self._checkpoints.page(thread, options, token))
            for found in page.found:
                yield found
            token = page.next_token
            if not token:
                return

    async def diff(
        self, thread: str, before: str, after: str = "", **options: Unpack[LoadOptions]
    ) -> tuple[ChangedPart, ...]:
        """The parts that differ between two checkpoints (an empty id: the newest); of parts that
        are JSON the paths. Others are told by size and hash, without loading them."""
        steps = checkpoint_travel.difference(self._checkpoints, thread, before, after, options)
        return await self._transport.run(steps)

    async def fork(self, thread: str, source: str, **options: Unpack[SaveOptions]) -> Checkpoint:
        """Goes on from an earlier checkpoint: a copy of it, which follows it, becomes the
        newest."""
        steps = checkpoint_travel.fork(self._checkpoints, source, thread, options)
        return await self._transport.run(steps)

    async def restore(
        self,
        thread: str,
        source: str,
        parts: Iterable[str] | None = None,
        paths: Iterable[str] = (),
        *,
        dry_run: bool = False,
        **options: Unpack[SaveOptions],
    ) -> Restored:
        """Puts back what an earlier checkpoint had, as a new one upon the newest: all of it, some
        parts, or some places (JSON pointers) of a part that is JSON. With `dry_run` it only says
        what that changes."""
        steps = checkpoint_travel.restore(
            self._checkpoints, thread, source, parts, paths, dry_run, options
        )
        return await self._transport.run(steps)

    async def put_writes(
        self,
        checkpoint: Checkpoint,
        writes: Iterable[PendingWrite],
        **options: Unpack[WriteOptions],
    ) -> None:
        """Keeps what one task has written since a checkpoint, for whoever loads it."""
        await self._transport.run(self._checkpoints.put_writes(checkpoint, writes, options))

    async def threads(self, **options: Unpack[PlaceOptions]) -> AsyncIterator[Thread]:
        """Threads of a space by their ids, page by page."""
        token = ""
        while True:
            page = await self._transport.run(self._checkpoints.of_threads.threads(options, token))
            for found in page.found:
                yield found
            token = page.next_token
            if not token:
                return

    async def thread(self, thread: str, **options: Unpack[LoadOptions]) -> Thread:
        """Who advances a thread, and its newest checkpoints. Raises ThreadNotFound."""
        return await self._transport.run(self._checkpoints.of_threads.thread(thread, options))

    async def take(
        self, thread: str, *, force: bool = False, **options: Unpack[WriteOptions]
    ) -> Thread:
        """Makes the node of this door the one that advances a thread; the hub decides it. Raises
        PreconditionFailed (AUTHORITY_HELD) while another has it; `force` takes it all the same, and
        what that one did and has not sent yet will wait in the inbox."""
        return await self._transport.run(self._checkpoints.of_threads.take(thread, force, options))

    async def release(self, thread: str, **options: Unpack[WriteOptions]) -> None:
        """Gives a thread back, so that another node can take it."""
        await self._transport.run(self._checkpoints.of_threads.release(thread, options))

    async def delete_thread(self, thread: str, **options: Unpack[WriteOptions]) -> int:
        """Deletes a thread with all that is in it; how many checkpoints that were."""
        return await self._transport.run(self._checkpoints.of_threads.delete(thread, options))

    async def prune(self, thread: str, **options: Unpack[PruneOptions]) -> Pruned:
        """Deletes checkpoints that need not stay, or with `dry_run` says which."""
        return await self._transport.run(self._checkpoints.of_threads.prune(thread, options))
