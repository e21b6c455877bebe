"""What a client does with checkpoints, for blocking code. `async_checkpoints` is the same for
asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Unpack

from holdfast.client import checkpoint_travel
from holdfast.client.blocking_transport import BlockingTransport
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


class BlockingCheckpoints:
    """Checkpoints, as `client.checkpoints`.

        first = client.checkpoints.save_checkpoint("run-7", {"step": 1})
        client.checkpoints.save_checkpoint("run-7", {"step": 2})
        last = client.checkpoints.load_checkpoint("run-7")

    A thread is advanced by one node, the hub or an edge: the one at whose door it was begun, also
    without a network, until another takes it. What is saved is durable when a method returns. A
    save goes upon its parent: without one being named, the checkpoint of the thread that this
    client saved or loaded last. Errors: ThreadNotFound, CheckpointNotFound, StaleParent (somebody
    else went on), StaleAuthority (another node advances the thread), BlobPending, and those of all
    requests.
    """

    def __init__(self, transport: BlockingTransport, checkpoints: Checkpoints) -> None:
        self._transport, self._checkpoints = transport, checkpoints

    def save_checkpoint(
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
        return self._transport.run(steps)

    def load_checkpoint(
        self,
        thread: str,
        id: str = "",  # noqa: A002 - the word of the interface
        **options: Unpack[LoadOptions],
    ) -> Checkpoint:
        """The newest checkpoint of a thread, or the one of an id, with what tasks have written
        since. Raises ThreadNotFound, CheckpointNotFound; BlobPending while a content has not
        arrived, and DataLoss for a damaged one: `metadata["nearest"]` is the nearest ancestor that
        can be loaded."""
        return self._transport.run(self._checkpoints.load(thread, id, options))

    def read_part(self, checkpoint: Checkpoint, name: str) -> Iterator[bytes]:
        """The bytes of one part, a MiB at a time; of a checkpoint that may have been loaded with
        `metadata_only`."""
        part = checkpoint.parts[name]
        if part.data is not None:
            yield part.data
            return
        for index in chunks_of(part):
            yield self._transport.run(self._checkpoints.chunk(checkpoint, name, index))

    def list(self, thread: str, **options: Unpack[ListOptions]) -> Iterator[Checkpoint]:
        """Checkpoints of a thread without their contents, newest first, page by page."""
        token = ""
        while True:
            page = self._transport.run(self._checkpoints.page(thread, options, token))
            yield from page.found
            token = page.next_token
            if not token:
                return

    def diff(
        self, thread: str, before: str, after: str = "", **options: Unpack[LoadOptions]
    ) -> tuple[ChangedPart, ...]:
        """The parts that differ between two checkpoints (an empty id: the newest); of parts that
        are JSON the paths. Others are told by size and hash, without loading them."""
        steps = checkpoint_travel.difference(self._checkpoints, thread, before, after, options)
        return self._transport.run(steps)

    def fork(self, thread: str, source: str, **options: Unpack[SaveOptions]) -> Checkpoint:
        """Goes on from an earlier checkpoint: a copy of it, which follows it, becomes the
        newest."""
        steps = checkpoint_travel.fork(self._checkpoints, source, thread, options)
        return self._transport.run(steps)

    def restore(
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
        return self._transport.run(steps)

    def put_writes(
        self,
        checkpoint: Checkpoint,
        writes: Iterable[PendingWrite],
        **options: Unpack[WriteOptions],
    ) -> None:
        """Keeps what one task has written since a checkpoint, for whoever loads it."""
        self._transport.run(self._checkpoints.put_writes(checkpoint, writes, options))

    def threads(self, **options: Unpack[PlaceOptions]) -> Iterator[Thread]:
        """Threads of a space by their ids, page by page."""
        token = ""
        while True:
            page = self._transport.run(self._checkpoints.of_threads.threads(options, token))
            yield from page.found
            token = page.next_token
            if not token:
                return

    def thread(self, thread: str, **options: Unpack[LoadOptions]) -> Thread:
        """Who advances a thread, and its newest checkpoints. Raises ThreadNotFound."""
        return self._transport.run(self._checkpoints.of_threads.thread(thread, options))

    def take(self, thread: str, *, force: bool = False, **options: Unpack[WriteOptions]) -> Thread:
        """Makes the node of this door the one that advances a thread; the hub decides it. Raises
        PreconditionFailed (AUTHORITY_HELD) while another has it; `force` takes it all the same, and
        what that one did and has not sent yet will wait in the inbox."""
        return self._transport.run(self._checkpoints.of_threads.take(thread, force, options))

    def release(self, thread: str, **options: Unpack[WriteOptions]) -> None:
        """Gives a thread back, so that another node can take it."""
        self._transport.run(self._checkpoints.of_threads.release(thread, options))

    def delete_thread(self, thread: str, **options: Unpack[WriteOptions]) -> int:
        """Deletes a thread with all that is in it; how many checkpoints that were."""
        return self._transport.run(self._checkpoints.of_threads.delete(thread, options))

    def prune(self, thread: str, **options: Unpack[PruneOptions]) -> Pruned:
        """Deletes checkpoints that need not stay, or with `dry_run` says which."""
        return self._transport.run(self._checkpoints.of_threads.prune(thread, options))
