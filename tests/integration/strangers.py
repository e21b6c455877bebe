"""A party that opens a stream to the hub and says whatever a test puts into its mouth."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc

from holdfast.v1 import replication_service_pb2 as pb
from sync import codec, framing
from sync import messages as m
from sync.batch import Batch, batch_of
from sync.commit import NO_EXTRA, Actor, ActorKind, Commit, Extra, Kind, Op
from sync.position import Cursor
from tests.house import SPACE
from tests.integration.raw import RawHouse, reason_of

PATH = "/holdfast.v1.ReplicationService/Replicate"
TALK_SECONDS = 10.0
ROBOT = Actor("stranger", ActorKind.ROBOT)
_ids = itertools.count(1)

Frame = m.EdgeMessage | pb.ReplicateRequest | bytes


@dataclass(frozen=True, slots=True)
class Talk:
    """What came of a conversation: the hub's messages, and why it ended it, if it did."""

    said: tuple[pb.ReplicateResponse, ...]
    status: str = ""

    @property
    def reason(self) -> str:
        """Of the goodbye, or of the status; empty if the hub had no objection."""
        goodbyes = [one.goodbye.reason for one in self.said if one.HasField("goodbye")]
        return goodbyes[0] if goodbyes else self.status

    def of(self, kind: str) -> list[Any]:
        """The messages of one kind."""
        return [getattr(one, kind) for one in self.said if one.WhichOneof("message") == kind]


def new_id() -> bytes:
    """16 bytes that are not used again."""
    return b"stranger" + next(_ids).to_bytes(8, "big")


def hello(origin: bytes, *spaces: m.SpaceHello, codecs: tuple[str, ...] = ()) -> m.Hello:
    """A greeting for the space of the house, or for others."""
    found = spaces or (m.SpaceHello(SPACE, m.Scope(), Cursor(0, 0)),)
    return m.Hello(edge="stranger", origin=origin, spaces=found, codecs=codecs)


def batch(origin: bytes, *ops: Op, extra: Extra = NO_EXTRA, first_seq: int = 1) -> Batch:
    """One commit for each operation."""
    commits = [
        Commit(new_id(), first_seq + i, 0, 0, 1 << 40, ROBOT, (op,), extra)
        for i, op in enumerate(ops)
    ]
    return batch_of(SPACE, origin, 1, commits)


def create(key: str, value: bytes = b'{"n":1}', collection: str = "parts") -> Op:
    return Op(Kind.CREATE, collection, key, value)


def push(made: Batch, codec_name: str = framing.IDENTITY, **changed: Any) -> m.Push:
    """The push of a batch, with some of its members changed."""
    block = codec.encode_block(made)
    packed = codec.pack(block, codec_name)
    plain = m.Push(made.space, made.origin, made.first_seq, len(made), packed, len(block))
    return replace(plain, **changed)


def block_push(origin: bytes, block: pb.Block, count: int = 1) -> m.Push:
    """The push of a block as it stands."""
    data = block.SerializeToString()
    return m.Push(SPACE, origin, 1, count, data, len(data))


def talk(raw: RawHouse, frames: Sequence[Frame], until: str = "") -> Talk:
    """Says these in order, and leaves; with `until`, once a message of that kind has come. Listens
    until the hub has no more to say."""
    heard = threading.Event()
    method: Any = raw.channels["hub"].stream_stream(PATH)
    call = method(_said(frames, heard if until else None), timeout=TALK_SECONDS)
    said: list[pb.ReplicateResponse] = []
    try:
        for response in call:
            said.append(pb.ReplicateResponse.FromString(response))
            if until and said[-1].WhichOneof("message") == until:
                heard.set()
    except grpc.RpcError as error:
        return Talk(tuple(said), reason_of(error))
    finally:
        heard.set()
    return Talk(tuple(said))


def _said(frames: Sequence[Frame], heard: threading.Event | None) -> Iterator[bytes]:
    yield from map(_bytes, frames)
    if heard is not None:
        heard.wait(TALK_SECONDS)


def _bytes(frame: Frame) -> bytes:
    if isinstance(frame, bytes):
        return frame
    if isinstance(frame, pb.ReplicateRequest):
        return frame.SerializeToString()
    return codec.edge_message_to(frame).SerializeToString()
