"""The client's pure parts: addresses, paths, values, contexts, sessions, attempts, failures."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import errors
from holdfast.client import address, limits, paths, values
from holdfast.client.attempts import Attempts, backoff_s
from holdfast.client.call import Call, method
from holdfast.client.failures import ConnectionLost, failure
from holdfast.client.limits import MAX_ATTEMPTS, MAX_MESSAGE_BYTES
from holdfast.client.records import Actor, ActorKind, Context, Record, Version, context_of
from holdfast.client.session import Session
from holdfast.client.watching import Watched, WatchState
from holdfast.host import channels
from holdfast.host.refusal import Refusal
from holdfast.v1 import record_pb2 as pb
from holdfast.v1 import state_service_pb2 as state

ORIGIN = b"o" * 16


# -- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_address", "target"),
    [
        ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:///run/a.sock", "unix:/run/a.sock"),
        ("/run/a.sock", "unix:/run/a.sock"),
        (".run/edge/agent.sock", "unix:.run/edge/agent.sock"),
        ("localhost:50051", "localhost:50051"),
        ("127.0.0.1:50051", "127.0.0.1:50051"),
        ("[::1]:50051", "[::1]:50051"),
    ],
)
def test_an_address_is_a_socket_or_a_port_of_this_machine(given_address: str, target: str) -> None:
    assert address.parse(given_address) == target


@pytest.mark.parametrize(
    "wrong", ["", "host", "host:", ":5", "localhost:0", "localhost:66000", "unix:", "/" + "x" * 107]
)
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        address.parse(wrong)


@pytest.mark.parametrize("far", ["10.0.0.1:5", "hub.example:5", "127.evil.example:5"])
def test_another_machine_is_refused_without_encryption(far: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        address.parse(far)
    assert caught.value.reason == "INSECURE_ADDRESS"
    assert address.parse(far, secure=True) == far


def test_the_door_is_found(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable) as caught:
        address.find(None, {}, tmp_path)
    assert caught.value.reason == "DOOR_UNREACHABLE"
    for edge in ("edge-b", "edge-a"):
        (tmp_path / ".run" / edge).mkdir(parents=True)
        (tmp_path / ".run" / edge / "agent.sock").touch()
    assert address.find(None, {}, Path(tmp_path)).endswith("edge-a/agent.sock")
    assert address.find(None, {"HOLDFAST_ADDRESS": "localhost:5"}, tmp_path) == "localhost:5"
    both = {"HOLDFAST_SOCKET": "/a.sock", "HOLDFAST_ADDRESS": "localhost:5"}
    assert address.find(None, both, tmp_path) == "unix:/a.sock"
    assert address.find("localhost:6", both, tmp_path) == "localhost:6"


# -- paths -------------------------------------------------------------------------------------


def test_paths() -> None:
    assert paths.record_path("s/c/k/with/slashes") == ("s", "c", "k/with/slashes")
    assert paths.listing_path("s/c") == ("s", "c", "")
    assert paths.listing_path("s/c/") == ("s", "c", "")
    assert paths.listing_path("s/c/prefix") == ("s", "c", "prefix")
    assert paths.watched_path("s") == ("s", "", "")
    assert paths.one_space(["s/c/1", "s/d/2"]) == "s"


@pytest.mark.parametrize("wrong", ["", "s", "s/c", "s//k", "/c/k", "s/c/"])
def test_what_is_no_path_is_refused(wrong: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        paths.record_path(wrong)


@pytest.mark.parametrize("wrong", [[], ["s/c/k", "other/c/k"]])
def test_one_request_is_of_one_space(wrong: list[str]) -> None:
    with pytest.raises(errors.InvalidArgument):
        paths.one_space(wrong)


# -- values ------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
    max_leaves=8,
)  # fmt: skip
OBJECTS = st.dictionaries(st.text("abc", max_size=2), JSON)


@given(OBJECTS)
def test_a_value_survives(value: dict[str, object]) -> None:
    decoded = values.decode(values.encode(value))
    assert decoded == value
    assert values.diff(value, decoded) == ({}, ())


@given(OBJECTS, OBJECTS)
def test_a_difference_leads_from_one_to_the_other(
    old: dict[str, object], new: dict[str, object]
) -> None:
    sets, remove = values.diff(old, new)
    assert not set(sets) & set(remove)
    merged = {name: item for name, item in old.items() if name not in remove} | sets
    assert values.diff(merged, new) == ({}, ())


def test_a_difference_sees_what_python_does_not() -> None:
    assert values.diff({"a": 1, "b": 0}, {"a": 1.0, "b": False}) == ({"a": 1.0, "b": False}, ())


def test_long_integers_are_read_exactly() -> None:
    digits = "7" * 9_001
    assert values.decode(f'{{"n":-{digits}}}')["n"] % 10**9 == (-int("7" * 9)) % 10**9
    number = values.decode(f'{{"n":{digits}}}')["n"]
    assert number == (10**9_001 - 1) // 9 * 7


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ([1], "NOT_AN_OBJECT"),
        ({"a": float("nan")}, "INVALID_JSON"),
        ({"a": object()}, "INVALID_JSON"),
        ({"a": "\ud800"}, "LONE_SURROGATE"),
        ('{"a":"\ud800"}', "LONE_SURROGATE"),
    ],
)
def test_what_cannot_be_sent_is_refused_here(wrong: object, reason: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        values.encode(wrong)  # type: ignore[arg-type]
    assert caught.value.reason == reason


# -- contexts and sessions ---------------------------------------------------------------------


def record(context: Context | None) -> Record:
    version = Version(1, 1, ORIGIN, 1, pending=False)
    return Record("s/c/k", "{}", version, Actor("a", ActorKind.AI), False, 0, context)


def test_two_reads_have_seen_what_both_saw() -> None:
    one = Context(1, 7, ((ORIGIN, 4), (b"p" * 16, 1)))
    other = Context(1, 5, ((ORIGIN, 9),))
    assert context_of([record(one), record(other)]) == Context(1, 5, ((ORIGIN, 4),))
    assert context_of(record(one)) == one
    assert context_of([record(one), record(None)]) is None
    assert context_of([]) is None


def test_a_session_keeps_the_answer_that_saw_most() -> None:
    session = Session({"t": b"given"})
    session.learn("s", b"newer", Context(1, 5, ((ORIGIN, 2),)))
    session.learn("s", b"older", Context(1, 5, ((ORIGIN, 1),)))
    assert session.token("s") == b"newer"
    session.learn("s", b"newest", Context(1, 6))
    assert session.token("s") == b"newest"
    session.learn("s", b"late", Context(1, 5, ((ORIGIN, 9),)))
    session.learn("s", b"", Context(1, 9))
    session.learn("s", b"of-a-wait", Context(1, 9), carried=False)
    session.learn("t", b"learnt", None)
    assert session.tokens == {"s": b"newest", "t": b"learnt"}
    session.forget("s")
    assert session.spaces == ("t",)
    session.forget()
    assert session.tokens == {}


# -- attempts ----------------------------------------------------------------------------------


def commit_call(*, repeatable: bool = True) -> Call:
    commit_id = b"i" * 16 if repeatable else b""
    request = state.CommitRequest(commit_id=commit_id)
    return Call(
        method("StateService.Commit"), request, 10.0, repeatable=repeatable, commit_id=commit_id
    )


READ = Call(method("StateService.Get"), state.GetRequest(), 10.0)
LOST = ConnectionLost("DOOR_UNREACHABLE", "gone")
NOT_SENT = errors.Unavailable("DOOR_UNREACHABLE", "nobody there")
LATE = errors.DeadlineExceeded("DEADLINE_PASSED", "late")


def test_what_passes_is_tried_again_a_few_times() -> None:
    attempts = Attempts(READ, 0.0)
    delays = [attempts.again(LOST, 0.0, 0.0) for _ in range(MAX_ATTEMPTS - 1)]
    assert delays == sorted(delays) and delays[0] > 0
    with pytest.raises(ConnectionLost):
        attempts.again(LOST, 0.0, 0.0)


def test_nothing_is_tried_beyond_the_deadline() -> None:
    with pytest.raises(errors.Unavailable):
        Attempts(READ, 0.0).again(NOT_SENT, 9.99, 0.0)


@pytest.mark.parametrize("reason", ["HUB_UNREACHABLE", "BOUND_UNPROVABLE", "OUT_OF_SCOPE"])
def test_what_the_caller_must_decide_is_told_at_once(reason: str) -> None:
    with pytest.raises(errors.HoldfastError) as caught:
        Attempts(READ, 0.0).again(errors.kind_of(reason)(reason, "no"), 0.0, 0.0)
    assert caught.value.reason == reason


def test_a_commit_with_an_id_is_sent_again() -> None:
    attempts = Attempts(commit_call(), 0.0)
    assert attempts.again(LOST, 0.0, 0.0) > 0
    with pytest.raises(errors.RevisionMismatch):
        attempts.again(errors.RevisionMismatch("REVISION_MISMATCH", "no"), 1.0, 0.0)


def test_a_commit_without_an_id_is_not_sent_twice() -> None:
    attempts = Attempts(commit_call(repeatable=False), 0.0)
    assert attempts.again(NOT_SENT, 0.0, 0.0) > 0
    with pytest.raises(errors.OutcomeUnknown) as caught:
        attempts.again(LOST, 0.0, 0.0)
    assert "commit_id" not in caught.value.metadata


def test_a_doubt_about_a_commit_stays() -> None:
    attempts = Attempts(commit_call(), 0.0)
    attempts.again(LOST, 0.0, 0.0)
    with pytest.raises(errors.OutcomeUnknown) as caught:
        attempts.again(NOT_SENT, 9.99, 0.0)
    assert caught.value.metadata["commit_id"] == (b"i" * 16).hex()
    with pytest.raises(errors.OutcomeUnknown):
        Attempts(commit_call(), 0.0).again(LATE, 10.0, 0.0)
    with pytest.raises(errors.DeadlineExceeded) as plain:
        Attempts(READ, 0.0).again(LATE, 10.0, 0.0)
    assert plain.value.reason == "DEADLINE_PASSED"


def test_a_commit_that_was_not_sent_is_not_in_doubt() -> None:
    with pytest.raises(errors.Unavailable) as caught:
        Attempts(commit_call(), 0.0).again(NOT_SENT, 9.99, 0.0)
    assert caught.value.reason == "DOOR_UNREACHABLE"


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_delays_are_bounded(failed: int, luck: float) -> None:
    assert 0 < backoff_s(failed, 1.0, luck) <= 1.0


def test_a_request_that_is_too_large_is_refused_here() -> None:
    request = state.GetRequest(key="k" * MAX_MESSAGE_BYTES)
    with pytest.raises(errors.ResourceExhausted) as caught:
        Call(method("StateService.Get"), request, 1.0)
    assert caught.value.reason == "MESSAGE_TOO_LARGE"


# -- failures ----------------------------------------------------------------------------------


def test_a_refusal_of_a_door_arrives_whole() -> None:
    refusal = Refusal("DISK_FULL", "no room", metadata={"free_bytes": "0"})
    error = failure(refusal.status, refusal.details, refusal.trailers())
    assert type(error) is errors.ResourceExhausted
    assert (error.reason, error.message) == ("DISK_FULL", "no room")
    assert error.metadata == {"free_bytes": "0"}
    assert error.remedy.startswith("Free space")
    assert error.retry_after_s == 5.0


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, ConnectionLost, "DOOR_UNREACHABLE"),
        (grpc.StatusCode.CANCELLED, ConnectionLost, "DOOR_UNREACHABLE"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded, "DEADLINE_PASSED"),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Unimplemented, "UNKNOWN_METHOD"),
        (grpc.StatusCode.UNAUTHENTICATED, errors.PermissionDenied, "NOT_ALLOWED"),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound, "UNEXPECTED_STATUS"),
    ],
)
@pytest.mark.parametrize("trailers", [None, (("grpc-status-details-bin", b"\xff\xff"),)])
def test_a_status_without_a_reason_gets_one(
    code: grpc.StatusCode, kind: type[errors.HoldfastError], reason: str, trailers: object
) -> None:
    error = failure(code, "details", trailers)  # type: ignore[arg-type]
    assert type(error) is kind
    assert error.reason == reason


# -- watches -----------------------------------------------------------------------------------


def bookmark(token: bytes) -> state.WatchResponse:
    position = pb.Position(epoch=1, space="s", revision=3)
    told = state.WatchBookmark(position=position)
    return state.WatchResponse(bookmark=told, resume_token=token)


def test_a_watch_goes_on_after_the_last_message() -> None:
    watch = WatchState(Watched("s/c/p", "value.x > 1", include_pending=True))
    first = watch.request()
    assert (first.space, first.collection, first.key_prefix) == ("s", "c", "p")
    assert first.include_pending and first.resume_token == b""
    watch.receive(bookmark(b"t1"))
    assert watch.again(LOST, 0.5) > 0
    assert watch.request().resume_token == b"t1"


def test_a_watch_ends_with_what_does_not_pass() -> None:
    watch = WatchState(Watched("s"), b"t0")
    for error in (errors.Compacted("COMPACTED", "gone"), errors.NotFound("SPACE_NOT_FOUND", "no")):
        with pytest.raises(type(error)):
            watch.again(error, 0.5)


def test_a_watch_waits_longer_each_time_until_it_hears_again() -> None:
    watch = WatchState(Watched("s"))
    delays = [watch.again(error, 0.5) for error in (LOST, None, NOT_SENT, LOST)]
    assert delays == sorted(set(delays))
    watch.receive(bookmark(b"t1"))
    assert watch.again(None, 0.5) == delays[0]
    told = errors.Unavailable("SHUTTING_DOWN", "later", retry_after_s=3.0)
    assert watch.again(told, 0.5) == 3.0


def test_an_event_that_is_new_to_the_client_is_passed_over_but_counts() -> None:
    watch = WatchState(Watched("s"))
    assert watch.receive(state.WatchResponse(resume_token=b"t2")) is None
    assert watch.resume_token == b"t2"


# -- limits ------------------------------------------------------------------------------------


def test_the_client_and_the_doors_fit() -> None:
    assert limits.KEEPALIVE_MS > channels.SERVER_MIN_PING_INTERVAL_MS
    assert limits.MAX_MESSAGE_BYTES == channels.MAX_MESSAGE_BYTES
    known = {name for name, _ in (*channels.client_options(), *channels.server_options())}
    own = {name for name, _ in limits.channel_options()}
    assert own - known == {"grpc.use_local_subchannel_pool"}
