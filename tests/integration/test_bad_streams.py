"""A stream may carry anything: frames out of order, bombs, forged proofs, other people's seqs. The
hub says goodbye with a reason or refuses the push; nothing is stored, and nobody else notices."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.reasons import REASONS
from holdfast.v1 import record_pb2
from holdfast.v1 import replication_service_pb2 as pb
from sync import framing
from sync import messages as m
from sync.commit import Extra, Kind, Precondition, Version
from sync.position import MAX_NUMBER, Cursor
from tests.house import SPACE, House
from tests.integration.fuzz import messages
from tests.integration.raw import RawHouse, raw_house
from tests.integration.strangers import (
    Frame,
    Talk,
    batch,
    block_push,
    create,
    hello,
    new_id,
    push,
    talk,
)

pytestmark = pytest.mark.integration

EXAMPLES = int(os.environ.get("HOLDFAST_TEST_EXAMPLES", "40"))
ME, OTHER = new_id(), new_id()
HELLO = hello(ME)
FAR = 2**64 - 1
MEMORY_BYTES = 64 << 20
"""More than the hub may grow by under attack; a bomb would be many times of it."""


@pytest.fixture(scope="module")
def raw() -> Iterator[RawHouse]:
    with raw_house() as made:
        made.run(_begin(made.home))
        yield made


async def _begin(home: House) -> None:
    await home.at("a").put(f"{SPACE}/parts/first", {"n": 1})
    await home.settled()


async def _heads(home: House) -> dict[str, int]:
    return {space: info.head.revision for space, info in (await home.hub_spaces()).items()}


async def _works(home: House) -> None:
    """The hub takes commits, tells others, and its operators can see who was there."""
    await (await home.at("a").put(f"{SPACE}/parts/after", {"n": 2})).outcome()
    await home.settled()
    from holdfast.v1 import admin_service_pb2 as admin

    request = admin.ListEdgesRequest(page_size=1_000)
    await home.keeper("hub").request("AdminService.ListEdges", request)


def _attack(raw: RawHouse, frames: list[Frame], until: str = "") -> Talk:
    """Says it, and checks that nothing of it was stored."""
    before = raw.run(_heads(raw.home))
    found = talk(raw, frames, until)
    assert raw.run(_heads(raw.home)) == before
    raw.run(_works(raw.home))
    return found


# -- the order of frames ---------------------------------------------------------------------------

GOOD_PUSH = push(batch(ME, create("order")))
ORDERS: dict[str, list[Frame]] = {
    "a push first": [GOOD_PUSH],
    "credit first": [m.Credit(1, 1), HELLO],
    "two hellos": [HELLO, HELLO],
    "a heartbeat first": [m.EdgeHeartbeat(1, 0, 0, 0, ())],
    "an empty message": [HELLO, pb.ReplicateRequest()],
    "an empty message first": [b""],
    "no version in common": [
        m.Hello("stranger", ME, HELLO.spaces, versions=(77,)),
    ],
    "no origin": [m.Hello("stranger", b"", HELLO.spaces)],
    "a short origin": [m.Hello("stranger", b"short", HELLO.spaces)],
    "no name": [m.Hello("", ME, HELLO.spaces)],
    "a name with control characters": [m.Hello("a\x00b\n", ME, HELLO.spaces)],
    "a space twice": [hello(ME, *HELLO.spaces, *HELLO.spaces)],
    "a thousand and one spaces": [
        hello(ME, *[m.SpaceHello(f"s{i}", m.Scope(), Cursor(0, 0)) for i in range(1_001)]),
    ],
    "a space that is none": [hello(ME, m.SpaceHello("../x", m.Scope(), Cursor(0, 0)))],
    "too many ids to compare": [HELLO, m.CompareIds(SPACE, ME, tuple(range(1, 1_026)))],
    "a void range without end": [HELLO, m.VoidRange(SPACE, ME, 1, 2**40, "OUTBOX_DAMAGED")],
    "a void range from zero": [HELLO, m.VoidRange(SPACE, ME, 0, 1, "OUTBOX_DAMAGED")],
    "a push of nothing": [HELLO, push(batch(ME, create("x")), count=0)],
    "a push at seq zero": [HELLO, push(batch(ME, create("x")), first_seq=0)],
    "a push that says it is huge": [HELLO, push(batch(ME, create("x")), block_bytes=2**32 - 1)],
    "a push to a space that is none": [HELLO, push(batch(ME, create("x")), space="")],
}


@pytest.mark.promise("stream.bad-input")
@pytest.mark.promise("rule.never-guess")
@pytest.mark.parametrize("name", ORDERS)
def test_what_does_not_belong_here_ends_the_stream_by_name(raw: RawHouse, name: str) -> None:
    found = _attack(raw, ORDERS[name])
    wanted = "PROTOCOL_VERSION" if name.startswith("no version") else "PROTOCOL_VIOLATION"
    assert found.reason == wanted


# -- pushes ----------------------------------------------------------------------------------------


def _frame_header(size_bytes: int) -> bytes:
    """13 bytes of zstd that claim to hold so much."""
    return b"\x28\xb5\x2f\xfd" + bytes([0b1110_0000]) + struct.pack("<Q", size_bytes)


def _bomb() -> bytes:
    """2 KB of zstd that say nothing of the 64 MiB in them."""
    import zstandard

    options = zstandard.ZstdCompressor(level=3, write_content_size=False)
    return options.compress(bytes(64 << 20))


def _block(**changed: Any) -> pb.Block:
    fields: dict[str, Any] = {
        "commit_ids": new_id(), "base_epoch": 1, "base_deltas": [0], "seen_distances": [0],
        "claimed_deltas": [1 << 40],
        "actors": [record_pb2.Actor(id="s", kind=record_pb2.ACTOR_KIND_ROBOT)],
        "collections": ["parts"], "keys": ["x"], "kinds": bytes([Kind.CREATE]),
        "payloads": [b'{"n":1}'],
    }  # fmt: skip
    return pb.Block(**{**fields, **changed})


SOUND = create("x")
PUSHES: dict[str, m.Push] = {
    "no block": m.Push(SPACE, ME, 1, 1, b"", 0),
    "noise": m.Push(SPACE, ME, 1, 1, b"\xff" * 100, 100),
    "another size than it says": push(batch(ME, SOUND), block_bytes=17),
    "more commits than there are": push(batch(ME, SOUND), count=3),
    "a value that is no JSON": block_push(ME, _block(payloads=[b'{"n":NaN}'])),
    "a member twice": block_push(ME, _block(payloads=[b'{"n":1,"n":2}'])),
    "not canonical": block_push(ME, _block(payloads=[b'{"n": 1}'])),
    "half a pair": block_push(ME, _block(payloads=[b'{"n":"\\ud800"}'])),
    "too deep": block_push(ME, _block(payloads=[b'{"n":' + b"[" * 99 + b"]" * 99 + b"}"])),
    "not an object": block_push(ME, _block(payloads=[b"[1]"])),
    "no value": block_push(ME, _block(payloads=[b""])),
    "not UTF-8": block_push(ME, _block(payloads=[b'{"n":"\xff"}'])),
    "a key with a control character": block_push(ME, _block(keys=["a\x00"])),
    "no key": block_push(ME, _block(keys=[""])),
    "a kind that is not known": block_push(ME, _block(kinds=b"\xee")),
    "kinds missing": block_push(ME, _block(kinds=b"")),
    "an actor of no kind": block_push(ME, _block(actors=[record_pb2.Actor(id="s")])),
    "no actor": block_push(ME, _block(actors=[])),
    "no collection": block_push(ME, _block(collections=[])),
    "a collection that is none": block_push(ME, _block(collections=["../x"])),
    "an index beyond the table": block_push(ME, _block(collection_indexes=[9])),
    "a short commit id": block_push(ME, _block(commit_ids=b"short")),
    "a negative base": block_push(ME, _block(base_deltas=[-1])),
    "a negative time": block_push(ME, _block(claimed_deltas=[-1])),
    "a time beyond all time": block_push(ME, _block(claimed_deltas=[MAX_NUMBER, 1])),
    "seen after itself": block_push(ME, _block(seen_distances=[FAR])),
    "an epoch beyond all": block_push(ME, _block(base_epoch=FAR)),
    "op counts that do not add up": block_push(ME, _block(op_counts=[2**31])),
    "an extra of nobody": block_push(ME, _block(extras=[pb.CommitExtra(index=5)])),
    "a seen origin that is none": push(
        batch(ME, SOUND, extra=Extra(seen=((b"x", 1),)))
    ),
    "a version of an origin that is none": push(
        batch(
            ME, SOUND,
            extra=Extra(
                preconditions=(
                    Precondition("parts", "x", version=Version(1, 1, b"o", 1, pending=True)),
                )
            ),
        )
    ),
    "seqs beyond all seqs": push(batch(ME, SOUND), first_seq=MAX_NUMBER + 1),
}  # fmt: skip


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize("name", PUSHES)
def test_a_push_that_contradicts_itself_is_refused_whole(raw: RawHouse, name: str) -> None:
    found = _attack(raw, [HELLO, PUSHES[name]])
    refused = found.of("refused")
    assert found.reason in {"", "PROTOCOL_VIOLATION"}
    assert refused or found.reason, found.said
    assert {one.reason for one in refused} <= {"MALFORMED_BATCH", "FRAME_TOO_LARGE"}
    assert not found.of("result")


@pytest.mark.promise("stream.bad-input")
@pytest.mark.skipif("zstd" not in framing.available_codecs(), reason="zstandard is not installed")
@pytest.mark.parametrize(
    "block",
    [
        pytest.param(_frame_header(7 * 10**18), id="13 bytes that claim 7e18"),
        pytest.param(_frame_header(3 << 30), id="13 bytes that claim 3 GiB"),
        pytest.param(None, id="64 MiB that say nothing of it"),
    ],
)
def test_a_bomb_does_not_go_off(raw: RawHouse, block: bytes | None) -> None:
    from cloud_hub.services.admin import resident_bytes

    block = block if block is not None else _bomb()
    before = resident_bytes()
    for claimed in (len(block), 1 << 20, 3 << 20):
        bomb = m.Push(SPACE, ME, 1, 1, block, claimed)
        found = _attack(raw, [hello(ME, codecs=("zstd",)), bomb])
        assert [one.reason for one in found.of("refused")] == ["MALFORMED_BATCH"]
    assert resident_bytes() - before < MEMORY_BYTES


@pytest.mark.promise("rule.rejected-is-decided")
@pytest.mark.promise("merge.bad-value-never-stalls")
def test_a_push_in_a_reserved_collection_is_rejected_and_decided(raw: RawHouse) -> None:
    """The commit takes its revision, so that what comes after it goes on, and has no effect."""
    me = new_id()
    nonsense = create("@space", b'{"priority":"nonsense"}', "_policies")
    policy = create("parts", b'{"fields":{"n":"counter"}}', "_policies")
    made = batch(me, nonsense, policy, create("reserved"))
    found = talk(raw, [hello(me), push(made)], "result")
    assert [one.decided_seq for one in found.of("result")] == [3]
    raw.run(_rejected(raw.home, me))
    raw.run(_works(raw.home))


async def _rejected(home: House, origin: bytes) -> None:
    from holdfast import OpId

    named = [OpId(SPACE, b"", origin, seq) for seq in (1, 2, 3)]
    found = await home.at("hub").wait(named)
    assert [str(one.kind) for one in found] == ["rejected", "rejected", "applied"]
    assert {one.reason for one in found[:2]} == {"RESERVED_COLLECTION"}


@pytest.mark.promise("origin.gap")
def test_a_gap_is_refused(raw: RawHouse) -> None:
    me = new_id()
    found = _attack(raw, [hello(me), push(batch(me, SOUND, first_seq=2))], "refused")
    assert [one.reason for one in found.of("refused")] == ["SEQ_GAP"]
    gone = m.VoidRange(SPACE, me, 5, 1, "OUTBOX_DAMAGED")
    found = _attack(raw, [hello(me), gone], "refused")
    assert [one.reason for one in found.of("refused")] == ["SEQ_GAP"]


@pytest.mark.promise("origin.copied")
@pytest.mark.promise("rule.idempotent-for-ever")
def test_another_commit_at_a_decided_seq_is_refused_and_the_same_is_answered_again(
    raw: RawHouse,
) -> None:
    me = new_id()
    mine = push(batch(me, create(f"again-{me.hex()}")))
    first = talk(raw, [hello(me), mine], "result")
    for _ in range(2):
        again = _attack(raw, [hello(me), mine], "result")
        assert again.of("result") == first.of("result")
    found = _attack(raw, [hello(me), push(batch(me, create("other")))], "refused")
    assert [one.reason for one in found.of("refused")] == ["ORIGIN_COPIED"]


# -- what is said beside pushes --------------------------------------------------------------------

CLAIMS: dict[str, list[Frame]] = {
    "a heartbeat of numbers beyond all": [
        HELLO, pb.ReplicateRequest(heartbeat=pb.EdgeHeartbeat(
            nonce=FAR, pending=FAR, outbox_bytes=FAR, wall_ms=FAR, alarms=["x" * 1_000] * 1_000)),
    ],
    "alarms that are no names": [
        HELLO, m.EdgeHeartbeat(1, 0, 0, 0, ("\x00", "a\nb", "é" * 500)),
    ],
    "a cursor beyond all": [
        HELLO, m.CursorReport((m.SpaceCursor(SPACE, FAR, FAR, FAR),)),
    ],
    "cursors of spaces that are not there": [
        HELLO, m.CursorReport(tuple(m.SpaceCursor(f"n{i}", 1, 1, 1) for i in range(5_000))),
    ],
    "ids at seqs beyond all": [HELLO, m.CompareIds(SPACE, ME, (1, FAR))],
    "credit beyond all": [HELLO, m.Credit(FAR, FAR)],
    "credit of nothing": [HELLO, m.Credit(0, 0)],
    "origins with seqs beyond all": [
        hello(ME, m.SpaceHello(SPACE, m.Scope(), Cursor(0, 0), (m.OriginState(ME, FAR, b""),))),
    ],
    "a software of a megabyte": [
        m.Hello("stranger", ME, HELLO.spaces, software="x" * (1 << 20)),
    ],
    "an unfounded predecessor": [
        m.Hello("stranger", ME, HELLO.spaces, predecessor=b"x", predecessor_reason="\x00NO"),
    ],
}  # fmt: skip


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize("name", CLAIMS)
def test_claims_beyond_reason_are_borne(raw: RawHouse, name: str) -> None:
    found = _attack(raw, CLAIMS[name])
    assert found.reason in {"", "PROTOCOL_VIOLATION"}, found.reason


@pytest.mark.promise("rule.above-a-fork")
@pytest.mark.parametrize(
    ("cursor", "refusal"),
    [
        (Cursor(1, 1, b""), "CURSOR_INVALID"),
        (Cursor(1, 1, b"forged" * 8), "CURSOR_INVALID"),
        (Cursor(1, 10**9, b"x" * 48), "CURSOR_INVALID"),
        (Cursor(9, 1, b"x" * 32), "CURSOR_INVALID"),
        (Cursor(FAR, FAR, b"x" * 32), "CURSOR_INVALID"),
    ],
)
def test_a_forged_cursor_is_refused(raw: RawHouse, cursor: Cursor, refusal: str) -> None:
    found = _attack(raw, [hello(new_id(), m.SpaceHello(SPACE, m.Scope(), cursor))])
    if cursor.revision > MAX_NUMBER:
        assert found.reason in {"PROTOCOL_VIOLATION", ""}
        return
    (welcome,) = found.of("welcome")
    assert [one.refusal for one in welcome.spaces] == [refusal]
    assert not found.of("changes")


# -- anything --------------------------------------------------------------------------------------


@pytest.mark.promise("stream.bad-input")
@pytest.mark.parametrize("greets", [True, False], ids=["after a hello", "at once"])
def test_any_frames_end_in_a_reason(raw: RawHouse, greets: bool) -> None:
    frames = st.lists(
        messages(pb.ReplicateRequest.DESCRIPTOR).map(lambda one: one.SerializeToString())
        | st.binary(max_size=60),
        max_size=5,
    )

    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(frames)
    def attack(said: list[bytes]) -> None:
        origin = new_id()
        found = talk(raw, [hello(origin), *said] if greets else list(said))
        assert found.reason == "" or found.reason in REASONS
        assert found.reason not in {"INTERNAL", "DATABASE"}, said
        assert {one.reason for one in found.of("refused")} <= set(REASONS)

    attack()
    raw.run(_works(raw.home))


@pytest.mark.promise("stream.bad-input")
def test_any_block_is_taken_or_refused_by_name(raw: RawHouse) -> None:
    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(messages(pb.Block.DESCRIPTOR), st.integers(0, 3), st.booleans())
    def attack(block: Any, count: int, sound: bool) -> None:
        if sound:  # what is not looked at while a column is missing
            plain = _block(commit_ids=new_id())
            plain.extras.extend(block.extras[:1])
            for name in ("base_epoch", "kinds"):
                setattr(plain, name, getattr(block, name))
            block, count = plain, 1
        me = new_id()
        found = talk(raw, [hello(me), block_push(me, block, count), m.CompareIds(SPACE, me, (1,))])
        assert found.reason in {"", "PROTOCOL_VIOLATION"}
        assert {one.reason for one in found.of("refused")} <= {"MALFORMED_BATCH"}

    attack()
    raw.run(_works(raw.home))
