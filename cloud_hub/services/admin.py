"""AdminService: what operators ask of the hub and tell it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Any

import grpc

import holdfast
from cloud_hub import conflicts, digests, heads, policies, records
from cloud_hub.ingest import Ingest
from cloud_hub.services import edges
from cloud_hub.services.epochs import EpochMethods
from cloud_hub.services.state import page_size
from cloud_hub.storage.driver import Driver, Transaction
from cloud_hub.streams import Streams
from cloud_hub.submissions import Receipt, Requested
from cloud_hub.succession import Succession
from holdfast.host.clock import Clock
from holdfast.host.door import Refusal
from holdfast.v1 import admin_service_pb2 as pb
from holdfast.v1 import replication_service_pb2 as replication
from sync import names, values
from sync.codec import requests as convert
from sync.commit import Precondition, Version
from sync.policy import POLICIES, SPACE_KEY, InvalidPolicy, parse_collection, parse_space
from sync.position import ID_BYTES, MAX_NUMBER, Position
from sync.reduce import Put

Context = grpc.aio.ServicerContext[Any, Any]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class AdminService(EpochMethods):
    """Serves holdfast.v1.AdminService."""

    def __init__(
        self, name: str, database: str, driver: Driver, ingest: Ingest, streams: Streams,
        clock: Clock, succession: Succession, alarms: Callable[[], list[str]],
    ) -> None:  # fmt: skip
        super().__init__(driver, succession)
        self._name, self._database = name, database
        self._ingest, self._streams, self._clock = ingest, streams, clock
        self._started_ns, self._alarms = clock.boot_ns(), alarms

    async def GetHubStatus(
        self, request: pb.GetHubStatusRequest, context: Context
    ) -> pb.GetHubStatusResponse:
        """The hub's state in numbers."""
        del request, context
        return pb.GetHubStatusResponse(
            hub=self._name,
            version=holdfast.__version__,
            database=self._database,
            uptime_ms=(self._clock.boot_ns() - self._started_ns) // 1_000_000,
            connected_edges=self._streams.count,
            commits=self._ingest.commits,
            alarms=self._alarms(),
            memory_bytes=resident_bytes(),
        )

    async def ListEdges(
        self, request: pb.ListEdgesRequest, context: Context
    ) -> pb.ListEdgesResponse:
        """Edges by name; those connected here as they are now."""
        del context
        await self._streams.save()
        size = page_size(request.page_size)
        live = self._streams.edges()
        if request.lagging:
            if request.page_token:
                raise Refusal("PAGE_TOKEN_INVALID")
            return pb.ListEdgesResponse(edges=await edges.lagging(self._driver, live, size))
        found = await edges.page(self._driver, live, request.page_token, size)
        token = found[-1].edge if len(found) == size else ""
        return pb.ListEdgesResponse(edges=found, next_page_token=token)

    async def ListSpaces(
        self, request: pb.ListSpacesRequest, context: Context
    ) -> pb.ListSpacesResponse:
        """Spaces by name, with their digests."""
        del context
        size = page_size(request.page_size)

        async def work(tx: Transaction) -> list[pb.SpaceInfo]:
            found = await heads.page(tx, request.page_token, size)
            return [await _space(tx, head) for head in found]

        spaces = await self._driver.read(work)
        token = spaces[-1].space if len(spaces) == size else ""
        return pb.ListSpacesResponse(spaces=spaces, next_page_token=token)

    async def ListPolicies(
        self, request: pb.ListPoliciesRequest, context: Context
    ) -> pb.ListPoliciesResponse:
        """Policies that were set, by collection; the space's own comes first."""
        del context
        space, size = names.check_space(request.space), page_size(request.page_size)

        async def work(tx: Transaction) -> list[tuple[str, records.StoredRecord]]:
            return await records.page(tx, space, POLICIES, "", request.page_token, size)

        rows = await self._driver.read(work)
        return pb.ListPoliciesResponse(
            policies=[_policy(key, stored) for key, stored in rows if not stored.working.deleted],
            next_page_token=rows[-1][0] if len(rows) == size else "",
        )

    async def GetPolicy(
        self, request: pb.GetPolicyRequest, context: Context
    ) -> pb.GetPolicyResponse:
        """The policy in force; without one, the default."""
        del context
        space, key = names.check_space(request.space), _policy_key(request.collection)

        async def work(tx: Transaction) -> records.StoredRecord | None:
            await policies.load(tx, space)
            return await records.get(tx, space, POLICIES, key)

        stored = await self._driver.read(work)
        if stored is None or stored.working.deleted:
            return pb.GetPolicyResponse(policy=pb.Policy(collection=request.collection, json="{}"))
        return pb.GetPolicyResponse(policy=_policy(key, stored))

    async def SetPolicy(
        self, request: pb.SetPolicyRequest, context: Context
    ) -> pb.SetPolicyResponse:
        """Sets a policy by a commit of its space."""
        del context
        space, key = names.check_space(request.space), _policy_key(request.policy.collection)
        value = values.canonical(request.policy.json)
        try:
            parse_space(value) if key == SPACE_KEY else parse_collection(value)
        except InvalidPolicy as error:
            raise Refusal(error.reason, str(error)) from error
        if len(request.request_id) not in (0, ID_BYTES):
            raise Refusal("MALFORMED_REQUEST", f"request_id: {ID_BYTES} bytes, or none")
        actor = convert.actor_from(request.actor)
        if request.validate_only:
            checked = pb.Policy(collection=request.policy.collection, json=value.decode())
            return pb.SetPolicyResponse(policy=checked)
        unchanged = await self._unchanged(space, key, request.policy.revision)
        receipt = await self._ingest.submit(
            Requested(
                space=space,
                requests=(Put(POLICIES, key, value),),
                actor=actor,
                commit_id=request.request_id or secrets.token_bytes(ID_BYTES),
                preconditions=unchanged,
                retryable=bool(request.request_id),
                system=True,
            )
        )
        assert isinstance(receipt, Receipt), receipt
        policy = pb.Policy(
            collection=request.policy.collection,
            json=value.decode(),
            revision=receipt.position.revision,
        )
        return pb.SetPolicyResponse(policy=policy)

    async def _unchanged(self, space: str, key: str, at: int) -> tuple[Precondition, ...]:
        """That a policy is still as it was set at a revision; nothing if none is named."""
        if not at:
            return ()
        if at > MAX_NUMBER:
            raise Refusal("MALFORMED_REQUEST", f"policy.revision: at most {MAX_NUMBER}")
        head = await self._driver.read(lambda tx: heads.read(tx, space))
        version = Version(head.epoch if head else 0, at)
        return (Precondition(POLICIES, key, version=version),)


def resident_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * _PAGE_BYTES


async def _space(tx: Transaction, head: heads.Head) -> pb.SpaceInfo:
    tallies = await digests.of_space(tx, head.space)
    counts = await conflicts.count(tx, head.space)
    return pb.SpaceInfo(
        space=head.space,
        head=convert.position_to(Position(head.epoch, head.space, head.revision)),
        digests=[
            replication.CollectionDigest(collection=name, digest=t.digest, records=t.records)
            for name, t in sorted(tallies.items())
        ],
        open_conflicts=counts.open,
        conflicts=counts.total,
    )


def _policy_key(collection: str) -> str:
    return names.check_collection(collection) if collection else SPACE_KEY


def _policy(key: str, stored: records.StoredRecord) -> pb.Policy:
    return pb.Policy(
        collection="" if key == SPACE_KEY else key,
        json=stored.working.value.decode(),
        revision=stored.working.revision,
    )
