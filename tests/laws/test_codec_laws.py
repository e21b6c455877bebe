"""What is written comes back; whatever else comes is refused as malformed, never otherwise."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from holdfast.v1 import replication_service_pb2 as pb
from sync import codec
from sync.batch import Batch, Decided, MalformedBatch, batch_of
from sync.codec import MalformedMessage
from sync.commit import (
    NO_EXTRA,
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
from tests.unit.sync.test_codec_blocks import BATCH
from tests.unit.sync.test_codec_stream import EDGE, HUB

NUMBERS = st.one_of(st.integers(0, 1_000), st.integers(0, 2**63 - 2))
IDS = st.binary(min_size=16, max_size=16)
NAMES = st.sampled_from(["robots", "jobs", "_policies", "a.b-c_d"])
KEYS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=5)
ACTORS = st.builds(Actor, KEYS, st.sampled_from(list(ActorKind)))
OBJECTS = st.sampled_from([b"{}", b'{"n":1}', b'{"x":1.10,"y":[null,"\xc3\xa9"]}'])
SPLICES = (Kind.SPLICE, Kind.SPLICE_CREATE)
NOT_OBJECTS = (Kind.NONE, Kind.DELETE, Kind.REMOVE, Kind.PUT, *SPLICES)
"""Kinds whose payload is another, and the one that only a commit of the level strong may have."""

OPS = st.one_of(
    st.builds(Op, st.sampled_from([Kind.NONE, Kind.DELETE]), NAMES, KEYS),
    st.builds(
        Op, st.sampled_from([k for k in Kind if k not in NOT_OBJECTS]),
        NAMES, KEYS, OBJECTS,
    ),
    st.builds(
        Op, st.sampled_from(SPLICES), NAMES, KEYS,
        st.sampled_from([b'{"a":[3,"\xc3\xa9",-1],"b":[[1,1.0]]}', b'{"":[]}']),
    ),
    st.builds(Op, st.just(Kind.REMOVE), NAMES, KEYS, st.sampled_from([b"[]", b'["a","b"]'])),
)  # fmt: skip
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, st.just(b"") | IDS, NUMBERS, st.booleans())
PRECONDITIONS = st.one_of(
    st.builds(lambda c, k, v: Precondition(c, k, version=v), NAMES, KEYS, VERSIONS),
    st.builds(lambda c, k, e: Precondition(c, k, exists=e), NAMES, KEYS, st.booleans()),
    st.builds(
        lambda c, k, t: Precondition(c, k, authority=t), NAMES, KEYS, st.integers(1, (1 << 53) - 1)
    ),
)
EXTRAS = st.builds(
    Extra,
    st.lists(st.tuples(IDS, NUMBERS), max_size=2).map(tuple),
    st.lists(PRECONDITIONS, max_size=2).map(tuple),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    st.just(b"") | IDS,
    st.booleans(),
)


@st.composite
def batches(draw: Any) -> Batch:
    first_seq = draw(st.integers(1, 2**62))
    rows = [
        Commit(
            draw(IDS), seq, draw(NUMBERS), draw(st.sampled_from([0, seq - 1, seq // 2])),
            draw(NUMBERS), draw(ACTORS), tuple(draw(st.lists(OPS, max_size=3))),
            draw(st.just(NO_EXTRA) | EXTRAS),
        )
        for seq in range(first_seq, first_seq + draw(st.integers(1, 4)))
    ]  # fmt: skip
    return batch_of("site", draw(IDS), draw(NUMBERS), [_sendable(row) for row in rows])


def _sendable(row: Commit) -> Commit:
    """Only a strong commit is sent with a whole record to be reduced."""
    strong = any(op.kind is Kind.PUT for op in row.ops)
    return replace(row, extra=replace(row.extra, strong=True)) if strong else row


@given(batches())
def test_a_block_comes_back_as_it_was(batch: Batch) -> None:
    data = codec.encode_block(batch)
    assert codec.decode_block(batch.space, batch.origin, batch.first_seq, data) == batch


OUTCOMES = st.builds(
    Outcome, st.sampled_from(list(OutcomeKind)), st.sampled_from(["", "X"]), IDS, NUMBERS
)


@given(batches(), st.data())
def test_a_header_comes_back_as_it_was(batch: Batch, data: st.DataObject) -> None:
    count, first = len(batch), data.draw(st.integers(1, 2**40))
    previous = st.one_of(st.just(0), st.integers(1, first + count - 1))
    decided = Decided(
        batch,
        data.draw(NUMBERS),
        first,
        tuple(data.draw(st.lists(NUMBERS, min_size=count, max_size=count))),
        tuple(data.draw(previous) for _ in batch.keys),
        data.draw(st.dictionaries(st.integers(0, count - 1), OUTCOMES)),
    )
    header = codec.encode_header(decided)
    assert codec.decode_header(batch, decided.epoch, first, header) == decided


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """The bytes cut short, with some overwritten, with some put in."""
    places = st.integers(0, max(0, len(whole) - 1))
    scraps = st.binary(max_size=9)
    return st.one_of(
        st.builds(lambda at: whole[:at], places),
        st.builds(lambda at, new: whole[:at] + new + whole[at + len(new) :], places, scraps),
        st.builds(lambda at, new: whole[:at] + new + whole[at:], places, scraps),
        st.builds(lambda a, b: whole[: min(a, b)] + whole[max(a, b) :], places, places),
    )


BLOCK = codec.encode_block(BATCH)


@pytest.mark.promise("stream.bad-input")
@given(st.one_of(st.binary(max_size=200), damaged(BLOCK)), st.integers(0, 2**64 - 1))
def test_bytes_are_a_block_or_malformed(data: bytes, first_seq: int) -> None:
    try:
        batch = codec.decode_block("site", b"o" * 16, first_seq, data)
    except MalformedBatch:
        return
    again = codec.encode_block(batch)
    assert codec.decode_block("site", b"o" * 16, first_seq, again) == batch


HEADER = codec.encode_header(
    Decided(BATCH, 1, 9, BATCH.claimed, (0, 9, 10, 3, 0, 11), {1: Outcome(OutcomeKind.MERGED)})
)


@given(st.one_of(st.binary(max_size=60), damaged(HEADER)))
def test_bytes_are_a_header_or_malformed(data: bytes) -> None:
    with suppress(MalformedBatch):
        codec.decode_header(BATCH, 1, 9, data)


@given(
    st.binary(max_size=100), st.sampled_from(["zstd", "identity", "", "x"]), st.integers(0, 2**32)
)
def test_bytes_are_a_packed_block_or_malformed(data: bytes, name: str, size: int) -> None:
    with suppress(MalformedBatch):
        assert len(codec.unpack(data, name, size)) == size


FROM_EDGE = [codec.edge_message_to(message).SerializeToString() for message in EDGE]
FROM_HUB = [codec.hub_message_to(message).SerializeToString() for message in HUB]


@pytest.mark.promise("stream.bad-input")
@given(st.one_of(st.binary(max_size=100), st.sampled_from(FROM_EDGE).flatmap(damaged)))
def test_bytes_are_a_message_of_an_edge_or_malformed(data: bytes) -> None:
    try:
        request = pb.ReplicateRequest.FromString(data)
    except DecodeError:
        return
    try:
        message = codec.edge_message_from(request)
    except MalformedMessage:
        return
    assert codec.edge_message_from(codec.edge_message_to(message)) == message


@given(st.one_of(st.binary(max_size=100), st.sampled_from(FROM_HUB).flatmap(damaged)))
def test_bytes_are_a_message_of_the_hub_or_malformed(data: bytes) -> None:
    try:
        response = pb.ReplicateResponse.FromString(data)
    except DecodeError:
        return
    try:
        message = codec.hub_message_from(response)
    except MalformedMessage:
        return
    assert codec.hub_message_from(codec.hub_message_to(message)) == message
