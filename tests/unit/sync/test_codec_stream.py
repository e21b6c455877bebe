"""The stream's messages to protobuf and back, and what strangers may claim in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.v1 import replication_service_pb2 as pb
from sync import messages as m
from sync.batch import MAX_COMMITS
from sync.codec import (
    MalformedMessage,
    edge_message_from,
    edge_message_to,
    hub_message_from,
    hub_message_to,
)
from sync.position import Cursor, Epoch, Position

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16
LINEAGE = (Epoch(1, A, 0), Epoch(2, B, 1, {"site": 7, "other": 9}))

EDGE: list[m.EdgeMessage] = [
    m.Hello(
        edge="edge-1",
        origin=A,
        spaces=(
            m.SpaceHello(
                "site",
                m.Scope(False, frozenset({"jobs", "robots"})),
                Cursor(2, 41, b"token"),
                (m.OriginState(A, 5, C), m.OriginState(B, 0, b"")),
            ),
            m.SpaceHello("other", m.Scope(), Cursor(0, 0)),
        ),
        predecessor=B,
        predecessor_reason="ORIGIN_COPIED",
        codecs=("zstd", "identity"),
        lineage=LINEAGE,
        software="holdfast 0.1.0",
    ),
    m.Push("site", A, 6, 3, b"block", 9),
    m.Credit(20_000, 8 << 20),
    m.EdgeHeartbeat(7, 3, 1024, 1_900_000_000_000, ("OUTBOX_BEHIND",)),
    m.CursorReport((m.SpaceCursor("site", 2, 41, 40),)),
    m.VoidRange("site", A, 4, 2, "OUTBOX_RESTORED", (B, C)),
    m.VoidRange("site", A, 4, 2, "OUTBOX_RESTORED"),
    m.CompareIds("site", A, (1, 5, 9)),
    m.AskDecided("site", A, 7, 41),
    m.Goodbye("SHUTTING_DOWN", "later", 500),
    m.EdgeHeartbeat(8, 0, 0, 1, counters=m.EdgeCounters(9, 8, 7, 6, 5, 4, 3, 0, (("A", 2),))),
    m.EdgeHeartbeat(9, 0, 0, 1, counters=m.EdgeCounters()),
]
HUB: list[m.HubMessage] = [
    m.Welcome(
        hub="hub-1",
        version=1,
        lineage=LINEAGE,
        spaces=(
            m.SpaceWelcome("site", 2, 50, (m.OriginState(A, 4, C),)),
            m.SpaceWelcome("other", 2, 0, (), "FORK_DETECTED"),
        ),
        codec="zstd",
        max_message_bytes=4 << 20,
        wall_ms=1_900_000_000_000,
        credit=m.Credit(1, 2),
    ),
    m.PushResult("site", A, 8, C, Position(2, "site", 51)),
    m.Changes("site", 2, 49, B, 1, 2, b"header", b"block", 9, b"token"),
    m.Bookmark(
        "site",
        Cursor(2, 51, b"token"),
        (m.OriginState(A, 8, C),),
        (m.CollectionDigest("robots", 2**64 - 1, 3),),
    ),
    m.Credit(3, 4),
    m.HubHeartbeat(7, 1_900_000_000_001, (Position(2, "site", 51),)),
    m.PushRefused("site", A, "SEQ_GAP", "expected seq 9", 8, 11),
    m.ComparedIds("site", A, ((1, B), (5, b""))),
    m.DecidedAt(m.AskDecided("site", A, 7, 41), Position(2, "site", 45), ((3, 1), (5, 2))),
    m.Goodbye("STREAM_AGED"),
]


@pytest.mark.parametrize("message", EDGE, ids=lambda message: type(message).__name__)
def test_what_an_edge_says_arrives_as_it_was_said(message: m.EdgeMessage) -> None:
    wire = edge_message_to(message).SerializeToString()
    assert edge_message_from(pb.ReplicateRequest.FromString(wire)) == message


@pytest.mark.parametrize("message", HUB, ids=lambda message: type(message).__name__)
def test_what_the_hub_says_arrives_as_it_was_said(message: m.HubMessage) -> None:
    wire = hub_message_to(message).SerializeToString()
    assert hub_message_from(pb.ReplicateResponse.FromString(wire)) == message


def test_every_message_is_tried_and_has_its_place_on_the_wire() -> None:
    fields = set(pb.ReplicateRequest.DESCRIPTOR.fields_by_name)
    assert {edge_message_to(x).WhichOneof("message") for x in EDGE} == fields
    fields = set(pb.ReplicateResponse.DESCRIPTOR.fields_by_name)
    assert {hub_message_to(x).WhichOneof("message") for x in HUB} == fields


def test_an_empty_message_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        edge_message_from(pb.ReplicateRequest())
    with pytest.raises(MalformedMessage):
        hub_message_from(pb.ReplicateResponse())


HUGE = 2**63
"""One more than a column of a database holds."""

Change = Callable[[Any], object]
HOSTILE_EDGE: dict[str, tuple[int, Change]] = {
    "an edge without a name": (0, lambda x: setattr(x.hello, "edge", "")),
    "an edge with a long name": (0, lambda x: setattr(x.hello, "edge", "e" * 129)),
    "an edge with a control character": (0, lambda x: setattr(x.hello, "edge", "e\0")),
    "an origin that is none": (0, lambda x: setattr(x.hello, "origin", b"")),
    "a predecessor that is none": (0, lambda x: setattr(x.hello, "predecessor", b"x")),
    "a reason that is none": (0, lambda x: setattr(x.hello, "predecessor_reason", "x" * 65)),
    "software with a long name": (0, lambda x: setattr(x.hello, "software", "s" * 129)),
    "a space that is none": (0, lambda x: setattr(x.hello.spaces[0], "space", "_x")),
    "a collection that is none": (0, lambda x: x.hello.spaces[0].collections.append("/")),
    "a cursor epoch beyond a column": (
        0,
        lambda x: setattr(x.hello.spaces[0], "cursor_epoch", HUGE),
    ),
    "a cursor beyond a column": (0, lambda x: setattr(x.hello.spaces[0], "cursor_revision", HUGE)),
    "an origin's seq beyond a column": (
        0,
        lambda x: setattr(x.hello.spaces[0].origins[0], "seq", HUGE),
    ),
    "an origin's name": (0, lambda x: setattr(x.hello.spaces[0].origins[0], "origin", b"x")),
    "an origin's commit id": (
        0,
        lambda x: setattr(x.hello.spaces[0].origins[0], "commit_id", b"x"),
    ),
    "an epoch's id": (0, lambda x: setattr(x.hello.lineage[0], "id", b"x")),
    "a push of no space": (1, lambda x: setattr(x.push, "space", "")),
    "a push of no origin": (1, lambda x: setattr(x.push, "origin", b"")),
    "a push beyond a column": (1, lambda x: setattr(x.push, "first_seq", HUGE)),
    "pending beyond a column": (3, lambda x: setattr(x.heartbeat, "pending", HUGE)),
    "bytes beyond a column": (3, lambda x: setattr(x.heartbeat, "outbox_bytes", HUGE)),
    "a time beyond a column": (3, lambda x: setattr(x.heartbeat, "wall_ms", HUGE)),
    "an alarm that is none": (3, lambda x: x.heartbeat.alarms.append("x" * 65)),
    "too many alarms": (3, lambda x: x.heartbeat.alarms.extend(["A"] * 64)),
    "a report of no space": (4, lambda x: setattr(x.cursors.spaces[0], "space", "")),
    "a report beyond a column": (4, lambda x: setattr(x.cursors.spaces[0], "revision", HUGE)),
    "a base beyond a column": (4, lambda x: setattr(x.cursors.spaces[0], "lowest_base", HUGE)),
    "an epoch beyond a column": (4, lambda x: setattr(x.cursors.spaces[0], "epoch", HUGE)),
    "nothing declared void": (6, lambda x: setattr(x.void_range, "count", 0)),
    "too much declared void": (6, lambda x: setattr(x.void_range, "count", MAX_COMMITS + 1)),
    "void from nowhere": (6, lambda x: setattr(x.void_range, "first_seq", 0)),
    "void beyond a column": (6, lambda x: setattr(x.void_range, "first_seq", HUGE - 1)),
    "void with too few ids": (5, lambda x: setattr(x.void_range, "commit_ids", B)),
    "void without a reason": (6, lambda x: setattr(x.void_range, "reason", "")),
    "void with a story": (6, lambda x: setattr(x.void_range, "reason", "it was\nraining")),
    "a comparison beyond a column": (7, lambda x: x.compare.seqs.append(HUGE)),
    "a comparison of nothing": (7, lambda x: x.compare.ClearField("seqs")),
    "a comparison of seq zero": (7, lambda x: x.compare.seqs.__setitem__(0, 0)),
    "a comparison in no order": (7, lambda x: x.compare.seqs.append(9)),
}


@pytest.mark.parametrize("name", HOSTILE_EDGE)
def test_what_an_edge_cannot_mean_is_malformed(name: str) -> None:
    index, change = HOSTILE_EDGE[name]
    wire = edge_message_to(EDGE[index])
    change(wire)
    with pytest.raises(MalformedMessage):
        edge_message_from(wire)


HOSTILE_HUB: dict[str, tuple[int, Change]] = {
    "a hub without a history": (0, lambda x: x.welcome.ClearField("lineage")),
    "an epoch that is its own parent": (0, lambda x: setattr(x.welcome.lineage[1], "parent", 2)),
    "an epoch of an unknown parent": (
        0,
        lambda x: x.welcome.lineage.add(ordinal=9, id=C, parent=5),
    ),
    "an epoch twice": (0, lambda x: x.welcome.lineage.append(x.welcome.lineage[1])),
    "a result of no origin": (1, lambda x: setattr(x.result, "origin", b"x")),
    "a result beyond a column": (1, lambda x: setattr(x.result, "decided_seq", HUGE)),
    "changes of no origin": (2, lambda x: setattr(x.changes, "origin", b"")),
    "changes without commits": (2, lambda x: setattr(x.changes, "count", 0)),
    "changes at revision zero": (2, lambda x: setattr(x.changes, "first_revision", 0)),
    "changes beyond a column": (2, lambda x: setattr(x.changes, "first_revision", HUGE - 1)),
    "a bookmark beyond a column": (3, lambda x: setattr(x.bookmark, "revision", HUGE)),
    "a refusal of no origin": (6, lambda x: setattr(x.refused, "origin", b"x")),
    "fewer ids than seqs": (7, lambda x: setattr(x.compared, "commit_ids", B)),
}


@pytest.mark.parametrize("name", HOSTILE_HUB)
def test_what_the_hub_cannot_mean_is_malformed(name: str) -> None:
    index, change = HOSTILE_HUB[name]
    wire = hub_message_to(HUB[index])
    change(wire)
    with pytest.raises(MalformedMessage):
        hub_message_from(wire)
