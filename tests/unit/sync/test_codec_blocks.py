"""Blocks and headers to bytes and back, and what strangers may claim in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.v1 import record_pb2, replication_service_pb2
from sync.batch import MAX_COMMITS, MAX_OPS, Decided, MalformedBatch, batch_of
from sync.codec import (
    MAX_BLOCK_BYTES,
    decode_block,
    decode_header,
    encode_block,
    encode_header,
    pack,
    unpack,
)
from sync.commit import (
    Actor,
    ActorKind,
    Commit,
    Extra,
    Kind,
    Op,
    Outcome,
    OutcomeKind,
    Precondition,
    Version,
)
from sync.position import MAX_NUMBER

ORIGIN = b"o" * 16
ADA = Actor("ada", ActorKind.HUMAN)
BOT = Actor("robot-1", ActorKind.ROBOT)
Block = replication_service_pb2.Block

FULL = Extra(
    seen=((b"p" * 16, 9),),
    preconditions=(
        Precondition("robots", "r1", exists=False),
        Precondition("robots", "r2", version=Version(1, 7, b"q" * 16, 3, pending=True)),
    ),
    correlation_id="c" * 128,
    causation_id=b"x" * 16,
    retryable=True,
)
OPS = (
    Op(Kind.CREATE, "robots", "r1", b'{"x":1.0}'),
    Op(Kind.REMOVE, "robots", "a/b", b'["x"]'),
    Op(Kind.ADD, "jobs", "ключ", b'{"n":-9007199254740993}'),
    Op(Kind.DELETE, "robots", "r1"),
    Op(Kind.NONE, "jobs", "j"),
)
ROWS = [
    Commit(b"1" * 16, 5, 40, 3, 1 << 60, ADA, OPS, FULL),
    Commit(b"2" * 16, 6, 12, 0, 7, BOT, ()),
    Commit(b"3" * 16, 7, 0, 0, 8, BOT, (), Extra(coalesced_by=9)),
    Commit(b"4" * 16, 8, 41, 7, 0, ADA, OPS[:1]),
]
BATCH = batch_of("site", ORIGIN, 2, ROWS)


def read(data: bytes) -> object:
    return decode_block("site", ORIGIN, 5, data)


def test_a_block_comes_back_as_it_was() -> None:
    assert read(encode_block(BATCH)) == BATCH
    for i in range(4):
        one = BATCH.slice(i, i + 1)
        assert decode_block("site", ORIGIN, 5 + i, encode_block(one)) == one


def block() -> Block:
    message = Block()
    message.ParseFromString(encode_block(BATCH))
    return message


def _payload(kind: Kind, payload: bytes) -> Callable[[Block], None]:
    def change(message: Block) -> None:
        message.kinds = bytes([kind]) + message.kinds[1:]
        message.payloads[0] = payload

    return change


def _extra(
    change: Callable[[replication_service_pb2.CommitExtra], object],
) -> Callable[[Block], object]:
    return lambda message: change(message.extras[0])


def _no_actors(message: Block) -> None:
    message.ClearField("actors")
    message.ClearField("actor_indexes")


HOSTILE: dict[str, Callable[[Block], object]] = {
    "no commits": lambda b: b.Clear(),
    "half an id": lambda b: setattr(b, "commit_ids", b.commit_ids[:-1]),
    "a base too few": lambda b: b.base_deltas.pop(),
    "a base below zero": lambda b: b.base_deltas.__setitem__(0, -1),
    "a base beyond a column": lambda b: b.base_deltas.__setitem__(slice(0, 2), [2**62, 2**62]),
    "a stamp beyond a column": lambda b: b.claimed_deltas.__setitem__(1, 2**63 - 1),
    "an own seq below zero": lambda b: b.seen_distances.__setitem__(0, 6),
    "an actor beyond the table": lambda b: b.actor_indexes.__setitem__(0, 2),
    "no actors": _no_actors,
    "an actor of no kind": lambda b: b.actors[0].ClearField("kind"),
    "an actor without a name": lambda b: b.actors[0].ClearField("id"),
    "an actor with a long name": lambda b: setattr(b.actors[0], "id", "x" * 129),
    "an actor with a control character": lambda b: setattr(b.actors[0], "id", "a\0"),
    "counts that do not add up": lambda b: b.op_counts.__setitem__(0, 4),
    "a collection beyond the table": lambda b: b.collection_indexes.__setitem__(0, 2),
    "a collection that is no name": lambda b: b.collections.__setitem__(0, "a/b"),
    "an empty key": lambda b: b.keys.__setitem__(0, ""),
    "a key with a line break": lambda b: b.keys.__setitem__(0, "a\nb"),
    "a key that is too long": lambda b: b.keys.__setitem__(0, "x" * 513),
    "an unknown kind": lambda b: setattr(b, "kinds", bytes([99]) + b.kinds[1:]),
    "a kind too few": lambda b: setattr(b, "kinds", b.kinds[1:]),
    "a deletion with a payload": _payload(Kind.DELETE, b"{}"),
    "nothing with a payload": _payload(Kind.NONE, b"{}"),
    "a record without a payload": _payload(Kind.CREATE, b""),
    "a record that is no object": _payload(Kind.CREATE, b"[1]"),
    "a record that is a number": _payload(Kind.CREATE, b"1"),
    "a whole record that is a text": _payload(Kind.REPLACE, b'"{}"'),
    "a patch that is null": _payload(Kind.PATCH, b"null"),
    "an addition that is a list": _payload(Kind.ADD, b"[]"),
    "a removal that is an object": _payload(Kind.REMOVE, b"{}"),
    "a removal of numbers": _payload(Kind.REMOVE, b"[1]"),
    "a value with white space": _payload(Kind.CREATE, b'{"x": 1}'),
    "a value with a name twice": _payload(Kind.CREATE, b'{"x":1,"x":1}'),
    "a value that is not a number": _payload(Kind.CREATE, b'{"x":NaN}'),
    "a value too deep": _payload(Kind.CREATE, b'{"x":' + b"[" * 64 + b"]" * 64 + b"}"),
    "an extra for no commit": _extra(lambda e: setattr(e, "index", 4)),
    "two extras for one commit": lambda b: b.extras.append(b.extras[0]),
    "a precondition of nothing": _extra(lambda e: e.preconditions[0].ClearField("exists")),
    "a precondition on no name": _extra(lambda e: setattr(e.preconditions[0], "collection", "/")),
    "a precondition on no key": _extra(lambda e: setattr(e.preconditions[0], "key", "")),
    "a cause that is no id": _extra(lambda e: setattr(e, "causation_id", b"x")),
    "a long correlation": _extra(lambda e: setattr(e, "correlation_id", "c" * 129)),
    "a seen origin that is none": _extra(lambda e: setattr(e.seen[0], "origin", b"x")),
    "a seen seq beyond a column": _extra(lambda e: setattr(e.seen[0], "seq", 2**63)),
    "a coalesced commit that acts": _extra(lambda e: setattr(e, "coalesced_by", 9)),
    "coalesced by an earlier one": lambda b: setattr(b.extras[1], "coalesced_by", 7),
    "coalesced beyond a column": lambda b: setattr(b.extras[1], "coalesced_by", 2**63),
    "too many commits": lambda b: setattr(b, "commit_ids", b"i" * 16 * (MAX_COMMITS + 1)),
    "too many preconditions": _extra(
        lambda e: e.preconditions.extend([e.preconditions[0]] * MAX_OPS)
    ),
}


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_meant_is_malformed_and_nothing_else(name: str) -> None:
    message = block()
    HOSTILE[name](message)
    with pytest.raises(MalformedBatch):
        read(message.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x62\x01\xff"])
def test_bytes_that_are_no_block_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedBatch):
        read(data)


def test_a_first_seq_beyond_a_column_is_malformed() -> None:
    """It was once taken, and failed only in the database."""
    for first_seq in (0, MAX_NUMBER - 2, 2**64 - 1):
        with pytest.raises(MalformedBatch):
            decode_block("site", ORIGIN, first_seq, encode_block(BATCH))


def test_who_is_to_blame_is_named() -> None:
    message = block()
    message.payloads[-1] = b"[1]"
    with pytest.raises(MalformedBatch) as caught:
        read(message.SerializeToString())
    assert caught.value.index == 3


# -- headers -----------------------------------------------------------------

DECIDED = Decided(
    batch=BATCH,
    epoch=3,
    first_revision=100,
    stamps=(5, 1 << 61, 7, 8),
    previous=(0, 1, 99, 100, 101, 103),
    outcomes={
        0: Outcome(OutcomeKind.SUPERSEDED, "", b"w" * 16, 12),
        1: Outcome(OutcomeKind.REJECTED, "PRECONDITION_FAILED"),
    },
)


def test_a_header_comes_back_as_it_was() -> None:
    assert decode_header(BATCH, 3, 100, encode_header(DECIDED)) == DECIDED


def test_a_header_in_which_nothing_replaces_anything_is_short() -> None:
    plain = Decided(BATCH, 3, 100, BATCH.claimed, (0,) * 6)
    data = encode_header(plain)
    assert len(data) <= 2 + len(BATCH)
    assert decode_header(BATCH, 3, 100, data) == plain


def test_a_header_of_another_batch_is_malformed() -> None:
    data = encode_header(DECIDED)
    for part in (BATCH.slice(0, 2), BATCH.slice(1, 4)):
        with pytest.raises(MalformedBatch):
            decode_header(part, 3, 100, data)
    for wrong in (b"\xff", data + b"\x0a\x01"):
        with pytest.raises(MalformedBatch):
            decode_header(BATCH, 3, 100, wrong)
    with pytest.raises(MalformedBatch):
        decode_header(BATCH, 3, 0, data)


def test_an_outcome_for_no_commit_or_of_no_kind_is_malformed() -> None:
    header = replication_service_pb2.LogHeader()
    for index, kind in ((4, 2), (0, 0), (0, 77)):
        header.ParseFromString(encode_header(DECIDED))
        header.outcomes[0].index = index
        header.outcomes[0].kind = kind  # type: ignore[assignment]
        with pytest.raises(MalformedBatch):
            decode_header(BATCH, 3, 100, header.SerializeToString())


# -- compression -------------------------------------------------------------


@pytest.mark.parametrize("codec", ["identity", "zstd"])
def test_a_block_is_unpacked_within_what_was_announced(codec: str) -> None:
    plain = encode_block(BATCH)
    packed = pack(plain, codec)
    assert unpack(packed, codec, len(plain)) == plain
    for announced in (len(plain) - 1, len(plain) + 1, MAX_BLOCK_BYTES + 1):
        with pytest.raises(MalformedBatch):
            unpack(packed, codec, announced)


def test_a_block_larger_than_one_may_be_is_refused_before_it_is_unpacked() -> None:
    bomb = pack(b"\0" * (MAX_BLOCK_BYTES + 1), "zstd")
    for announced in (10, MAX_BLOCK_BYTES, MAX_BLOCK_BYTES + 1):
        with pytest.raises(MalformedBatch):
            unpack(bomb, "zstd", announced)
    with pytest.raises(MalformedBatch, match="CODEC_UNKNOWN"):
        unpack(b"x", "lz77", 1)


def test_actor_kinds_are_those_of_the_wire() -> None:
    assert {kind.name: kind.value for kind in ActorKind} == {
        name.removeprefix("ACTOR_KIND_"): number
        for name, number in record_pb2.ActorKind.items()
        if number
    }
    outcomes = {
        name.removeprefix("OUTCOME_KIND_"): number
        for name, number in record_pb2.OutcomeKind.items()
        if number
    }
    assert {kind.name: kind.value for kind in OutcomeKind} == outcomes
