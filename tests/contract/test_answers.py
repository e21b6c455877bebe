"""What every answer says of itself, at both doors: what was served, of which state, and how to go
on from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast import AsyncClient, Put, errors
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as pb
from sync.session import decode_token
from tests import shells
from tests.contract import doors
from tests.contract.doors import Door

SPACE = "default"
ACTOR = record.Actor(id="ana", kind=record.ACTOR_KIND_HUMAN)


@pytest.fixture(params=doors.KINDS)
async def door(request: Any, tmp_path: Any) -> AsyncIterator[Door]:
    async with doors.opened(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(door: Door) -> AsyncIterator[AsyncClient]:
    async with shells.client("async", door.address, actor=("ana", "human")) as opened:
        yield opened


async def ask(client: AsyncClient, name: str, request: Any) -> Any:
    return await client.request(f"StateService.{name}", request)


def put(key: str, json: str = "{}", **more: Any) -> pb.CommitRequest:
    op = record.Op(collection="parts", key=key, put=record.PutOp(json=json))
    return pb.CommitRequest(**{"space": SPACE, "ops": [op], "actor": ACTOR, **more})


def get(key: str, **more: Any) -> pb.GetRequest:
    return pb.GetRequest(**{"space": SPACE, "collection": "parts", "key": key, **more})


async def each_answer(client: AsyncClient) -> dict[str, pb.Answer]:
    """The answer of every kind of request that reads or writes state."""
    name = pb.RecordName(collection="parts", key="1")
    position = pb.WaitRequest(space=SPACE, position=record.Position(epoch=1, revision=0))
    found = {
        "Commit": await ask(client, "Commit", put("1")),
        "Get": await ask(client, "Get", get("1")),
        "BatchGet": await ask(client, "BatchGet", pb.BatchGetRequest(space=SPACE, names=[name])),
        "List": await ask(client, "List", pb.ListRequest(space=SPACE, collection="parts")),
        "Wait": await ask(client, "Wait", position),
    }
    return {method: answer.answer for method, answer in found.items()}


@pytest.mark.promise("answer.evidence")
@pytest.mark.promise("level.no-silent-downgrade")
async def test_every_answer_says_what_was_served(client: AsyncClient, door: Door) -> None:
    for method, answer in (await each_answer(client)).items():
        # A read of the hub is strong by nature.
        strong = door.kind == "hub" and method in {"Get", "BatchGet", "List"}
        assert answer.level == (record.LEVEL_STRONG if strong else record.LEVEL_EVENTUAL), method
        assert answer.HasField("position") and answer.position.space == SPACE, method
        assert answer.HasField("context"), method
        if door.kind == "hub":
            assert answer.staleness_ms == 0 and not answer.includes_pending, method
        else:
            known = answer.HasField("staleness_ms")
            assert not known or (method != "Commit" and answer.staleness_ms < 60_000), method
        assert answer.new_session, method


@pytest.mark.promise("answer.evidence")
@pytest.mark.promise("level.no-silent-downgrade")
async def test_a_read_is_served_at_the_level_that_it_asks_for(
    client: AsyncClient, door: Door
) -> None:
    """A record, an absent one, several, and a page; and what is no level is refused."""
    first = await ask(client, "Commit", put("1"))
    for level in (record.LEVEL_EVENTUAL, record.LEVEL_BOUNDED, record.LEVEL_STRONG):
        more: dict[str, Any] = {"level": level, "session_token": first.answer.session_token}
        if level == record.LEVEL_BOUNDED:
            more["bound"] = pb.ReadBound(max_staleness_ms=60_000, max_behind=1_000)
        name = pb.RecordName(collection="parts", key="1")
        batch = pb.BatchGetRequest(space=SPACE, names=[name], **more)
        page = pb.ListRequest(space=SPACE, collection="parts", **more)
        for method, request in (("Get", get("1", **more)), ("BatchGet", batch), ("List", page)):
            answer = (await ask(client, method, request)).answer
            assert answer.level == level and not answer.new_session
            assert answer.HasField("position") and answer.HasField("context")
            if level != record.LEVEL_EVENTUAL:
                assert answer.HasField("staleness_ms") and answer.staleness_ms < 60_000
            if level == record.LEVEL_STRONG:
                assert not answer.includes_pending and not answer.context.seen
        with pytest.raises(errors.NotFound) as absent:
            await ask(client, "Get", get("absent", **more))
        assert absent.value.metadata["level"] == record.Level.Name(level)
        token = decode_token(bytes.fromhex(absent.value.metadata["session_token"]))
        assert token.positions[SPACE].revision == int(absent.value.metadata["revision"])
    wrong: tuple[tuple[dict[str, Any], str], ...] = (
        ({"level": 77}, "UNKNOWN_ENUM_VALUE"),
        ({"level": record.LEVEL_STRONG, "bound": pb.ReadBound(max_behind=1)}, "MALFORMED_REQUEST"),
        ({"bound": pb.ReadBound(max_behind=1)}, "MALFORMED_REQUEST"),
        (
            {"level": record.LEVEL_BOUNDED, "bound": pb.ReadBound(max_staleness_ms=2**63)},
            "MALFORMED_REQUEST",
        ),
    )
    for options, reason in wrong:
        with pytest.raises(errors.InvalidArgument) as refused:
            await ask(client, "Get", get("1", **options))
        assert refused.value.reason == reason
    if door.kind == "edge":
        with pytest.raises(errors.InvalidArgument) as refused:
            await ask(client, "Get", get("1", level=record.LEVEL_BOUNDED))
        assert refused.value.reason == "MALFORMED_REQUEST", "bounded by what?"


@pytest.mark.promise("answer.evidence")
async def test_pending_writes_are_said_to_be_in_an_answer(client: AsyncClient, door: Door) -> None:
    """At an edge while they are pending, and not any longer; at the hub never."""
    await ask(client, "Commit", put("1"))
    if door.kind == "edge":
        from holdfast.v1 import edge_service_pb2 as edge

        await client.synced(SPACE)
        await client.request("EdgeService.Pause", edge.PauseRequest())
        written = await ask(client, "Commit", put("1", '{"n":2}'))
        read = await ask(client, "Get", get("1"))
        assert written.answer.includes_pending and read.answer.includes_pending
        assert read.record.version.pending
        await client.request("EdgeService.Resume", edge.ResumeRequest())
        await client.synced(SPACE)
    read = await ask(client, "Get", get("1"))
    assert not read.answer.includes_pending and not read.record.version.pending


@pytest.mark.promise("answer.op-id")
async def test_the_name_of_a_write_is_the_same_for_ever(client: AsyncClient) -> None:
    answer = await ask(client, "Commit", put("1", commit_id=b"c" * 16))
    name = answer.op_id
    assert (len(name.origin), name.space, name.commit_id) == (16, SPACE, b"c" * 16)
    assert name.seq >= 1
    await client.synced(SPACE)
    outcomes = await ask(client, "GetOutcome", pb.GetOutcomeRequest(space=SPACE, op_ids=[name]))
    assert [one.op_id for one in outcomes.outcomes] == [name]
    history = await ask(
        client, "History", pb.HistoryRequest(space=SPACE, collection="parts", key="1")
    )
    assert [entry.outcome.op_id for entry in history.entries] == [name]
    read = await ask(client, "Get", get("1"))
    assert (read.record.version.origin, read.record.version.seq) == (name.origin, name.seq)
    unnamed = await ask(client, "Commit", put("1", '{"n":1}'))
    assert len(unnamed.op_id.commit_id) == 16 and unnamed.op_id.seq > name.seq


@pytest.mark.promise("session.no-token")
async def test_a_request_without_a_token_begins_a_session(client: AsyncClient) -> None:
    for method, answer in (await each_answer(client)).items():
        token = decode_token(answer.session_token)
        place = token.positions[SPACE]
        assert (place.epoch, place.revision) == (
            answer.position.epoch, answer.position.revision,
        ), method  # fmt: skip
        assert set(token.positions) == {SPACE}


@pytest.mark.promise("token.invalid")
async def test_any_byte_of_a_token_that_is_altered_is_noticed(client: AsyncClient) -> None:
    token = (await ask(client, "Commit", put("1"))).answer.session_token
    assert (await ask(client, "Get", get("1", session_token=token))).record.key == "1"
    altered = [token[:i] + bytes([token[i] ^ 1]) + token[i + 1 :] for i in range(len(token))]
    for wrong in (*altered, token[:-1], token + b" ", b"\x01", b"a token"):
        for request, method in (
            (get("1", session_token=wrong), "Get"),
            (put("2", session_token=wrong), "Commit"),
        ):
            with pytest.raises(errors.InvalidArgument) as refused:
                await ask(client, method, request)
            assert refused.value.reason == "TOKEN_INVALID"
    assert await client.get(f"{SPACE}/parts/2") is None


@pytest.mark.promise("space.bounds")
async def test_a_commit_never_touches_two_spaces(client: AsyncClient, door: Door) -> None:
    with pytest.raises(errors.InvalidArgument):
        await client.commit([Put(f"{SPACE}/parts/1", {}), Put("other/parts/1", {})])
    assert await client.get(f"{SPACE}/parts/1") is None
    if door.kind == "hub":
        # Each space has a history of its own.
        for space, count in ((SPACE, 3), ("other", 2)):
            for n in range(count):
                decided = await (await client.put(f"{space}/parts/1", {"n": n})).outcome()
                assert decided.position is not None
                assert decided.position.revision == n + 1


@pytest.mark.promise("read.bounded-work")
async def test_a_page_looks_at_no_more_than_it_states(client: AsyncClient) -> None:
    await client.commit([Put(f"{SPACE}/parts/{n:02}", {"n": n}) for n in range(20)])
    request = pb.ListRequest(
        space=SPACE, collection="parts", filter="value.n == 19", scan_limit=6, page_size=5
    )
    scanned, found = [], []
    while True:
        page = await ask(client, "List", request)
        scanned.append(page.scanned)
        found += [one.key for one in page.records]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert max(scanned) <= 6 and sum(scanned) == 20
    assert found == ["19"]
    with pytest.raises(errors.InvalidArgument) as refused:
        await ask(client, "List", pb.ListRequest(space=SPACE, collection="parts", scan_limit=10**6))
    assert refused.value.reason == "SCAN_LIMIT_INVALID"


@pytest.mark.promise("watch.filter")
async def test_a_filter_is_bounded_when_it_is_given(client: AsyncClient) -> None:
    for expression in (
        "value.n == 1" + " || value.n == 1" * 100,
        "value.n ==",
        "[1].map(x, x).map(y, y)",
    ):
        with pytest.raises(errors.InvalidArgument) as refused:
            await ask(
                client, "List", pb.ListRequest(space=SPACE, collection="parts", filter=expression)
            )
        assert refused.value.reason == "FILTER_INVALID"
        with pytest.raises(errors.InvalidArgument) as refused:
            async with client.watch(SPACE, filter=expression) as watch:
                await watch.started()
        assert refused.value.reason == "FILTER_INVALID"
