"""Whatever is asked at a door, the answer is typed: a reason of the table, nothing stored, the
process up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cloud_hub.server
import edge_agent.daemon
from holdfast.reasons import REASONS
from holdfast.v1 import admin_service_pb2, record_pb2
from holdfast.v1 import checkpoint_service_pb2 as checkpoints
from holdfast.v1 import state_service_pb2 as pb
from tests.house import SPACE, House
from tests.integration.fuzz import messages
from tests.integration.raw import OK, WAITED, RawHouse, raw_house

pytestmark = pytest.mark.integration

EXAMPLES = int(os.environ.get("HOLDFAST_TEST_EXAMPLES", "25"))
"""Of each method; more where more time is given."""
DOORS = {"edge": edge_agent.daemon.SERVICES, "hub": cloud_hub.server.SERVICES}
UNASKED = {"Pause", "Resume", "Replicate"}
"""The first two take nothing and always succeed; the stream has tests of its own."""

METHODS = [
    pytest.param(door, method, id=f"{door}-{method.name}")
    for door, services in DOORS.items()
    for name, file in services.items()
    for method in file.services_by_name[name].methods
    if method.name not in UNASKED
]
"""Every method that a door serves and that has one answer or a stream of them: read from what the
doors serve, so that a new one is asked without being named here."""

WRITERS = {"Commit": pb.CommitResponse, "SetPolicy": admin_service_pb2.SetPolicyResponse}


@pytest.fixture(scope="module")
def raw() -> Iterator[RawHouse]:
    with raw_house() as made:
        yield made


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _call(raw: RawHouse, door: str, method: MethodDescriptor, data: bytes) -> tuple[str, bytes]:
    if method.server_streaming:
        return raw.streamed(door, _path(method), data), b""
    return raw.unary(door, _path(method), data)


async def _taken(home: House) -> dict[str, int]:
    """Commits at both doors."""
    hub = await home.hub_spaces()
    edge = await home.status("a")
    return {
        "hub": sum(info.head.revision for info in hub.values()),
        "edge": sum(space.newest_seq for space in edge.spaces),
    }


@pytest.mark.promise("stream.bad-input")
@pytest.mark.promise("error.reason")
@pytest.mark.promise("error.one-table")
@pytest.mark.parametrize(("door", "method"), METHODS)
def test_any_message_is_answered_or_refused_by_name(
    raw: RawHouse, door: str, method: MethodDescriptor
) -> None:
    before = raw.run(_taken(raw.home))
    taken: set[tuple[bytes, int]] = set()

    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(messages(method.input_type))
    def attack(message: Any) -> None:
        reason, answer = _call(raw, door, method, message.SerializeToString())
        if reason == OK and method.name == "Commit":
            op_id = pb.CommitResponse.FromString(answer).op_id
            taken.add((op_id.origin + op_id.space.encode(), op_id.seq))
        elif reason == OK and method.name == "SetPolicy":
            policy = admin_service_pb2.SetPolicyResponse.FromString(answer).policy
            taken.add((message.space.encode(), policy.revision))

    attack()
    if method.name in WRITERS:
        raw.run(raw.home.settled())
        after = raw.run(_taken(raw.home))
        assert after[door] - before[door] == len(taken), "what was refused left no trace"


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize(("door", "method"), METHODS)
def test_any_bytes_are_answered_or_refused_by_name(
    raw: RawHouse, door: str, method: MethodDescriptor
) -> None:
    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(st.binary(max_size=200))
    def attack(data: bytes) -> None:
        _call(raw, door, method, data)

    attack()


# -- one by one ------------------------------------------------------------------------------------


def _op(**action: Any) -> record_pb2.Op:
    return record_pb2.Op(collection="parts", key="1", **action)


def _put(json: str) -> record_pb2.Op:
    return _op(put=record_pb2.PutOp(json=json))


def _commit(*ops: record_pb2.Op, **other: Any) -> pb.CommitRequest:
    actor = record_pb2.Actor(id="ann", kind=record_pb2.ACTOR_KIND_HUMAN)
    return pb.CommitRequest(**{"space": SPACE, "ops": ops, "actor": actor, **other})


NEW: Any = 77
"""A number that no enumeration has yet."""

GOOD = _put('{"n":1}')
VALUES = {
    "no JSON": ("{", "INVALID_JSON"),
    "an array": ("[]", "NOT_AN_OBJECT"),
    "NaN": ('{"n":NaN}', "NUMBER_NOT_FINITE"),
    "infinity": ('{"n":-Infinity}', "NUMBER_NOT_FINITE"),
    "a member twice": ('{"n":1,"n":1}', "DUPLICATE_KEY"),
    "a member twice, deep": ('{"n":[{"a":1,"\\u0061":1}]}', "DUPLICATE_KEY"),
    "half a pair": ('{"n":"\\ud800"}', "LONE_SURROGATE"),
    "half a pair as a name": ('{"\\udc00":1}', "LONE_SURROGATE"),
    "65 levels": ('{"n":' + "[" * 64 + "]" * 64 + "}", "TOO_DEEP"),
    "100,000 levels": ("[" * 100_000, "TOO_DEEP"),
    "too large": ('{"n":"' + "x" * (1 << 20) + '"}', "VALUE_TOO_LARGE"),
}
REQUESTS = {
    "no operation": (_commit(), "NO_OPS"),
    "too many operations": (_commit(*[GOOD] * 1_001), "TOO_MANY_OPS"),
    "an operation that does nothing": (_commit(_op()), "MALFORMED_REQUEST"),
    "no actor": (_commit(GOOD, actor=record_pb2.Actor()), "INVALID_NAME"),
    "an actor of no kind": (_commit(GOOD, actor=record_pb2.Actor(id="a")), "UNKNOWN_ENUM_VALUE"),
    "an actor of a new kind": (
        _commit(GOOD, actor=record_pb2.Actor(id="a", kind=NEW)), "UNKNOWN_ENUM_VALUE",
    ),
    "a level that is not known": (_commit(GOOD, level=77), "UNKNOWN_ENUM_VALUE"),
    "a bound without end": (
        _commit(GOOD, bound=pb.WriteBound(max_pending=1 << 60)), "MALFORMED_REQUEST",
    ),
    "nothing to add": (_commit(_op(set_add=record_pb2.SetAddOp(field="n"))), "MALFORMED_REQUEST"),
    "two elements in one": (
        _commit(_op(set_remove=record_pb2.SetRemoveOp(field="n", elements=["1,2"]))),
        "INVALID_JSON",
    ),
    "a set that is none": (
        _commit(_op(set_add=record_pb2.SetAddOp(field="n", elements=["1"]))), "RULE_MISMATCH",
    ),
    "splice": (_commit(_op(splice=record_pb2.SpliceOp(field="n"))), "MALFORMED_REQUEST"),
    "one good, one not built": (
        _commit(GOOD, _op(splice=record_pb2.SpliceOp(field="n"))), "MALFORMED_REQUEST",
    ),
    "a short commit id": (_commit(GOOD, commit_id=b"1"), "MALFORMED_REQUEST"),
    "a token of somebody else": (_commit(GOOD, session_token=b"xyz"), "TOKEN_INVALID"),
    "an altered token": (_commit(GOOD, session_token=b"\x01\0\0\0\0{}"), "TOKEN_INVALID"),
    "no space": (_commit(GOOD, space=""), "INVALID_NAME"),
    "a path as a space": (_commit(GOOD, space="../etc"), "INVALID_NAME"),
    "a reserved collection": (
        _commit(record_pb2.Op(collection="_policies", key="x", put=record_pb2.PutOp(json="{}"))),
        "RESERVED_COLLECTION",
    ),
    "too many conditions": (
        _commit(GOOD, preconditions=[record_pb2.Precondition()] * 101), "TOO_MANY_PRECONDITIONS",
    ),
    "a correlation id that is too long": (
        _commit(GOOD, correlation_id="x" * 129), "INVALID_NAME",
    ),
    "an addition to what is no counter": (
        _commit(_op(add=record_pb2.AddOp(deltas={"n": 1}))), "RULE_MISMATCH",
    ),
}  # fmt: skip


@pytest.mark.promise("write.invalid")
@pytest.mark.promise("level.unbuilt-refused")
@pytest.mark.promise("level.no-silent-downgrade")
@pytest.mark.parametrize("door", ["edge", "hub"])
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        *[pytest.param(*row, id=name) for name, row in REQUESTS.items()],
        *[pytest.param(_commit(_put(json)), why, id=name) for name, (json, why) in VALUES.items()],
    ],
)
def test_a_commit_that_is_wrong_is_refused_by_name(
    raw: RawHouse, door: str, request_: pb.CommitRequest, reason: str
) -> None:
    if not raw.run(raw.home.hub_spaces()):
        # An edge judges additions by the hub's policies once it has heard of it.
        raw.unary("hub", "/holdfast.v1.StateService/Commit", _commit(GOOD).SerializeToString())
    raw.run(raw.home.settled())
    before = raw.run(_taken(raw.home))
    data = request_.SerializeToString()
    assert raw.unary(door, "/holdfast.v1.StateService/Commit", data)[0] == reason
    assert raw.run(_taken(raw.home)) == before


FAR = 2**64 - 1
ORIGIN = b"o" * 16
VERSION = record_pb2.Version(epoch=FAR, revision=FAR, origin=ORIGIN, seq=FAR)
OP_ID = record_pb2.OpId(origin=ORIGIN, seq=FAR)
FAR_AWAY = {
    "GetOutcome": pb.GetOutcomeRequest(space=SPACE, op_ids=[OP_ID]),
    "Wait for ops": pb.WaitRequest(space=SPACE, ops=pb.WaitOps(op_ids=[OP_ID])),
    "Wait for a position": pb.WaitRequest(
        space=SPACE, position=record_pb2.Position(epoch=FAR, revision=FAR)
    ),
    "Commit on a version": _commit(
        GOOD,
        preconditions=[record_pb2.Precondition(collection="parts", key="1", version=VERSION)],
    ),
    "Commit on a pending version": _commit(
        GOOD,
        preconditions=[
            record_pb2.Precondition(
                collection="parts",
                key="1",
                version=record_pb2.Version(epoch=1, revision=0, origin=b"o", seq=1, pending=True),
            )
        ],
    ),
    "Commit on a base": _commit(GOOD, context=record_pb2.Context(epoch=1, base=FAR)),
    "Commit on an epoch": _commit(GOOD, context=record_pb2.Context(epoch=FAR, base=1)),
    "Commit on what was seen": _commit(
        GOOD, context=record_pb2.Context(epoch=1, seen=[record_pb2.Seen(origin=ORIGIN, seq=FAR)])
    ),
    "Get as of": pb.GetRequest(space=SPACE, collection="parts", key="1", as_of_revision=FAR),
    "History": pb.HistoryRequest(space=SPACE, collection="parts", key="1", page_token="9" * 19),
    "List": pb.ListRequest(space=SPACE, collection="parts", page_size=2**32 - 1),
    "List far": pb.ListRequest(space=SPACE, collection="parts", scan_limit=2**32 - 1),
}


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize("door", ["edge", "hub"])
@pytest.mark.parametrize("name", FAR_AWAY)
def test_a_number_beyond_all_numbers_is_no_surprise(raw: RawHouse, door: str, name: str) -> None:
    path = f"/holdfast.v1.StateService/{name.split(maxsplit=1)[0]}"
    before = raw.run(_taken(raw.home))
    reason, answer = raw.unary(door, path, FAR_AWAY[name].SerializeToString())
    if reason == OK and name == "GetOutcome":
        (outcome,) = pb.GetOutcomeResponse.FromString(answer).outcomes
        assert outcome.kind == record_pb2.OUTCOME_KIND_UNSPECIFIED
        assert outcome.reason in REASONS
    else:
        assert reason in REASONS or reason == WAITED
        assert raw.run(_taken(raw.home)) == before


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize("door", ["edge", "hub"])
@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("GetThread", checkpoints.GetThreadRequest(space=SPACE, thread_id="t", level=NEW)),
        (
            "LoadCheckpoint",
            checkpoints.LoadCheckpointRequest(space=SPACE, thread_id="t", level=NEW),
        ),
    ],
)
def test_a_checkpoint_is_not_read_at_a_level_that_is_not_known(
    raw: RawHouse, door: str, method: str, request_: Any
) -> None:
    path = f"/holdfast.v1.CheckpointService/{method}"
    assert raw.unary(door, path, request_.SerializeToString())[0] == "UNKNOWN_ENUM_VALUE"


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize("door", ["edge", "hub"])
def test_text_that_is_not_utf8_is_refused(raw: RawHouse, door: str) -> None:
    data = _commit(GOOD).SerializeToString().replace(b"parts", b"\xff\xfearts")
    assert raw.unary(door, "/holdfast.v1.StateService/Commit", data)[0] == "MALFORMED_REQUEST"


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize("door", ["edge", "hub"])
def test_a_message_that_is_too_large_costs_nothing(raw: RawHouse, door: str) -> None:
    data = _commit(_put('{"n":"' + "x" * (5 << 20) + '"}')).SerializeToString()
    call: Any = raw.channels[door].unary_unary("/holdfast.v1.StateService/Commit")
    with pytest.raises(grpc.RpcError) as refused:
        call(data, timeout=5)
    failed: Any = refused.value
    assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    good = _commit(GOOD).SerializeToString()
    assert raw.unary(door, "/holdfast.v1.StateService/Commit", good)[0] == OK


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize("door", ["edge", "hub"])
def test_a_method_that_is_not_there_is_named(raw: RawHouse, door: str) -> None:
    assert raw.unary(door, "/holdfast.v1.StateService/Erase", b"")[0] == "UNKNOWN_METHOD"
    assert raw.unary(door, "/holdfast.v2.StateService/Get", b"")[0] == "UNKNOWN_METHOD"


def test_what_lasts_ends_at_its_deadline(raw: RawHouse) -> None:
    wait = pb.WaitRequest(space=SPACE, position=record_pb2.Position(epoch=1, revision=10**9))
    path = "/holdfast.v1.StateService/Wait"
    for door in ("edge", "hub"):
        assert raw.unary(door, path, wait.SerializeToString())[0] in {"DEADLINE_PASSED", WAITED}
