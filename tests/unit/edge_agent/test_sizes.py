"""Whatever an edge takes fits a message to the hub, and what it cannot read does not harm it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.intake import Intake, Unreadable
from edge_agent.stream import PUSH_BYTES
from holdfast.host.refusal import Refusal
from sync import codec
from sync.batch import Batch
from sync.codec import MAX_BLOCK_BYTES
from sync.commit import Precondition
from sync.messages import Scope
from sync.reduce import Patch, Put
from tests.edges import SPACE, DictHub, edge_at


@pytest.mark.parametrize("letter", ["k", "\N{EARTH GLOBE EUROPE-AFRICA}"])
async def test_long_keys_and_preconditions_fill_a_push_as_values_do(
    tmp_path: Path, letter: str
) -> None:
    """A push larger than a block may be ended the stream each time, and nothing got through."""
    length = 500 // len(letter.encode())
    async with edge_at(tmp_path) as edge:
        for n in range(300):
            keys = [f"{n:04}-{m:02}{letter * length}"[:length] for m in range(30)]
            puts = [Put("things", key, b"{}") for key in keys[:20]]
            absent = [Precondition("things", key + "x", exists=False) for key in keys[20:]]
            await edge.commit(*puts, preconditions=absent)
        sizes = []
        for one in await edge.undecided():
            assert isinstance(one, Batch)
            sizes.append(len(codec.encode_block(one)))
        assert max(sizes) <= MAX_BLOCK_BYTES
        assert sum(sizes) > MAX_BLOCK_BYTES >= 2 * PUSH_BYTES


async def test_a_patch_of_many_whole_records_is_refused_where_it_is_written(
    tmp_path: Path,
) -> None:
    """It asks for little and means all of them: the hub could not take it, and it was lost."""
    hub = DictHub()
    hub.set_policy("whole", b'{"granularity":"record"}')
    text = b'{"text":"%s"}' % (b"x" * 200_000)
    async with edge_at(tmp_path) as edge:
        await edge.sync(hub)
        for n in range(8):
            await edge.put(f"k{n}", text, "whole")
        with pytest.raises(Refusal, match="larger") as caught:
            await edge.commit(*(Patch("whole", f"k{n}", b'{"n":1}') for n in range(8)))
        assert caught.value.reason == "COMMIT_TOO_LARGE"
        assert await edge.value("k1", "whole") == text
        assert (await edge.sync(hub)).equal


async def test_a_batch_that_cannot_be_read_leaves_the_replica_as_it_is(tmp_path: Path) -> None:
    """It once made the replica begin from zero, again and again."""
    hub = DictHub()
    for n in range(4):
        hub.write(Put("things", f"k{n}", b'{"n":1}'))
    changes = [arrival.changes for arrival in hub.after(0)]
    changes[2] = replace(changes[2], block=b"\xff" * 9, block_bytes=9)
    async with edge_at(tmp_path) as edge:
        intake = Intake(edge.files, {SPACE: Scope()}, lambda *_: None, lambda *_: None)
        with pytest.raises(Unreadable, match="revision 3"):
            await intake.apply(SPACE, changes, "identity")
        with pytest.raises(Unreadable):
            await intake.apply(SPACE, changes[2:], "identity")
        assert edge.files.rebuilds == {}
        assert set(await edge.state()) == {("things", "k0"), ("things", "k1")}
