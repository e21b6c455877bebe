"""What both clients get at every door: one suite, real doors.

Each test has a door of its own with nothing behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from holdfast import Add, Delete, Expect, OutcomeKind, Patch, Put, errors
from holdfast.client import OpId, Position
from holdfast.v1 import admin_service_pb2 as admin
from holdfast.v1 import record_pb2 as pb
from tests import shells
from tests.contract import doors
from tests.contract.doors import Door

ROBOT, HUMAN = ("arm-3", "robot"), ("ana", "human")


@pytest.fixture(params=doors.KINDS)
async def door(request: Any, tmp_path: Any) -> AsyncIterator[Door]:
    async with doors.opened(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture(params=shells.KINDS)
async def client(request: Any, door: Door) -> AsyncIterator[Any]:
    async with shells.client(request.param, door.address, actor=ROBOT) as opened:
        yield opened


@pytest.fixture
def space() -> str:
    return "default"


async def declare(door: Door, space: str, collection: str, policy: str) -> None:
    """Sets a policy at the hub."""
    async with shells.client("async", door.hub) as operator:
        request = admin.SetPolicyRequest(
            space=space,
            policy=admin.Policy(collection=collection, json=policy),
            actor=pb.Actor(id="ops", kind=pb.ACTOR_KIND_HUMAN),
        )
        await operator.request("AdminService.SetPolicy", request)


async def take(watch: Any, count: int) -> list[Any]:
    """So many events, within ten seconds."""
    events: list[Any] = []

    async def collect() -> None:
        async for event in watch:
            events.append(event)
            if len(events) == count:
                return

    await asyncio.wait_for(collect(), 10)
    return events


# -- records -----------------------------------------------------------------------------------


async def test_what_was_put_is_read(client: Any, space: str) -> None:
    path = f"{space}/parts/bin/7"
    value = {"big": 2**70, "text": "Grüße ☃", "nested": {"b": [1, 1.5, None], "a": True}}
    receipt = await client.put(path, value)
    read = await client.get(path)
    assert read.value == value
    assert (read.path, read.key, read.deleted) == (path, "bin/7", False)
    assert (read.actor.id, read.actor.kind) == ROBOT
    assert (read.version.origin, read.version.seq) == (receipt.op_id.origin, receipt.op_id.seq)
    assert read.answer.position.space == space


@pytest.mark.promise("merge.numbers-survive")
async def test_numbers_keep_their_text(client: Any, space: str) -> None:
    path = f"{space}/parts/7"
    await client.put(path, '{"a": 1.10, "b": 1E3, "c": 1.0}')
    assert (await client.get(path)).json == '{"a":1.10,"b":1E3,"c":1.0}'


async def test_what_was_never_put_is_absent(client: Any, space: str) -> None:
    assert await client.get(f"{space}/parts/none") is None
    assert (await client.history(f"{space}/parts/none")).entries == ()


async def test_a_patch_sets_and_removes(client: Any, space: str) -> None:
    path = f"{space}/parts/7"
    await client.patch(path, {"a": 1, "b": 2})
    await client.patch(path, {"b": 3, "c": 4}, remove=["a"])
    assert (await client.get(path)).value == {"b": 3, "c": 4}


async def test_a_deleted_record_is_absent_and_may_come_back(client: Any, space: str) -> None:
    path = f"{space}/parts/7"
    await client.put(path, {"a": 1})
    await client.delete(path)
    assert await client.get(path) is None
    await client.put(path, {"b": 2}, if_absent=True)
    assert (await client.get(path)).value == {"b": 2}


async def test_counters_add_up(client: Any, door: Door, space: str) -> None:
    await declare(door, space, "tallies", '{"fields": {"n": "counter"}}')
    await client.synced(space)
    path = f"{space}/tallies/1"
    for delta in (5, -7, 2**40):
        await client.add(path, {"n": delta})
    assert (await client.get(path)).value == {"n": 2**40 - 2}


@pytest.mark.promise("rule.set")
@pytest.mark.promise("rule.siblings")
async def test_sets_are_added_to_and_siblings_chosen_from(
    client: Any, door: Door, space: str
) -> None:
    async with shells.client("async", door.hub, actor=ROBOT) as operator:
        policy = {"fields": {"tags": "set", "route": "siblings"}}
        place = f"{space}/trips"
        assert (await operator.set_policy(place, policy, check_only=True)).revision == 0
        made = await operator.set_policy(place, policy)
        assert (await operator.policy(place)).value == policy
        with pytest.raises(errors.InvalidArgument, match="route: one of"):
            await operator.set_policy(place, {"fields": {"route": "guess"}})
        with pytest.raises(errors.RevisionMismatch):
            await operator.set_policy(place, policy, if_revision=made.revision + 1_000)
    await client.synced(space)
    path = f"{space}/trips/1"
    await client.set_add(path, "tags", ["b", "a", 1, {"x": 2**60}])
    await client.set_remove(path, "tags", ["b", "never"])
    assert sorted(map(str, (await client.get(path)).value["tags"])) == ["1", "a", str({"x": 2**60})]
    with pytest.raises(errors.InvalidArgument) as caught:
        await client.set_add(path, "route", ["x"])
    assert caught.value.reason == "RULE_MISMATCH"
    await client.synced(space)
    form = await client.get(path)
    await client.patch(path, {"route": "north"})
    await client.synced(space)
    await client.patch(path, {"route": "south"}, based_on=form)
    await client.synced(space)
    shown = await client.get(path)
    assert shown.siblings("route") == ["north", "south"]
    assert shown.value["route"] == {"$siblings": ["north", "south"]}
    await client.put(path, {**shown.value, "tags": ["z"], "route": "west"}, based_on=shown)
    await client.synced(space)
    last = await client.get(path)
    assert (last.value, last.siblings("route")) == ({"tags": ["z"], "route": "west"}, ["west"])


async def test_only_counters_can_be_added_to(client: Any, space: str) -> None:
    await client.put(f"{space}/parts/1", {})
    await client.synced(space)  # an edge that has heard nothing of policies takes any addition
    with pytest.raises(errors.InvalidArgument) as caught:
        await client.add(f"{space}/parts/7", {"n": 1})
    assert caught.value.reason == "RULE_MISMATCH"


async def test_a_commit_is_all_or_nothing(client: Any, space: str) -> None:
    await client.commit([Put(f"{space}/a/1", {"n": 1}), Patch(f"{space}/b/2", {"n": 2})])
    assert len(await client.batch_get([f"{space}/a/1", f"{space}/b/2"])) == 2
    await client.synced(space)
    with pytest.raises(errors.InvalidArgument):
        await client.commit([Delete(f"{space}/a/1"), Add(f"{space}/b/2", {"n": 1})])
    assert (await client.get(f"{space}/a/1")).value == {"n": 1}


# -- conditions --------------------------------------------------------------------------------


@pytest.mark.promise("precondition.local")
@pytest.mark.promise("write.hub-client")
async def test_conditions_hold_or_nothing_happens(client: Any, space: str) -> None:
    path, other = f"{space}/parts/7", f"{space}/parts/8"
    with pytest.raises(errors.RevisionMismatch):
        await client.put(path, {"n": 0}, if_exists=True)
    await client.put(path, {"n": 1}, if_absent=True)
    first = await client.get(path)
    with pytest.raises(errors.RevisionMismatch):
        await client.put(path, {"n": 2}, if_absent=True)
    await client.put(path, {"n": 3}, if_version=first)
    with pytest.raises(errors.RevisionMismatch):
        await client.put(path, {"n": 4}, if_version=first)
    with pytest.raises(errors.RevisionMismatch):
        await client.commit([Put(other, {})], expect=[Expect.absent(path)])
    assert (await client.get(path)).value == {"n": 3}
    assert await client.get(other) is None


@pytest.mark.promise("put.stale-context")
@pytest.mark.promise("answer.context")
async def test_a_form_opened_before_lunch_undoes_nothing(client: Any, space: str) -> None:
    path = f"{space}/parts/7"
    await client.put(path, {"state": "idle", "note": "old", "tmp": 1})
    form = await client.get(path)
    await client.patch(path, {"state": "busy"})
    await client.put(path, {"state": "idle", "note": "new"}, based_on=form, actor=HUMAN)
    assert (await client.get(path)).value == {"state": "busy", "note": "new"}


# -- retries and outcomes ----------------------------------------------------------------------


async def test_a_repeated_commit_id_has_one_effect(client: Any, door: Door, space: str) -> None:
    await declare(door, space, "tallies", '{"fields": {"n": "counter"}}')
    await client.synced(space)
    path = f"{space}/tallies/1"
    first = await client.add(path, {"n": 1}, commit_id=b"retry-me-please!")
    again = await client.add(path, {"n": 1}, commit_id=b"retry-me-please!")
    assert again.op_id == first.op_id
    await client.synced(space)
    assert (await client.get(path)).value == {"n": 1}


@pytest.mark.promise("outcome.told")
async def test_every_commit_has_an_outcome(client: Any, space: str) -> None:
    receipt = await client.put(f"{space}/parts/7", {"n": 1})
    outcome = await receipt.outcome()
    assert (outcome.kind, outcome.op_id) == (OutcomeKind.APPLIED, receipt.op_id)
    assert outcome.position.space == space and outcome.position.revision > 0
    by_id = OpId(space, commit_id=receipt.commit_id)
    nobody = OpId(space, commit_id=b"n" * 16)
    known, unknown = await client.outcomes([by_id, nobody])
    assert known == outcome
    assert unknown.kind is OutcomeKind.UNKNOWN and unknown.reason


async def test_waiting_for_a_position(client: Any, space: str) -> None:
    receipt = await client.put(f"{space}/parts/7", {})
    position = (await receipt.outcome()).position
    await client.wait(position, timeout_s=5)
    await client.synced(space, timeout_s=5)
    far = Position(position.epoch, space, position.revision + 1_000)
    with pytest.raises(errors.DeadlineExceeded):
        await client.wait(far, timeout_s=0.5)


# -- many --------------------------------------------------------------------------------------


@pytest.mark.promise("watch.filter")
async def test_a_listing_is_in_order_and_filtered(client: Any, space: str) -> None:
    numbers = [7, 3, 11, 1, 5]
    await client.commit([Put(f"{space}/parts/p{n:02}", {"n": n}) for n in numbers])
    await client.put(f"{space}/parts/q", {"n": 4})
    await client.put(f"{space}/others/p", {"n": 4})
    await client.delete(f"{space}/parts/p05")

    async def keys(path: str, **options: Any) -> list[str]:
        return [record.key async for record in client.list(path, **options)]

    assert await keys(f"{space}/parts") == ["p01", "p03", "p07", "p11", "q"]
    assert await keys(f"{space}/parts/p", page_size=1) == ["p01", "p03", "p07", "p11"]
    big = await keys(f"{space}/parts", filter="value.n > 3 && key != 'q'")
    assert big == ["p07", "p11"]
    assert await keys(f"{space}/nothing") == []
    down = await keys(f"{space}/parts/p", page_size=1, descending=True)
    assert down == ["p11", "p07", "p03", "p01"]


async def test_several_records_at_one_position(client: Any, space: str) -> None:
    await client.commit([Put(f"{space}/a/{n}", {"n": n}) for n in range(3)])
    read = await client.batch_get([f"{space}/a/{key}" for key in ("2", "0", "none")])
    assert {path: record.value["n"] for path, record in read.items()} == (
        {f"{space}/a/2": 2, f"{space}/a/0": 0}
    )
    positions = {record.answer.position for record in read.values()}
    assert len(positions) == 1


@pytest.mark.promise("history.never-rewritten")
async def test_a_history_tells_who_and_why(client: Any, space: str) -> None:
    path = f"{space}/parts/7"
    first = await client.put(path, {"n": 1})
    await client.patch(
        path, {"n": 2}, actor=HUMAN, correlation_id="job-9", causation_id=first.commit_id
    )
    await client.delete(path)
    await client.synced(space)
    history = await client.history(path)
    assert history.complete
    deleted, patched, made = history.entries
    assert deleted.ops == (Delete(path),)
    assert (patched.actor.id, patched.correlation_id) == (HUMAN[0], "job-9")
    assert patched.causation_id == first.commit_id
    assert made.previous_revision == 0
    assert patched.previous_revision == made.outcome.position.revision
    assert [entry.outcome.kind for entry in history.entries] == [OutcomeKind.APPLIED] * 3
    newest = await client.history(path, limit=1)
    assert newest.entries == (deleted,) and not newest.complete


# -- watching ----------------------------------------------------------------------------------


@pytest.mark.promise("watch.ordered")
@pytest.mark.promise("watch.atomic")
async def test_a_watch_tells_every_commit_once_in_order(client: Any, space: str) -> None:
    async with client.watch(space) as watch:
        await watch.started()
        for n in range(5):
            await client.commit([Put(f"{space}/a/{n}", {"n": n}), Put(f"{space}/b/{n}", {})])
        events = await take(watch, 5)
    assert [len(event.changes) for event in events] == [2] * 5
    assert [event.changes[0].record.value for event in events] == [{"n": n} for n in range(5)]
    revisions = [event.outcome.position.revision for event in events]
    assert revisions == sorted(set(revisions))
    assert {event.actor.id for event in events} == {ROBOT[0]}


async def test_a_watch_resumes_where_it_was_left(client: Any, space: str) -> None:
    async with client.watch(space) as watch:
        await watch.started()
        for n in range(4):
            await client.put(f"{space}/a/{n}", {"n": n})
        await take(watch, 2)
        token = watch.resume_token
    async with client.watch(space, resume=token) as watch:
        await client.delete(f"{space}/a/0")
        events = await take(watch, 3)
    assert [event.changes[0].record.key for event in events] == ["2", "3", "0"]
    gone = events[2].changes[0].record
    assert gone.deleted and gone.value == {"n": 0}


@pytest.mark.promise("watch.filter")
async def test_a_watch_is_of_what_was_asked_for(client: Any, space: str) -> None:
    async with client.watch(f"{space}/a/x", filter="value.n > 1") as watch:
        await watch.started()
        await client.put(f"{space}/a/x1", {"n": 1})
        await client.put(f"{space}/b/x1", {"n": 5})
        await client.put(f"{space}/a/y1", {"n": 5})
        await client.put(f"{space}/a/x2", {"n": 2})
        (event,) = await take(watch, 1)
    assert event.changes[0].record.key == "x2"


@pytest.mark.promise("answer.context")
async def test_what_a_watch_told_can_be_built_upon(client: Any, space: str) -> None:
    path = f"{space}/parts/7"
    async with client.watch(space) as watch:
        await watch.started()
        await client.put(path, {"a": 1, "b": 1})
        (event,) = await take(watch, 1)
    seen = event.changes[0].record
    await client.put(path, {"a": 2, "b": 1}, based_on=seen)
    assert (await client.get(path)).value == {"a": 2, "b": 1}


# -- sessions ----------------------------------------------------------------------------------


async def test_a_session_reads_its_writes_wherever_it_goes(
    client: Any, door: Door, space: str
) -> None:
    path = f"{space}/parts/7"
    await client.put(path, {"n": 1})
    assert (await client.get(path)).value == {"n": 1}
    tokens = client.tokens
    assert tokens[space]
    async with shells.client("async", door.hub, tokens=tokens) as roamed:
        assert (await roamed.get(path)).value == {"n": 1}


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.promise("rule.limits")
@pytest.mark.promise("write.invalid")
@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("1bad/parts/7", {}, "INVALID_NAME"),
        ("default/pa rts/7", {}, "INVALID_NAME"),
        ("default/parts/a\nb", {}, "INVALID_NAME"),
        ("default/_policies/parts", {}, "RESERVED_COLLECTION"),
        ("default/parts/7", "{", "INVALID_JSON"),
        ("default/parts/7", "[1]", "NOT_AN_OBJECT"),
        ("default/parts/7", '{"a":1,"a":2}', "DUPLICATE_KEY"),
        ("default/parts/7", '{"a":NaN}', "NUMBER_NOT_FINITE"),
        ("default/parts/7", '{"a":"\\ud800"}', "LONE_SURROGATE"),
        ("default/parts/7", '{"a":' + "[" * 70 + "]" * 70 + "}", "TOO_DEEP"),
        ("default/parts/7", {"a": "x" * 300_000}, "VALUE_TOO_LARGE"),
    ],
)
async def test_what_cannot_be_stored_is_refused_by_name(
    client: Any, path: str, value: Any, reason: str
) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        await client.put(path, value)
    assert caught.value.reason == reason
    assert caught.value.remedy


async def test_reads_say_what_they_are_to_promise(client: Any, space: str) -> None:
    """Each by itself, or all of a session; what a call says replaces all that the session says."""
    path = f"{space}/parts/7"
    await client.put(path, {"n": 1})
    strong = await client.get(path, level="strong")
    assert strong.answer.level == "strong" and not strong.answer.includes_pending
    for bound in (
        {"max_staleness": 30.0},
        {"max_staleness": timedelta(minutes=1), "max_behind": 100},
        {"level": "bounded", "max_behind": 100},
    ):
        read = await client.get(path, **bound)
        assert read.answer.level == "bounded" and read.answer.staleness_ms < 60_000
    assert [one.answer.level async for one in client.list(f"{space}/parts", level="strong")] == [
        "strong"
    ]
    assert (await client.batch_get([path], level="strong"))[path].answer.level == "strong"
    session = client.session(max_staleness=30, tokens=client.token)
    assert session.tokens == client.tokens
    assert (await session.get(path)).answer.level == "bounded"
    assert (await session.get(path, level="strong")).answer.level == "strong"
    assert not (await session.get(path)).answer.new_session
    assert (await client.session(level="strong").get(path)).answer.new_session
    assert await session.get(f"{space}/parts/absent") is None
    for wrong in (
        {"max_staleness": -1},
        {"max_behind": 2**64},
        {"level": "strong", "max_behind": 1},
    ):
        with pytest.raises(errors.InvalidArgument) as caught:
            await client.get(path, **wrong)
        assert caught.value.reason == "MALFORMED_REQUEST"
    with pytest.raises(errors.InvalidArgument) as caught:
        client.session(tokens="no token")
    assert caught.value.reason == "TOKEN_INVALID"


async def test_wrong_listings_and_watches_are_refused(client: Any, space: str) -> None:
    async def listed(**options: Any) -> list[Any]:
        return [record async for record in client.list(f"{space}/parts", **options)]

    for options, reason in (
        ({"filter": "value."}, "FILTER_INVALID"),
        ({"page_size": 5_000}, "PAGE_SIZE_INVALID"),
    ):
        with pytest.raises(errors.InvalidArgument) as caught:
            await listed(**options)
        assert caught.value.reason == reason
    async with client.watch(space, resume=b"not a token") as watch:
        with pytest.raises(errors.InvalidArgument) as caught:
            await take(watch, 1)
        assert caught.value.reason == "TOKEN_INVALID"


@pytest.mark.promise("rule.limits")
async def test_too_many_operations_are_refused(client: Any, space: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        await client.commit([Delete(f"{space}/a/{n}") for n in range(1_001)])
    assert caught.value.reason == "TOO_MANY_OPS"


# -- levels of writes ------------------------------------------------------------------------------


@pytest.mark.promise("write.strong.decided")
async def test_a_strong_write_is_decided_at_every_door(client: Any, door: Door, space: str) -> None:
    path = f"{space}/locks/dock"
    first = await strongly(client.put, path, {"by": "arm-3"}, level="strong", if_absent=True)
    assert first.known.kind is OutcomeKind.APPLIED
    assert first.answer.level == "strong"
    with pytest.raises(errors.RevisionMismatch) as caught:
        await client.put(path, {"by": "ana"}, level="strong", if_absent=True)
    assert caught.value.metadata["revision"] == str(first.known.position.revision)
    await client.patch(path, {"n": 1}, level="strong")
    await client.commit([Put(path, {"by": "arm-3"})], level="strong", expect=[Expect.present(path)])
    gone = await client.delete(path, level="strong", if_exists=True)
    assert gone.known.kind is OutcomeKind.APPLIED
    assert await client.get(path) is None


async def strongly(write: Any, *arguments: Any, **options: Any) -> Any:
    """Writes as soon as the door has a link to the hub."""
    while True:
        try:
            return await write(*arguments, **options)
        except errors.Unavailable as error:
            if error.reason != "HUB_UNREACHABLE":
                raise


@pytest.mark.promise("write.bounded")
async def test_a_bounded_write_is_taken_at_every_door(client: Any, space: str) -> None:
    path = f"{space}/parts/7"
    receipt = await client.put(path, {"n": 1}, max_pending=100, max_age=3600)
    assert receipt.answer.level == "bounded"
    with pytest.raises(errors.InvalidArgument):
        await client.put(path, {"n": 1}, max_pending=0)
    with pytest.raises(errors.InvalidArgument):
        await client.put(path, {"n": 1}, max_age=-1.0)
    with pytest.raises(errors.InvalidArgument):
        await client.put(path, {"n": 1}, level="weak")
