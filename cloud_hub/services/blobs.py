"""BlobService at the hub: contents of checkpoints, from edges and to them.

What an edge sends is unpacked before it is kept, so that nothing is in the store under a name that
is not its hash. Everything here can be repeated.
"""

from __future__ import annotations

from typing import Any

import grpc

from holdfast.host.refusal import Refusal
from holdfast.v1 import blob_service_pb2 as pb
from sync import names
from sync.blobs import MAX_NAMES
from sync.codec import checkpoints as convert
from sync.doors.contents import Contents
from sync.room import Room

Context = grpc.aio.ServicerContext[Any, Any]


class BlobService:
    """Serves holdfast.v1.BlobService."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    async def FindMissing(
        self, request: pb.FindMissingRequest, context: Context
    ) -> pb.FindMissingResponse:
        """Tells what is missing here."""
        del context
        space, thread = _place(request)
        there = await self._contents.blobs.use(space, thread, set(request.names))
        return pb.FindMissingResponse(missing=[n for n in request.names if n not in there])

    async def KeepBlobs(
        self, request: pb.KeepBlobsRequest, context: Context
    ) -> pb.KeepBlobsResponse:
        """Stores blobs."""
        del context
        space, thread = names.check_space(request.space), names.check_key(request.thread)
        blobs = convert.blobs_from(request.blobs)
        return pb.KeepBlobsResponse(unfit=await self._contents.admit(space, thread, blobs))

    async def FetchBlobs(
        self, request: pb.FetchBlobsRequest, context: Context
    ) -> pb.FetchBlobsResponse:
        """Reads blobs."""
        del context
        space, _ = _place(request)
        found, below, room = pb.FetchBlobsResponse(), dict[bytes, None](), Room()
        for name in dict.fromkeys(request.names):
            chain = await self._contents.blobs.chain(space, name)
            if not chain:
                found.missing.append(name)
                continue
            if not room.takes(len(chain[0].packed)):
                break
            found.blobs.append(convert.blob_to(chain[0]))
            below |= dict.fromkeys(blob.name for blob in chain[1:])
        asked = set(request.names)
        found.below.extend(name for name in below if name not in asked)
        return found


def _place(request: pb.FindMissingRequest | pb.FetchBlobsRequest) -> tuple[str, str]:
    convert.check_hashes(request.names)
    if not 1 <= len(request.names) <= MAX_NAMES:
        raise Refusal("TOO_MANY_OPS", f"names: 1 to {MAX_NAMES}")
    return names.check_space(request.space), names.check_key(request.thread)
