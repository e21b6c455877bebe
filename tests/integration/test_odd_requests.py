"""Requests that were once answered wrongly: conditions on policies, made-up tokens, void seqs."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import InvalidArgument, RevisionMismatch
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import edge_service_pb2 as edge_pb
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as state
from tests.house import SPACE, House, house

pytestmark = pytest.mark.integration

ANN = record.Actor(id="ann", kind=record.ACTOR_KIND_HUMAN)


async def _set(home: House, json: str, revision: int, request_id: bytes = b"") -> Any:
    policy = admin.Policy(collection="parts", json=json, revision=revision)
    request = admin.SetPolicyRequest(
        space=SPACE, policy=policy, actor=ANN, request_id=request_id
    )  # fmt: skip
    return await home.keeper("hub").request("AdminService.SetPolicy", request)


async def test_a_policy_is_set_on_condition_that_it_is_as_it_was() -> None:
    async with house() as home:
        first = (await _set(home, "{}", 0)).policy.revision
        second = (await _set(home, '{"coalesce":true}', first)).policy.revision
        with pytest.raises(RevisionMismatch):
            await _set(home, "{}", first)
        assert (await _set(home, "{}", second)).policy.revision == second + 1
        with pytest.raises(InvalidArgument, match="request_id"):
            await _set(home, "{}", 0, b"short")


async def test_a_page_token_of_another_record_is_refused() -> None:
    async with house() as home:
        for key in ("x", "y"):
            await home.at("hub").put(f"{SPACE}/parts/{key}", {"n": 1})
        request = state.HistoryRequest(space=SPACE, collection="parts", key="x", page_token="2")
        with pytest.raises(InvalidArgument) as refused:
            await home.at("hub").request("StateService.History", request)
        assert refused.value.reason == "PAGE_TOKEN_INVALID"


async def test_what_lies_behind_a_void_seq_is_listed() -> None:
    async with house("a") as home:
        await home.pause("a")
        for number in range(4):
            await home.at("a").put(f"{SPACE}/parts/{number}", {"n": number})
        files = home.running["a"].daemon.files
        await files.in_outbox(
            lambda c: files.outbox.declare_void(c, SPACE, 1, 2, 1, "OUTBOX_DAMAGED")
        )
        answer = await home.keeper("a").request(
            "EdgeService.ListOutbox", edge_pb.ListOutboxRequest()
        )
        assert isinstance(answer, edge_pb.ListOutboxResponse)
        assert [entry.op_id.seq for entry in answer.entries] == [1, 3, 4]
