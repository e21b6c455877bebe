"""CheckpointService, the same at both doors: what an agent's run can be gone on with from.

A checkpoint is a record, a thread is a record, what tasks have written is one: so they replicate,
are watched and read as of a revision like all records, and are written by commits that show the
authority over the thread. Only contents have a store of their own.
"""

from __future__ import annotations

from collections.abc import Callable

from holdfast.v1 import checkpoint_service_pb2 as pb
from sync.doors.contents import Contents
from sync.doors.door import Call, Door
from sync.doors.handing import Handing
from sync.doors.loading import Loading
from sync.doors.pruning import Pruning
from sync.doors.saving import Saving


class CheckpointService:
    """Serves holdfast.v1.CheckpointService. `new_bytes` are 16 random bytes, for ids."""

    def __init__(self, door: Door, contents: Contents, new_bytes: Callable[[], bytes]) -> None:
        saving, loading = Saving(door, contents, new_bytes), Loading(door, contents)
        handing, pruning = Handing(door, contents), Pruning(door, contents)
        self._saving, self._loading = saving, loading
        self._handing, self._pruning = handing, pruning

    async def SaveCheckpoint(
        self, request: pb.SaveCheckpointRequest, context: Call
    ) -> pb.SaveCheckpointResponse:
        """Saves a checkpoint upon its parent."""
        return await self._saving.save(request, context)

    async def PutChunk(self, request: pb.PutChunkRequest, context: Call) -> pb.PutChunkResponse:
        """Stores a chunk of a large part."""
        return await self._saving.chunk(request, context)

    async def PutWrites(self, request: pb.PutWritesRequest, context: Call) -> pb.PutWritesResponse:
        """Stores what a task has written."""
        return await self._saving.writes(request, context)

    async def LoadCheckpoint(
        self, request: pb.LoadCheckpointRequest, context: Call
    ) -> pb.LoadCheckpointResponse:
        """Reads a checkpoint."""
        return await self._loading.load(request, context)

    async def ReadChunk(self, request: pb.ReadChunkRequest, context: Call) -> pb.ReadChunkResponse:
        """Reads a chunk of a large part."""
        return await self._loading.chunk(request, context)

    async def ListCheckpoints(
        self, request: pb.ListCheckpointsRequest, context: Call
    ) -> pb.ListCheckpointsResponse:
        """Lists checkpoints, newest first."""
        return await self._loading.list(request, context)

    async def ListThreads(
        self, request: pb.ListThreadsRequest, context: Call
    ) -> pb.ListThreadsResponse:
        """Lists threads."""
        return await self._loading.threads(request, context)

    async def GetThread(self, request: pb.GetThreadRequest, context: Call) -> pb.GetThreadResponse:
        """Tells of one thread."""
        return await self._loading.thread(request, context)

    async def TakeThread(
        self, request: pb.TakeThreadRequest, context: Call
    ) -> pb.TakeThreadResponse:
        """Makes this node the one that advances a thread."""
        return await self._handing.take(request, context)

    async def ReleaseThread(
        self, request: pb.ReleaseThreadRequest, context: Call
    ) -> pb.ReleaseThreadResponse:
        """Gives the authority over a thread back."""
        return await self._handing.release(request, context)

    async def DeleteThread(
        self, request: pb.DeleteThreadRequest, context: Call
    ) -> pb.DeleteThreadResponse:
        """Deletes a thread."""
        return await self._handing.delete(request, context)

    async def PruneThread(
        self, request: pb.PruneThreadRequest, context: Call
    ) -> pb.PruneThreadResponse:
        """Deletes checkpoints that a policy does not keep."""
        return await self._pruning.prune(request, context)
