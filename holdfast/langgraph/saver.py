"""HoldfastSaver: LangGraph's interface of a checkpointer, over the client."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
)
from langgraph.checkpoint.base import Checkpoint as GraphCheckpoint
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from holdfast.client import address as addresses
from holdfast.client import security
from holdfast.client.async_transport import AsyncTransport
from holdfast.client.blocking_transport import BlockingTransport
from holdfast.client.checkpoints import Checkpoints
from holdfast.client.limits import CONNECT_TIMEOUT_S, WRITE_TIMEOUT_S
from holdfast.client.records import Actor
from holdfast.client.session import Session
from holdfast.client.writes import Writes, actor_of
from holdfast.errors import NotFound
from holdfast.langgraph.arrivals import Arrivals
from holdfast.langgraph.steps import SaverSteps, is_wanted
from holdfast.tls.credentials import TlsFiles

AGENT = ("langgraph", "ai")


class HoldfastSaver(BaseCheckpointSaver[int]):
    """Keeps the checkpoints of graphs at an edge's socket, without a network too, or at a hub.

        saver = HoldfastSaver(actor=("planner", "ai"))
        graph = builder.compile(checkpointer=saver)
        graph.invoke(question, {"configurable": {"thread_id": "run-7"}})

    `address` and `tls` are as of `holdfast.Client`. Graphs that block and graphs of asyncio may use
    one saver. Values are read back by strict msgpack: types of your own are to be named to the
    graph, or in a `serde`.

    A thread is advanced by one node at a time. To move one, `release` it here; the first put at
    another door takes it. Errors are those of `holdfast.errors`: StaleAuthority where another node
    has the thread, BlobPending while a content has not arrived.
    """

    def __init__(
        self,
        address: str | None = None,
        actor: Actor | tuple[str, str] = AGENT,
        *,
        space: str = "default",
        serde: SerializerProtocol | None = None,
        tls: TlsFiles | None = None,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> None:
        super().__init__(serde=serde or JsonPlusSerializer(allowed_msgpack_modules=None))
        tls = security.find(tls, address)
        target = addresses.find(address, secure=tls is not None)
        self._connecting = (target, connect_timeout_s, security.of_target(target, tls))
        self._blocking = BlockingTransport(*self._connecting)
        self._transports: dict[asyncio.AbstractEventLoop, AsyncTransport] = {}
        session = Session()
        checkpoints = Checkpoints(Writes(actor_of(actor), session), session)
        self._space, self._checkpoints = space, checkpoints
        self._arrivals = Arrivals()
        self._steps = SaverSteps(checkpoints, space, self.serde)

    def close(self) -> None:
        """Ends the connection of graphs that block."""
        self._blocking.close()

    async def aclose(self) -> None:
        """Ends the connection of graphs of this event loop, and of those that block."""
        transport = self._transports.pop(asyncio.get_running_loop(), None)
        if transport is not None:
            await transport.close()
        self._blocking.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def with_allowlist(self, extra_allowlist: Collection[tuple[str, ...]]) -> Self:
        """A saver over the same connections that also reads these types back."""
        found = super().with_allowlist(extra_allowlist)
        if found is self:
            return self
        clone = copy.copy(self)
        clone.serde = found.serde
        clone._steps = self._steps.with_serde(found.serde)  # noqa: SLF001 - it is one of its kind
        return clone

    @property
    def _here(self) -> AsyncTransport:
        """A channel belongs to the event loop that uses it."""
        loop = asyncio.get_running_loop()
        for other in [each for each in self._transports if each.is_closed()]:
            del self._transports[other]
        if loop not in self._transports:
            self._transports[loop] = AsyncTransport(*self._connecting)
        return self._transports[loop]

    # -- blocking --------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See BaseCheckpointSaver."""
        return self._blocking.run(self._steps.get_tuple(config))

    def put(
        self, config: RunnableConfig, checkpoint: GraphCheckpoint, metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:  # fmt: skip
        """See BaseCheckpointSaver. Durable when it returns."""
        name = self._steps.name_of(config)._replace(id=checkpoint["id"])
        stored = False
        try:
            made = self._blocking.run(self._steps.put(config, checkpoint, metadata, new_versions))
            stored = True
            return made
        finally:
            self._arrivals.ended(name, stored=stored)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str,
        task_path: str = "",
    ) -> None:  # fmt: skip
        """See BaseCheckpointSaver. Durable when it returns; it waits for its checkpoint."""
        name, run = self._steps.name_of(config), self._blocking.run
        try:
            return run(self._steps.put_writes(config, writes, task_id, task_path))
        except NotFound:
            arrival = self._arrivals.expect(name)
        try:
            return run(self._steps.put_writes(config, writes, task_id, task_path))
        except NotFound:
            with contextlib.suppress(TimeoutError):
                arrival.result(WRITE_TIMEOUT_S)
        finally:
            self._arrivals.forget(name, arrival)
        return run(self._steps.put_writes(config, writes, task_id, task_path))

    def list(
        self, config: RunnableConfig | None, *, filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None, limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:  # fmt: skip
        """See BaseCheckpointSaver. Newest first in each thread."""
        if config is not None and get_checkpoint_id(config):
            found = self.get_tuple(config)
            if found is not None and is_wanted(found, _id(before), filter or {}):
                yield found
            return
        left, last = limit, _id(before)
        for thread in self._threads(config):
            token = ""
            while left is None or left > 0:
                page = self._blocking.run(
                    self._steps.page(thread, _namespace(config), last, token)
                )  # fmt: skip
                for one in page.found:
                    if left is not None and left <= 0:
                        return
                    made = self._blocking.run(self._steps.listed(one, last, filter or {}))
                    if made is not None:
                        left = None if left is None else left - 1
                        yield made
                token = page.next_token
                if not token:
                    break

    def _threads(self, config: RunnableConfig | None) -> Iterator[str]:
        if config is not None:
            yield str(config["configurable"]["thread_id"])
            return
        token = ""
        while True:
            page = self._blocking.run(self._steps.threads(token))
            yield from (thread.id for thread in page.found)
            token = page.next_token
            if not token:
                return

    def delete_thread(self, thread_id: str) -> None:
        """See BaseCheckpointSaver."""
        self._blocking.run(self._steps.delete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See BaseCheckpointSaver."""
        self._blocking.run(self._steps.delete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See BaseCheckpointSaver. It is no commit: copied again, it goes on."""
        self._blocking.run(self._steps.copy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See BaseCheckpointSaver. What channels with deltas need of their ancestors stays."""
        self._blocking.run(self._steps.prune(thread_ids, strategy))

    def release(self, thread_id: str) -> None:
        """Gives a thread back, so that the first put at another door goes on with it."""
        steps = self._checkpoints.of_threads.release(str(thread_id), {"space": self._space})
        self._blocking.run(steps)

    # -- asyncio ---------------------------------------------------------------

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See BaseCheckpointSaver."""
        return await self._here.run(self._steps.get_tuple(config))

    async def aput(
        self, config: RunnableConfig, checkpoint: GraphCheckpoint, metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:  # fmt: skip
        """See BaseCheckpointSaver. Durable when it returns."""
        name = self._steps.name_of(config)._replace(id=checkpoint["id"])
        stored = False
        try:
            steps = self._steps.put(config, checkpoint, metadata, new_versions)
            made = await self._here.run(steps)
            stored = True
            return made
        finally:
            self._arrivals.ended(name, stored=stored)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str,
        task_path: str = "",
    ) -> None:  # fmt: skip
        """See BaseCheckpointSaver. Durable when it returns; it waits for its checkpoint."""
        name, run = self._steps.name_of(config), self._here.run
        try:
            return await run(self._steps.put_writes(config, writes, task_id, task_path))
        except NotFound:
            arrival = self._arrivals.expect(name)
        try:
            return await run(self._steps.put_writes(config, writes, task_id, task_path))
        except NotFound:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await asyncio.wrap_future(arrival)
        finally:
            self._arrivals.forget(name, arrival)
        return await run(self._steps.put_writes(config, writes, task_id, task_path))

    async def alist(
        self, config: RunnableConfig | None, *, filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None, limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:  # fmt: skip
        """See BaseCheckpointSaver. Newest first in each thread."""
        if config is not None and get_checkpoint_id(config):
            found = await self.aget_tuple(config)
            if found is not None and is_wanted(found, _id(before), filter or {}):
                yield found
            return
        left, last, run = limit, _id(before), self._here.run
        async for thread in self._athreads(config):
            token = ""
            while left is None or left > 0:
                page = await run(self._steps.page(thread, _namespace(config), last, token))
                for one in page.found:
                    if left is not None and left <= 0:
                        return
                    made = await run(self._steps.listed(one, last, filter or {}))
                    if made is not None:
                        left = None if left is None else left - 1
                        yield made
                token = page.next_token
                if not token:
                    break

    async def _athreads(self, config: RunnableConfig | None) -> AsyncIterator[str]:
        if config is not None:
            yield str(config["configurable"]["thread_id"])
            return
        token = ""
        while True:
            page = await self._here.run(self._steps.threads(token))
            for thread in page.found:
                yield thread.id
            token = page.next_token
            if not token:
                return

    async def adelete_thread(self, thread_id: str) -> None:
        """See BaseCheckpointSaver."""
        await self._here.run(self._steps.delete_thread(thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See BaseCheckpointSaver."""
        await self._here.run(self._steps.delete_for_runs(run_ids))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See BaseCheckpointSaver. It is no commit: copied again, it goes on."""
        await self._here.run(self._steps.copy_thread(source_thread_id, target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """See BaseCheckpointSaver. What channels with deltas need of their ancestors stays."""
        await self._here.run(self._steps.prune(thread_ids, strategy))

    async def arelease(self, thread_id: str) -> None:
        """Gives a thread back, so that the first put at another door goes on with it."""
        steps = self._checkpoints.of_threads.release(str(thread_id), {"space": self._space})
        await self._here.run(steps)


def _namespace(config: RunnableConfig | None) -> str | None:
    return None if config is None else config["configurable"].get("checkpoint_ns")


def _id(config: RunnableConfig | None) -> str:
    return "" if config is None else get_checkpoint_id(config) or ""
