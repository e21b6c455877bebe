"""Forks, differences and restoring, at both doors."""

from __future__ import annotations

import random
from typing import Any

import pytest

from holdfast import errors
from tests.house import SPACE, house

pytestmark = pytest.mark.integration

HERE: dict[str, Any] = {"space": SPACE}
DOORS = ("hub", "a")
WEIGHTS = random.Random(1).randbytes(300_000)


@pytest.mark.parametrize("name", DOORS)
async def test_a_fork_is_a_copy_that_costs_nothing(name: str) -> None:
    async with house("a") as home:
        checkpoints = home.at(name).checkpoints
        first = await checkpoints.save_checkpoint(
            "t", {"n": 1}, {"w": WEIGHTS}, metadata={"who": "x"}, **HERE
        )
        await checkpoints.save_checkpoint("t", {"n": 2}, {"w": WEIGHTS[::-1]}, **HERE)
        fork = await checkpoints.fork("t", first.id, name="again", **HERE)
        assert (fork.parent, fork.stored, fork.name) == (first.id, 0, "again")
        newest = await home.at(name).checkpoints.load_checkpoint("t", **HERE)
        assert (newest.id, newest.state["w"], newest.metadata) == (fork.id, WEIGHTS, {"who": "x"})
        after = await checkpoints.save_checkpoint("t", {"n": 3}, **HERE)
        assert after.parent == fork.id


@pytest.mark.parametrize("name", DOORS)
async def test_what_differs_is_told_without_loading_what_is_large(name: str) -> None:
    async with house("a") as home:
        checkpoints = home.at(name).checkpoints
        state = {"plan": ["a"] * 500, "step": 1}
        first = await checkpoints.save_checkpoint("t", state, {"w": WEIGHTS}, **HERE)
        await checkpoints.save_checkpoint("t", {**state, "step": 2}, {"w": WEIGHTS[1:]}, **HERE)
        found = await checkpoints.diff("t", first.id, **HERE)
        told = [(one.name, one.paths and [p.path for p in one.paths]) for one in found]
        assert told == [("state", ["/step"]), ("w", None)]
        assert await checkpoints.diff("t", first.id, first.id, **HERE) == ()


@pytest.mark.parametrize("name", DOORS)
async def test_restoring_is_a_new_checkpoint_on_the_newest(name: str) -> None:
    async with house("a") as home:
        checkpoints = home.at(name).checkpoints
        old = await checkpoints.save_checkpoint("t", {"n": 1, "k": 1}, {"w": WEIGHTS}, **HERE)
        new = await checkpoints.save_checkpoint("t", {"n": 2, "k": 2}, {"v": b"v"}, **HERE)

        async def newest() -> Any:
            return await home.at(name).checkpoints.load_checkpoint("t", **HERE)

        dry = await checkpoints.restore("t", old.id, dry_run=True, **HERE)
        assert dry.checkpoint is None
        assert [(one.name, str(one.change)) for one in dry.changes] == [
            ("state", "changed"), ("v", "removed"), ("w", "added"),
        ]  # fmt: skip
        assert (await newest()).id == new.id

        places = await checkpoints.restore("t", old.id, paths=["/n"], **HERE)
        assert [p.path for one in places.changes for p in one.paths or ()] == ["/n"]
        found = await newest()
        assert found.parts["state"].data == b'{"n":1,"k":2}'
        assert (found.parent, found.parts["v"].data) == (new.id, b"v")

        part = await checkpoints.restore("t", old.id, ["w"], **HERE)
        found = await newest()
        assert set(found.parts) == {"state", "v", "w"}
        assert part.checkpoint is not None and part.checkpoint.stored == 0

        whole = await checkpoints.restore("t", old.id, **HERE)
        assert whole.checkpoint is not None
        found = await newest()
        assert (found.id, found.metadata) == (whole.checkpoint.id, {"restored": old.id})
        assert {n: p.sha256 for n, p in found.parts.items()} == (
            {n: p.sha256 for n, p in old.parts.items()}
        )
        with pytest.raises(errors.InvalidArgument):
            await checkpoints.restore("t", old.id, ["none"], **HERE)
        with pytest.raises(errors.CheckpointNotFound):
            await checkpoints.restore("t", "none", **HERE)


async def test_the_hub_loads_what_was_the_newest_at_a_revision() -> None:
    async with house("a") as home:
        client = home.at("hub")
        first = await client.checkpoints.save_checkpoint("t", {"n": 1}, **HERE)
        assert first.receipt is not None and first.receipt.known.position is not None
        then = first.receipt.known.position.revision
        second = await client.checkpoints.save_checkpoint("t", {"n": 2}, **HERE)
        found = await client.checkpoints.load_checkpoint("t", as_of=then, **HERE)
        assert (found.id, found.state) == (first.id, {"n": 1})
        with pytest.raises(errors.CheckpointNotFound):
            await client.checkpoints.load_checkpoint("t", second.id, as_of=then, **HERE)
        await client.checkpoints.delete_thread("t", **HERE)
        found = await client.checkpoints.load_checkpoint("t", as_of=then, **HERE)
        assert found.id == first.id
