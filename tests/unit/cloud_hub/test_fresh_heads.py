"""Heads are read after they were asked for, and one statement answers all who asked meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloud_hub.fresh_heads import FreshHeads
from cloud_hub.heads import Head
from cloud_hub.storage.driver import StorageUnavailable


class _Database:
    """Answers with the revision that it has when a statement begins, once it is let go on."""

    def __init__(self) -> None:
        self.revision = 1
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.fails = False

    async def read(self, work: Any) -> Any:
        return await work(self)

    async def fetch_by(self, _name: str, columns: Any) -> list[tuple[Any, ...]]:
        revision = self.revision
        self.begun.set()
        await self.go.wait()
        if self.fails:
            raise StorageUnavailable("gone")
        return [(space, 1, revision, b"t" * 16, 0) for space in columns[0]]


def _fresh(database: _Database) -> FreshHeads:
    return FreshHeads(database)  # type: ignore[arg-type]


async def test_who_asks_while_a_statement_runs_is_answered_by_the_next() -> None:
    database = _Database()
    fresh = _fresh(database)
    first = asyncio.create_task(fresh.of(["a"]))
    await database.begun.wait()
    database.revision = 2  # decided after the statement had begun
    later = [asyncio.create_task(fresh.of([name])) for name in ("a", "b", "a")]
    await asyncio.sleep(0)
    database.go.set()
    assert (await first)["a"].revision == 1
    answers = await asyncio.gather(*later)
    assert [head.revision for answer in answers for head in answer.values()] == [2, 2, 2]
    assert [set(answer) for answer in answers] == [{"a"}, {"b"}, {"a"}]
    assert fresh.statements == 2


async def test_a_failure_is_told_to_all_and_the_next_is_answered() -> None:
    database = _Database()
    database.fails = True
    database.go.set()
    fresh = _fresh(database)
    for failed in await asyncio.gather(fresh.of("a"), fresh.of("b"), return_exceptions=True):
        assert isinstance(failed, StorageUnavailable)
    database.fails = False
    assert isinstance((await fresh.of(["a"]))["a"], Head)


async def test_an_asker_who_has_left_holds_nobody_up() -> None:
    database = _Database()
    fresh = _fresh(database)
    leaving, staying = (asyncio.create_task(fresh.of([name])) for name in "ab")
    await database.begun.wait()
    leaving.cancel()
    database.go.set()
    assert set(await staying) == {"b"}
    with pytest.raises(asyncio.CancelledError):
        await leaving
