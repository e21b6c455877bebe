"""Threads of checkpoints: who advances them, their end, and what of them stays.

Every method of `Threads` returns steps (see `call`), so that both clients share all of it.
"""

from __future__ import annotations

from holdfast.client import checkpoint_wire as nouns
from holdfast.client import values, wire
from holdfast.client.call import Call, Steps, method
from holdfast.client.checkpoint_memory import Memory
from holdfast.client.checkpoint_options import (
    LoadOptions,
    PlaceOptions,
    PruneOptions,
    WriteOptions,
)
from holdfast.client.checkpoint_records import Page, Pruned, Thread
from holdfast.client.limits import READ_TIMEOUT_S
from holdfast.v1 import checkpoint_service_pb2 as pb


class Threads:
    """Asks for threads and hands them over."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def threads(self, options: PlaceOptions, token: str) -> Steps[Page]:
        """See `AsyncCheckpoints.threads`."""
        space = options.get("space", "default")
        request = pb.ListThreadsRequest(
            space=values.encodable(space),
            page_token=token,
            session_token=self._memory.session.token(space),
        )
        timeout_s = options.get("timeout_s", READ_TIMEOUT_S)
        called = method("CheckpointService.ListThreads")
        response: pb.ListThreadsResponse = yield Call(called, request, timeout_s)
        self._memory.learn(space, response.answer)
        found = tuple(nouns.thread_from(space, each) for each in response.threads)
        return Page(found, response.next_page_token)

    def thread(self, thread: str, options: LoadOptions) -> Steps[Thread]:
        """See `AsyncCheckpoints.thread`."""
        space = options.get("space", "default")
        request = pb.GetThreadRequest(
            space=values.encodable(space),
            thread_id=values.encodable(thread),
            level=wire.level_to(options.get("level")),
            session_token=self._memory.session.token(space),
        )
        timeout_s = options.get("timeout_s", READ_TIMEOUT_S)
        called = method("CheckpointService.GetThread")
        response: pb.GetThreadResponse = yield Call(called, request, timeout_s)
        self._memory.learn(space, response.answer)
        return nouns.thread_from(space, response.thread)

    def take(self, thread: str, force: bool, options: WriteOptions) -> Steps[Thread]:
        """See `AsyncCheckpoints.take`."""
        space = options.get("space", "default")
        request = pb.TakeThreadRequest(
            space=values.encodable(space),
            thread_id=values.encodable(thread),
            force=force,
            actor=self._memory.author(options),
            session_token=self._memory.session.token(space),
        )
        response = yield self._memory.acting("TakeThread", request, options)
        self._memory.committed(response)
        found = nouns.thread_from(space, response.thread)
        self._memory.held(space, thread, found.token)
        return found

    def release(self, thread: str, options: WriteOptions) -> Steps[None]:
        """See `AsyncCheckpoints.release`."""
        space = options.get("space", "default")
        request = pb.ReleaseThreadRequest(
            space=values.encodable(space),
            thread_id=values.encodable(thread),
            token=self._memory.token(space, thread, options),
            actor=self._memory.author(options),
            session_token=self._memory.session.token(space),
        )
        response = yield self._memory.acting("ReleaseThread", request, options)
        self._memory.forget(space, thread)
        self._memory.committed(response)

    def delete(self, thread: str, options: WriteOptions) -> Steps[int]:
        """See `AsyncCheckpoints.delete_thread`."""
        space = options.get("space", "default")
        request = pb.DeleteThreadRequest(
            space=values.encodable(space),
            thread_id=values.encodable(thread),
            token=self._memory.token(space, thread, options),
            actor=self._memory.author(options),
            session_token=self._memory.session.token(space),
        )
        response = yield self._memory.acting("DeleteThread", request, options)
        self._memory.committed(response)
        self._memory.forget(space, thread, checkpoints=True)
        return int(response.checkpoints)

    def prune(self, thread: str, options: PruneOptions) -> Steps[Pruned]:
        """See `AsyncCheckpoints.prune`."""
        space, ttl_s = options.get("space", "default"), options.get("ttl_s")
        policy = pb.PrunePolicy(
            last=options.get("last"),
            daily=options.get("daily"),
            ttl_ms=None if ttl_s is None else round(ttl_s * 1_000),
            budget=options.get("budget"),
        )
        request = pb.PruneThreadRequest(
            space=values.encodable(space),
            thread_id=values.encodable(thread),
            policy=policy,
            dry_run=options.get("dry_run", False),
            drop=[
                pb.ThreadHead(namespace=values.encodable(ns), checkpoint_id=values.encodable(id_))
                for ns, id_ in options.get("drop", ())
            ],
            token=self._memory.token(space, thread, options),
            actor=self._memory.author(options),
            session_token=self._memory.session.token(space),
        )
        response = yield self._memory.acting("PruneThread", request, options)
        self._memory.committed(response)
        gone = tuple((each.namespace, each.checkpoint_id) for each in response.gone)
        return Pruned(gone, int(response.kept), int(response.freed))
