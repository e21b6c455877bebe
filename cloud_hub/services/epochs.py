"""What operators ask about histories, and the one thing that they decide about them: that a new one
begins. Part of AdminService."""

from __future__ import annotations

from typing import Any

import grpc

from cloud_hub import epochs, forks
from cloud_hub.services.state import page_size
from cloud_hub.storage.driver import Driver, Transaction
from cloud_hub.succession import Succession
from holdfast.host.door import Refusal
from holdfast.v1 import admin_service_pb2 as pb
from holdfast.v1 import replication_service_pb2 as replication
from sync.codec import requests as convert
from sync.position import ID_BYTES, Epoch, Lineage, parse_number

Context = grpc.aio.ServicerContext[Any, Any]

MAX_REASON_CHARS = 500


class EpochMethods:
    """Lists and declares epochs."""

    def __init__(self, driver: Driver, succession: Succession) -> None:
        self._driver, self._succession = driver, succession

    async def ListEpochs(
        self, request: pb.ListEpochsRequest, context: Context
    ) -> pb.ListEpochsResponse:
        """The histories, oldest first."""
        del context
        after, size = _number(request.page_token or "0"), page_size(request.page_size)

        async def work(tx: Transaction) -> tuple[Lineage, list[epochs.Entry]]:
            return await epochs.load(tx), await epochs.listed(tx, after, size)

        lineage, found = await self._driver.read(work)
        by_ordinal = {epoch.ordinal: epoch for epoch in lineage.epochs}
        return pb.ListEpochsResponse(
            epochs=[_info(entry, by_ordinal[entry.ordinal]) for entry in found],
            next_page_token=str(found[-1].ordinal) if len(found) == size else "",
            stopped=[
                pb.StoppedSpace(space=space, why=why)
                for space, why in sorted(self._succession.stopped.items())
            ],
        )

    async def DeclareEpoch(
        self, request: pb.DeclareEpochRequest, context: Context
    ) -> pb.DeclareEpochResponse:
        """Begins a new history."""
        del context
        if len(request.request_id) != ID_BYTES:
            raise Refusal("MALFORMED_REQUEST", f"request_id: {ID_BYTES} bytes")
        if not 1 <= len(request.reason) <= MAX_REASON_CHARS:
            raise Refusal("MALFORMED_REQUEST", f"reason: 1 to {MAX_REASON_CHARS} characters")
        actor = convert.actor_from(request.actor)
        who = f"{actor.id}:{actor.kind.name.lower()}"
        lineage = await self._succession.declare(request.request_id, request.reason, who)
        return pb.DeclareEpochResponse(epoch=_epoch(lineage.present))

    async def ListForkSigns(
        self, request: pb.ListForkSignsRequest, context: Context
    ) -> pb.ListForkSignsResponse:
        """What showed that a history was not the one told before."""
        del context
        after, size = _place(request.page_token), page_size(request.page_size)
        found = await self._driver.read(lambda tx: forks.page(tx, after, size))
        last = found[-1] if len(found) == size else None
        return pb.ListForkSignsResponse(
            signs=[
                pb.ForkSign(
                    space=sign.space, witness=sign.witness, epoch=sign.epoch,
                    revision=sign.revision, shared=sign.shared, seen_ms=sign.seen_ms,
                    held=sign.held,
                )
                for sign in found
            ],
            next_page_token=f"{last.epoch} {last.revision} {last.space} {last.witness}"
            if last
            else "",
        )  # fmt: skip


def _info(entry: epochs.Entry, epoch: Epoch) -> pb.EpochInfo:
    return pb.EpochInfo(
        epoch=_epoch(epoch),
        declared_ms=entry.created_ms,
        reason=entry.reason,
        actor=entry.actor,
        timeline=entry.timeline,
    )


def _epoch(epoch: Epoch) -> replication.Epoch:
    return replication.Epoch(
        ordinal=epoch.ordinal,
        id=epoch.id,
        parent=epoch.parent,
        forks=[
            replication.Fork(space=space, revision=revision)
            for space, revision in sorted(epoch.forks.items())
        ],
    )


def _place(token: str) -> forks.Place:
    if not token:
        return forks.BEGINNING
    parts = token.split(" ", 3)
    if len(parts) != 4:
        raise Refusal("PAGE_TOKEN_INVALID")
    epoch, revision, space, witness = parts
    return space, witness, _number(epoch), _number(revision)


def _number(text: str) -> int:
    try:
        return parse_number(text)
    except ValueError:
        raise Refusal("PAGE_TOKEN_INVALID") from None
