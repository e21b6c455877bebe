"""Reading a batch by column gives what reading it commit by commit gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import outbox_rows
from edge_agent.outbox_rows import Limits
from sync.batch import Batch
from sync.messages import VoidRange
from sync.reduce import Put
from tests.edges import edge_at

LIMITS = (Limits(1, 1 << 20), Limits(4, 1 << 20), Limits(100, 1 << 20), Limits(100, 40))


async def test_both_ways_of_reading_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with edge_at(tmp_path / "edge") as edge:

        async def read() -> list[Batch | VoidRange]:
            outbox, found = edge.files.outbox, []
            for limits in LIMITS:
                for after in range(outbox.counter("site", 1).last_seq):
                    one = await edge.files.in_outbox(
                        lambda c, a=after, at=limits: outbox.read(  # type: ignore[misc]
                            c, "site", outbox.origin.id, a, at
                        )
                    )
                    assert one is not None
                    found.append(one)
            return found

        for number in range(6):
            await edge.put(f"k{number}", b'{"a":%d}' % number)
        assert [one.keys for one in await read() if isinstance(one, Batch)][-1] == ("k5",)
        await edge.commit(*[Put("things", f"m{n}", b'{"b":1}') for n in range(3)])
        await edge.put("k9", b'{"a":9}')
        by_column = await read()
        monkeypatch.setattr(outbox_rows, "_single", lambda *_: False)
        assert await read() == by_column
