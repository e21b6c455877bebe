"""Carries contents of checkpoints between this edge and the hub, beside the stream of commits.

Like the uplink it is a reconciler: it goes by what blobs.db says is not sent, and by what the hub
answers. It asks which the hub lacks, sends those as they are stored, a base before what stands upon
it, and marks what the hub has confirmed. A cut costs the message that was on its way. A commit may
be at the hub before its contents are; until then loading says so.

What a load needs and is not here is fetched in the same way, only what is missing of each chain.

Invariant: what is marked as sent, the hub has said that it has, in the history that it is in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import Any

import grpc

from edge_agent.blobs import Unsent
from edge_agent.database import EdgeFiles
from edge_agent.services.hub_door import HubDoor
from edge_agent.uplink import LinkState, Uplink
from holdfast.host.errors import HostError
from holdfast.v1 import blob_service_pb2 as pb
from holdfast.v1 import blob_service_pb2_grpc as rpc
from sync import chains
from sync.chains import Blob, ChainRefused
from sync.codec import checkpoints as convert
from sync.doors.contents import Contents

ASKED_AT_ONCE = 256
"""Names in one question: 8 KB, and what follows from it is sent within a minute or so."""

MESSAGE_BYTES = 1 << 20
"""Packed blobs in one message: a thin link carries it within a deadline, and a cut costs as much at
most. One blob that is larger goes alone."""

MESSAGE_SECONDS = 120.0
"""A MB within that is 70 kbit/s."""

AGAIN_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""After a failure, and when nothing was said to have come: the link is looked at this often."""

FETCHED_BYTES = 40 << 20
"""Packed blobs of one chain that are held at once: a chain of the largest chunks has 17 MB."""

EPOCH = "blobs_epoch"
"""The setting that says in which of the hub's histories the marks were made."""

_log = logging.getLogger(__name__)


class Carrier:
    """The carrier of one edge; `contents` are set once they are made with its `fetch`."""

    def __init__(self, files: EdgeFiles, uplink: Uplink, hub: HubDoor) -> None:
        self._files, self._blobs, self._uplink, self._hub = files, files.blobs, uplink, hub
        self.contents = Contents(files.blobs, asyncio.to_thread, self.fetch)
        self._more = asyncio.Event()
        self._blobs.on_kept = self._more.set
        self._passed_over: set[int] = set()
        """Blobs that cannot be sent, until this process ends: the others go on."""

    async def run(self) -> None:
        """Sends what is to be sent, until cancelled."""
        while True:
            self._more.clear()
            try:
                rest = LOOK_SECONDS if not await self._send_some() else 0.0
            except (grpc.aio.AioRpcError, HostError) as error:
                _log.info("contents of checkpoints wait: %s", error)
                rest = AGAIN_SECONDS
                await asyncio.sleep(rest)
                continue
            if rest:
                progress = self._uplink.progress
                await self._woken(progress, rest)

    async def _woken(self, progress: asyncio.Event, seconds: float) -> None:
        """Returns when there may be something to do."""
        waits = [self._more.wait()]
        if self._uplink.state is not LinkState.STREAMING:
            waits.append(progress.wait())
        tasks = [asyncio.create_task(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    @property
    def _is_there(self) -> bool:
        return self._uplink.state is LinkState.STREAMING

    # -- sending ---------------------------------------------------------------

    async def _send_some(self) -> bool:
        """Sends some of what the hub lacks; False if there is nothing, or no link."""
        if not self._is_there:
            return False
        await self._follow_epoch()
        rows = await self._blobs.unsent(max(self._passed_over, default=0), ASKED_AT_ONCE)
        if not rows:
            return False
        place = (rows[0].space, rows[0].thread)
        group = list(takewhile(lambda row: (row.space, row.thread) == place, rows))
        asked = pb.FindMissingRequest(
            space=place[0], thread=place[1], names=[row.name for row in group]
        )
        missing = set((await self._ask("FindMissing", asked)).missing)
        await self._blobs.mark_sent([row.number for row in group if row.name not in missing])
        await self._send([row for row in group if row.name in missing])
        return True

    async def _follow_epoch(self) -> None:
        """A hub whose database has gone back may lack what it had."""
        lineage = self._files.outbox.lineage
        now = lineage[-1].id.hex() if lineage else ""
        if now and await self._files.setting(EPOCH) != now:
            await self._blobs.mark_all_unsent()
            self._passed_over.clear()
            await self._files.set_setting(EPOCH, now)

    async def _send(self, rows: Sequence[Unsent]) -> None:
        message: list[tuple[Unsent, Blob]] = []
        size = 0
        for row in rows:
            chain = await self._blobs.chain(row.space, row.name)
            if not chain:
                await self._blobs.mark_sent([row.number])  # it was let go of meanwhile
                continue
            if message and size + len(chain[0].packed) > MESSAGE_BYTES:
                await self._keep(message)
                message, size = [], 0
            message.append((row, chain[0]))
            size += len(chain[0].packed)
        if message:
            await self._keep(message)

    async def _keep(self, message: Sequence[tuple[Unsent, Blob]]) -> None:
        """Has some blobs kept by the hub; those that cannot stand there go whole."""
        unfit = await self._kept(message)
        done = [row.number for row, blob in message if blob.name not in unfit]
        await self._blobs.mark_sent(done)
        for row, blob in message:
            if blob.name not in unfit:
                continue
            try:
                content = await self.contents.read(row.space, row.thread, blob.name)
            except ChainRefused as refused:
                self._pass_over(row, str(refused))
                continue
            whole = await asyncio.to_thread(chains.pack, content)
            if await self._kept([(row, whole)]):
                self._pass_over(row, "the hub does not take it")
            else:
                await self._blobs.mark_sent([row.number])

    async def _kept(self, message: Sequence[tuple[Unsent, Blob]]) -> Collection[bytes]:
        row = message[0][0]
        request = pb.KeepBlobsRequest(
            space=row.space, thread=row.thread, blobs=[convert.blob_to(b) for _, b in message]
        )
        try:
            return set((await self._ask("KeepBlobs", request)).unfit)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _REFUSED:
                raise
            if len(message) == 1:
                return {message[0][1].name}
            # One of them is not what it says: the others are not to wait for it.
            return {b.name for one in message for b in [one[1]] if await self._kept([one])}

    def _pass_over(self, row: Unsent, why: str) -> None:
        _log.error("blob %s of %s is not sent: %s", row.name.hex(), row.thread, why)
        self._files.alarms.raise_("BLOBS_DAMAGED", "contents of checkpoints cannot be sent")
        self._passed_over.add(row.number)

    # -- fetching --------------------------------------------------------------

    async def fetch(self, space: str, thread: str, names: Collection[bytes]) -> None:
        """See Fetch: from the hub, if there is a link; without one, or if that fails, nothing."""
        if not self._is_there:
            return
        with contextlib.suppress(grpc.aio.AioRpcError, ChainRefused):
            await self._fetch(space, thread, list(names))

    async def _fetch(self, space: str, thread: str, wanted: list[bytes]) -> None:
        found: dict[bytes, Blob] = {}
        while wanted and sum(len(blob.packed) for blob in found.values()) < FETCHED_BYTES:
            request = pb.FetchBlobsRequest(space=space, thread=thread, names=wanted[:ASKED_AT_ONCE])
            answer = await self._ask("FetchBlobs", request)
            came = {blob.name: blob for blob in convert.blobs_from(answer.blobs)}
            if not came:
                break
            found |= came
            below = {*answer.below, *wanted} - found.keys() - set(answer.missing)
            known = await self._blobs.known(space, below) if below else {}
            wanted = sorted(below - known.keys())
        order = sorted(found.values(), key=lambda blob: blob.depth)
        unfit = await self.contents.admit(space, thread, order)
        await self._blobs.mark_heard(space, thread, found.keys() - set(unfit))

    async def _ask(self, name: str, request: Any) -> Any:
        method = getattr(rpc.BlobServiceStub(await self._hub.channel()), name)
        return await method(request, timeout=MESSAGE_SECONDS)


_REFUSED = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.DATA_LOSS})
