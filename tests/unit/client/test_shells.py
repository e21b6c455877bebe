"""Both shells against a door that does what each test tells it: what is sent, what is understood,
and what happens when answers do not come."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

import holdfast
from holdfast import AsyncClient, Client, Expect, OutcomeKind, Put, errors
from holdfast.client import Add, Context, Delete, Level, OpId, Patch, Position
from holdfast.client.async_workflows import AsyncWorkflows
from holdfast.client.blocking_workflows import BlockingWorkflows
from holdfast.host.door import Refusal, add_service
from holdfast.v1 import edge_service_pb2 as edge
from holdfast.v1 import record_pb2 as pb
from holdfast.v1 import state_service_pb2 as state
from tests import shells

ORIGIN = b"o" * 16


class Door:
    """Keeps requests; answers each with the next of `answers` for its method, or by default."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answers: dict[str, list[Any]] = {}

    async def Commit(self, request: state.CommitRequest, context: Any) -> Any:
        default = state.CommitResponse(
            answer=answer(token=b"after-commit"),
            op_id=op_id(len(self.requests) + 1, request.commit_id, request.space),
            outcome=pb.Outcome(kind=pb.OUTCOME_KIND_PENDING),
        )
        return await self._next("Commit", request, default)

    async def Get(self, request: state.GetRequest, context: Any) -> Any:
        default = state.GetResponse(record=record("7"), answer=answer())
        return await self._next("Get", request, default)

    async def BatchGet(self, request: state.BatchGetRequest, context: Any) -> Any:
        return await self._next("BatchGet", request, state.BatchGetResponse())

    async def List(self, request: state.ListRequest, context: Any) -> Any:
        return await self._next("List", request, state.ListResponse())

    async def History(self, request: state.HistoryRequest, context: Any) -> Any:
        return await self._next("History", request, state.HistoryResponse())

    async def GetOutcome(self, request: state.GetOutcomeRequest, context: Any) -> Any:
        return await self._next("GetOutcome", request, state.GetOutcomeResponse())

    async def Wait(self, request: state.WaitRequest, context: Any) -> Any:
        return await self._next("Wait", request, state.WaitResponse(answer=answer()))

    async def Watch(
        self, request: state.WatchRequest, context: Any
    ) -> AsyncIterator[state.WatchResponse]:
        self.requests.append(request)
        for said in self.answers.get("Watch", [[]]).pop(0):
            if isinstance(said, Exception):
                raise said
            yield said
        await asyncio.sleep(60 if not self.answers.get("Watch") else 0)

    async def Pause(self, request: edge.PauseRequest, context: Any) -> edge.PauseResponse:
        self.requests.append(request)
        return edge.PauseResponse()

    async def _next(self, method: str, request: Any, default: Any) -> Any:
        self.requests.append(request)
        said = (self.answers.get(method) or [default]).pop(0)
        if callable(said):
            said = await said()
        if isinstance(said, Exception):
            raise said
        return said


def answer(token: bytes = b"token", base: int = 3) -> state.Answer:
    context = pb.Context(epoch=1, base=base, seen=[pb.Seen(origin=ORIGIN, seq=2)])
    position = pb.Position(epoch=1, space="s", revision=base)
    return state.Answer(
        level=pb.LEVEL_EVENTUAL,
        position=position,
        session_token=token,
        includes_pending=True,
        context=context,
    )


def op_id(seq: int = 1, commit_id: bytes = b"c" * 16, space: str = "s") -> pb.OpId:
    return pb.OpId(origin=ORIGIN, space=space, seq=seq, commit_id=commit_id)


def record(key: str, text: str = '{"n":1,"x":1.5}') -> pb.Record:
    return pb.Record(
        collection="c",
        key=key,
        json=text,
        version=pb.Version(epoch=1, revision=3, origin=ORIGIN, seq=2),
        actor=pb.Actor(id="arm-3", kind=pb.ACTOR_KIND_ROBOT),
        stamp=1_700_000_000_000 << 16,
    )


def commit_event(key: str, token: bytes, revision: int) -> state.WatchResponse:
    outcome = pb.Outcome(
        op_id=op_id(revision),
        kind=pb.OUTCOME_KIND_APPLIED,
        position=pb.Position(epoch=1, space="s", revision=revision),
    )
    event = state.CommitEvent(changes=[state.Change(record=record(key))], outcome=outcome)
    return state.WatchResponse(commit=event, resume_token=token)


def bookmark(token: bytes) -> state.WatchResponse:
    told = state.WatchBookmark(position=pb.Position(epoch=1, space="s", revision=3))
    return state.WatchResponse(bookmark=told, resume_token=token)


@asynccontextmanager
async def serving(path: Path, door: Door) -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_service(server, state.DESCRIPTOR.services_by_name["StateService"], door)
    add_service(server, edge.DESCRIPTOR.services_by_name["EdgeService"], door)
    address = f"unix:{path}"
    server.add_insecure_port(address)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(0)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture(params=shells.KINDS)
async def client(request: Any, tmp_path: Path, door: Door) -> AsyncIterator[Any]:
    async with (
        serving(tmp_path / "door.sock", door) as address,
        shells.client(request.param, address, actor=("arm-3", "robot")) as opened,
    ):
        yield opened


# -- writing -----------------------------------------------------------------------------------


async def test_a_commit_carries_all_that_was_said(client: Any, door: Door) -> None:
    seen = Context(1, 2, ((ORIGIN, 1),))
    receipt = await client.commit(
        [
            Put("s/c/1", {"b": 1, "a": [True, None]}),
            Patch("s/c/2", {"a": 2}, ("b",)),
            Delete("s/d/3"),
            Add("s/d/4", {"n": -5}),
        ],
        expect=[Expect.absent("s/c/1"), Expect.present("s/c/2")],
        level="eventual",
        context=seen,
        correlation_id="job-9",
        causation_id=b"x" * 16,
        actor=("ana", "human"),
    )
    (sent,) = door.requests
    assert sent.space == "s" and sent.level == pb.LEVEL_EVENTUAL
    assert [(op.collection, op.key, op.WhichOneof("action")) for op in sent.ops] == [
        *(("c", "1", "put"), ("c", "2", "patch"), ("d", "3", "delete"), ("d", "4", "add"))
    ]
    assert json.loads(sent.ops[0].put.json) == {"b": 1, "a": [True, None]}
    assert list(sent.ops[1].patch.remove) == ["b"]
    assert dict(sent.ops[3].add.deltas) == {"n": -5}
    assert [p.exists for p in sent.preconditions] == [False, True]
    assert (sent.context.base, sent.context.seen[0].seq) == (2, 1)
    assert (sent.correlation_id, sent.causation_id) == ("job-9", b"x" * 16)
    assert (sent.actor.id, sent.actor.kind) == ("ana", pb.ACTOR_KIND_HUMAN)
    assert len(sent.commit_id) == 16 == len(receipt.commit_id)
    assert receipt.known.kind is OutcomeKind.PENDING and not receipt.known.decided
    assert receipt.answer.level is Level.EVENTUAL
    assert receipt.context == Context(1, 3, ((ORIGIN, 2),))


async def test_conditions_of_one_record(client: Any, door: Door) -> None:
    read = await client.get("s/c/7")
    await client.put("s/c/7", {}, if_version=read)
    await client.delete("s/c/7", if_version=read.version)
    await client.put("s/c/7", {}, if_absent=True)
    await client.add("s/c/7", {"n": 1}, if_exists=True)
    one, two, three, four = (request.preconditions[0] for request in door.requests[1:])
    assert one == two
    assert (one.version.revision, one.version.origin, one.version.seq) == (3, ORIGIN, 2)
    assert three.WhichOneof("condition") == "exists" and not three.exists
    assert four.exists


async def test_a_write_says_what_it_was_based_on(client: Any, door: Door) -> None:
    read = await client.get("s/c/7")
    await client.patch("s/c/7", {"n": 2}, based_on=read)
    await client.commit([Put("s/c/8", {})], based_on=[read])
    await client.patch("s/c/7", {"n": 3})
    _, single, several, blind = door.requests
    assert single.context == several.context
    assert (single.context.epoch, single.context.base, single.context.seen[0].seq) == (1, 3, 2)
    assert not blind.HasField("context")


async def test_a_put_on_an_old_state_becomes_a_patch_of_the_difference(
    client: Any, door: Door
) -> None:
    read = await client.get("s/c/7")
    door.answers["Commit"] = [Refusal("REVISION_MISMATCH")]
    await client.put("s/c/7", {"n": 1.0, "y": "new"}, based_on=read, commit_id=b"p" * 16)
    _, put, patch = door.requests
    assert put.ops[0].WhichOneof("action") == "put" and put.commit_id == b"p" * 16
    sent = patch.ops[0].patch
    assert json.loads(sent.json) == {"n": 1.0, "y": "new"}
    assert isinstance(json.loads(sent.json)["n"], float)
    assert list(sent.remove) == ["x"]
    assert patch.context == put.context
    assert patch.commit_id not in {b"", put.commit_id}


@pytest.mark.parametrize("conditional", [True, False])
async def test_a_mismatch_that_was_asked_for_is_told(
    client: Any, door: Door, conditional: bool
) -> None:
    read = await client.get("s/c/7")
    door.answers["Commit"] = [Refusal("REVISION_MISMATCH", metadata={"revision": "9"})]
    options = {"based_on": read, "if_version": read} if conditional else {}
    with pytest.raises(errors.RevisionMismatch) as caught:
        await client.put("s/c/7", {}, **options)
    assert caught.value.metadata == {"revision": "9"}


async def test_what_is_wrong_is_refused_before_it_is_sent(client: Any, door: Door) -> None:
    for wrong in (
        client.put("s/c", {}),
        client.put("s/c/7", {"a": float("inf")}),
        client.put("s/c/\ud800", {}),
        client.put("s/c/7", {}, level="sometimes"),
        client.put("s/c/7", {}, actor=("x", "alien")),
        client.add("s/c/7", {"n": True}),
        client.add("s/c/7", {"n": 2**63}),
        client.commit([]),
        client.commit([Delete("s/c/7"), Delete("t/c/7")]),
    ):
        with pytest.raises(errors.InvalidArgument):
            await wrong
    assert door.requests == []


async def test_nobody_writes_anonymously(tmp_path: Path, door: Door) -> None:
    async with serving(tmp_path / "door.sock", door) as address, AsyncClient(address) as client:
        with pytest.raises(errors.InvalidArgument, match="author"):
            await client.put("s/c/7", {})
        await client.put("s/c/7", {}, actor=("ana", "human"))


# -- retries -----------------------------------------------------------------------------------


async def test_a_commit_is_sent_again_with_its_id(client: Any, door: Door) -> None:
    door.answers["Commit"] = [Refusal("SHUTTING_DOWN", retry_ms=1), Refusal("DATABASE_BUSY")]
    await client.put("s/c/7", {"n": 1})
    first, second, third = door.requests
    assert first == second == third


async def test_what_does_not_pass_is_not_sent_again(client: Any, door: Door) -> None:
    door.answers["Commit"] = [Refusal("HUB_UNREACHABLE")]
    with pytest.raises(errors.Unavailable) as caught:
        await client.put("s/c/7", {}, level="strong")
    assert caught.value.reason == "HUB_UNREACHABLE"
    assert len(door.requests) == 1


async def test_a_commit_whose_answer_does_not_come_is_in_doubt(client: Any, door: Door) -> None:
    door.answers["Commit"] = [sleeping]
    with pytest.raises(errors.OutcomeUnknown) as caught:
        await client.put("s/c/7", {}, timeout_s=0.3)
    assert caught.value.metadata["commit_id"] == door.requests[0].commit_id.hex()


async def test_a_read_whose_answer_does_not_come_is_late(client: Any, door: Door) -> None:
    door.answers["Get"] = [sleeping]
    with pytest.raises(errors.DeadlineExceeded) as caught:
        await client.get("s/c/7", timeout_s=0.3)
    assert caught.value.reason == "DEADLINE_PASSED"


@pytest.mark.parametrize("kind", shells.KINDS)
async def test_a_door_that_is_not_there_is_named(kind: str, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/nobody.sock"
    actor = ("arm-3", "robot")
    async with shells.client(kind, address, actor=actor, connect_timeout_s=0.2) as client:
        with pytest.raises(errors.Unavailable) as caught:
            await client.put("s/c/7", {}, timeout_s=0.5)
        assert caught.value.reason == "DOOR_UNREACHABLE"
        assert address in caught.value.message


@pytest.mark.parametrize("kind", shells.KINDS)
async def test_a_client_survives_a_restart_of_the_door(
    kind: str, tmp_path: Path, door: Door
) -> None:
    path = tmp_path / "door.sock"
    async with shells.client(kind, f"unix:{path}", actor=("arm-3", "robot")) as client:
        for _ in range(2):
            async with serving(path, door):
                assert await client.get("s/c/7")
                await client.put("s/c/7", {})
    assert len(door.requests) >= 4


# -- reading -----------------------------------------------------------------------------------


async def test_a_record_as_it_was_read(client: Any, door: Door) -> None:
    read = await client.get("s/c/7", level="strong", as_of=5)
    (sent,) = door.requests
    assert (sent.level, sent.as_of_revision) == (pb.LEVEL_STRONG, 5)
    assert (read.path, read.space, read.collection, read.key) == ("s/c/7", "s", "c", "7")
    assert read.value == {"n": 1, "x": 1.5} and read.value is not read.value
    assert read.json == '{"n":1,"x":1.5}'
    assert (read.actor.id, read.actor.kind, read.version.revision) == ("arm-3", "robot", 3)
    assert read.written_at.isoformat() == "2023-11-14T22:13:20+00:00"
    assert read.context == Context(1, 3, ((ORIGIN, 2),))
    assert read.answer.includes_pending and read.answer.staleness_ms is None
    assert read.answer.position == Position(1, "s", 3)


async def test_an_absent_record_is_none_and_nothing_else_is(client: Any, door: Door) -> None:
    door.answers["Get"] = [Refusal("RECORD_NOT_FOUND"), Refusal("SPACE_NOT_FOUND")]
    assert await client.get("s/c/7") is None
    with pytest.raises(errors.NotFound):
        await client.get("s/c/7")


async def test_several_records_by_path(client: Any, door: Door) -> None:
    found = state.BatchGetResponse(records=[record("7"), record("9")], answer=answer())
    door.answers["BatchGet"] = [found]
    read = await client.batch_get(["s/c/7", "s/c/8", "s/c/9"])
    assert list(read) == ["s/c/7", "s/c/9"]
    assert [name.key for name in door.requests[0].names] == ["7", "8", "9"]


async def test_a_listing_goes_through_its_pages(client: Any, door: Door) -> None:
    door.answers["List"] = [
        state.ListResponse(records=[record("1")], next_page_token="a", answer=answer(b"t1")),
        state.ListResponse(next_page_token="b", answer=answer(b"t2")),
        state.ListResponse(records=[record("2")], answer=answer(b"t3")),
    ]
    keys = [found.key async for found in client.list("s/c/pre", filter="value.n > 0", page_size=1)]
    assert keys == ["1", "2"]
    assert [request.page_token for request in door.requests] == ["", "a", "b"]
    for request in door.requests:
        assert (request.key_prefix, request.filter, request.page_size) == ("pre", "value.n > 0", 1)


async def test_a_history_is_collected(client: Any, door: Door) -> None:
    def entry(seq: int) -> state.HistoryEntry:
        put = pb.Op(collection="c", key="7", put=pb.PutOp(json='{"n":1}'))
        return state.HistoryEntry(
            outcome=pb.Outcome(op_id=op_id(seq), kind=pb.OUTCOME_KIND_MERGED), ops=[put]
        )

    pages = [
        state.HistoryResponse(entries=[entry(9), entry(8)], next_page_token="a", complete=True),
        state.HistoryResponse(entries=[entry(7)], complete=True),
    ]
    door.answers["History"] = pages.copy()
    history = await client.history("s/c/7")
    assert [one.outcome.op_id.seq for one in history.entries] == [9, 8, 7]
    assert history.complete
    assert history.entries[0].ops == (Put("s/c/7", {"n": 1}),)
    door.answers["History"] = pages.copy()
    assert not (await client.history("s/c/7", limit=2)).complete


# -- sessions ----------------------------------------------------------------------------------


async def test_a_session_hands_its_token_on(client: Any, door: Door) -> None:
    await client.get("s/c/7")
    await client.get("s/c/7")
    await client.put("t/c/7", {})
    await client.session().get("s/c/7")
    await client.session(tokens=client.tokens).get("s/c/7")
    tokens = [request.session_token for request in door.requests]
    assert tokens == [b"", b"token", b"", b"", b"token"]


# -- outcomes and waiting ----------------------------------------------------------------------


async def test_a_receipt_waits_for_its_outcome(client: Any, door: Door) -> None:
    decided = pb.Outcome(
        op_id=op_id(),
        kind=pb.OUTCOME_KIND_SUPERSEDED,
        position=pb.Position(epoch=1, space="s", revision=8),
        by=op_id(seq=2, commit_id=b"w" * 16),
    )
    door.answers["Wait"] = [state.WaitResponse(answer=answer(), outcomes=[decided])]
    receipt = await client.put("s/c/7", {})
    outcome = await receipt.outcome()
    assert (outcome.kind, outcome.position.revision) == (OutcomeKind.SUPERSEDED, 8)
    assert outcome.by.commit_id == b"w" * 16
    assert door.requests[1].ops.op_ids[0].seq == 1


async def test_a_decided_receipt_does_not_ask(client: Any, door: Door) -> None:
    decided = pb.Outcome(op_id=op_id(), kind=pb.OUTCOME_KIND_APPLIED)
    said = state.CommitResponse(answer=answer(), op_id=op_id(), outcome=decided)
    door.answers["Commit"] = [said]
    receipt = await client.put("s/c/7", {})
    assert (await receipt.outcome()).kind is OutcomeKind.APPLIED
    assert len(door.requests) == 1


async def test_outcomes_are_asked_by_name(client: Any, door: Door) -> None:
    said = pb.Outcome(op_id=op_id(), reason="COMMIT_UNKNOWN")
    door.answers["GetOutcome"] = [state.GetOutcomeResponse(outcomes=[said])]
    (outcome,) = await client.outcomes([OpId("s", commit_id=b"c" * 16)])
    assert (outcome.kind, outcome.reason) == (OutcomeKind.UNKNOWN, "COMMIT_UNKNOWN")
    with pytest.raises(errors.InvalidArgument):
        await client.outcomes([])
    with pytest.raises(errors.InvalidArgument):
        await client.wait([OpId("s", seq=1), OpId("t", seq=1)])


async def test_waiting(client: Any, door: Door) -> None:
    await client.synced()
    await client.get("s/c/7")
    await client.synced()
    await client.synced("a", "b")
    await client.wait(Position(1, "s", 9))
    waits = [request for request in door.requests if isinstance(request, state.WaitRequest)]
    assert [wait.space for wait in waits] == ["default", *("default", "s"), "a", "b", "s"]
    assert waits[0].synced and waits[-1].position.revision == 9


async def test_any_method_can_be_called_by_name(client: Any, door: Door) -> None:
    assert await client.request("EdgeService.Pause", edge.PauseRequest()) == edge.PauseResponse()
    with pytest.raises(errors.Unimplemented) as caught:
        await client.request("EdgeService.Resume", edge.ResumeRequest())
    assert caught.value.reason == "NOT_IMPLEMENTED"


# -- watching ----------------------------------------------------------------------------------


async def told(watch: Any, count: int) -> list[Any]:
    events: list[Any] = []
    async for event in watch:
        events.append(event)
        if len(events) == count:
            break
    return events


async def test_a_watch_resumes_after_whatever_passes(client: Any, door: Door) -> None:
    door.answers["Watch"] = [
        [bookmark(b"t0"), commit_event("1", b"t1", 4), Refusal("STREAM_AGED")],
        [commit_event("2", b"t2", 5)],
        [Refusal("TOO_SLOW"), commit_event("never", b"t3", 6)],
        [commit_event("3", b"t4", 6)],
    ]
    async with client.watch("s/c", filter="true", include_pending=True) as watch:
        await watch.started()
        events = await told(watch, 3)
        assert watch.resume_token == b"t4"
    assert [event.changes[0].record.key for event in events] == ["1", "2", "3"]
    assert [request.resume_token for request in door.requests] == [b"", b"t1", b"t2", b"t2"]
    assert events[0].changes[0].record.context == Context(1, 4)
    assert events[0].outcome.kind is OutcomeKind.APPLIED
    assert door.requests[0].include_pending and door.requests[0].filter == "true"


async def test_a_watch_tells_bookmarks_if_asked(client: Any, door: Door) -> None:
    door.answers["Watch"] = [[bookmark(b"t0"), commit_event("1", b"t1", 4)]]
    async with client.watch("s", bookmarks=True, resume=b"r") as watch:
        first, _ = await told(watch, 2)
    assert first.position == Position(1, "s", 3)
    assert door.requests[0].resume_token == b"r"


async def test_a_watch_ends_with_what_does_not_pass(client: Any, door: Door) -> None:
    door.answers["Watch"] = [[Refusal("COMPACTED")]]
    async with client.watch("s", resume=b"old") as watch:
        with pytest.raises(errors.Compacted):
            await told(watch, 1)


async def test_a_watch_survives_a_restart_of_the_door(tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    for kind in shells.KINDS:
        door = Door()
        async with shells.client(kind, f"unix:{path}") as client, client.watch("s") as watch:
            for turn in range(2):
                event = commit_event(str(turn), b"t%d" % turn, turn + 1)
                door.answers["Watch"] = [[event], []]
                async with serving(path, door):
                    (event,) = await asyncio.wait_for(told(watch, 1), 20)
                    assert event.changes[0].record.key == str(turn)


async def test_a_blocking_watch_ends_when_another_thread_closes_it(
    tmp_path: Path, door: Door
) -> None:
    door.answers["Watch"] = [[bookmark(b"t0")]]
    async with serving(tmp_path / "door.sock", door) as address:
        client = Client(address)
        watch = client.watch("s")
        await asyncio.to_thread(watch.started)
        reading = asyncio.create_task(asyncio.to_thread(lambda: list(watch)))
        await asyncio.sleep(0.1)
        watch.close()
        assert await asyncio.wait_for(reading, 5) == []
        client.close()


# -- both --------------------------------------------------------------------------------------


async def sleeping() -> None:
    await asyncio.sleep(30)


def _methods(kind: type) -> dict[str, Callable[..., Awaitable[Any]]]:
    return {
        name: member
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize(
    ("asynchronous", "blocking"),
    [(AsyncClient, Client), (AsyncWorkflows, BlockingWorkflows)],
)
def test_both_clients_have_the_same_methods(asynchronous: type, blocking: type) -> None:
    one, other = _methods(asynchronous), _methods(blocking)
    assert one.keys() == other.keys()
    for name, method in one.items():
        same = inspect.signature(other[name])
        assert list(inspect.signature(method).parameters) == list(same.parameters), name
        assert method.__doc__ == other[name].__doc__, name


def test_every_name_of_the_package_is_there() -> None:
    for name in holdfast.__all__:
        assert getattr(holdfast, name) is not None
    assert set(holdfast.__all__) == set(holdfast.client.__all__)
