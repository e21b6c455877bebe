"""Checkpoints at both doors: saved upon their parents, loaded anywhere, by one node at a time."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from holdfast import Actor, ActorKind, AsyncClient, PendingWrite, errors
from holdfast.client.checkpoints import new_id
from tests.house import PERSON, SPACE, house

pytestmark = pytest.mark.integration

HERE: dict[str, Any] = {"space": SPACE}
DOORS = ("hub", "a")


async def saved(client: AsyncClient, thread: str, count: int, **options: Any) -> list[str]:
    """Ids of so many checkpoints, each upon the one before."""
    found = []
    for step in range(count):
        state = {"step": step, "log": "x" * 5_000}
        one = await client.checkpoints.save_checkpoint(thread, state, **HERE, **options)
        found.append(one.id)
    return found


def found_text(state: Any) -> bytes:
    return json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()


async def listed(client: AsyncClient, thread: str, **options: Any) -> list[str]:
    return [one.id async for one in client.checkpoints.list(thread, **HERE, **options)]


@pytest.mark.promise("checkpoint.saved")
@pytest.mark.parametrize("name", DOORS)
async def test_what_was_saved_is_loaded(name: str) -> None:
    async with house("a") as home:
        client = home.at(name)
        state = {"n": 2**70, "text": "Grüße ☃", "nested": {"b": [1, 1.5, None]}}
        parts = {"small": b"", "raw": ("pickle", bytes(range(256)) * 40), "more": {"x": 1}}
        first = await client.checkpoints.save_checkpoint(
            "run/7@a", state, parts, metadata={"source": "loop"}, name="start", **HERE
        )
        second = await client.checkpoints.save_checkpoint(
            "run/7@a", {"n": 3}, unchanged=["raw"], kind="manual", schema_version="2", **HERE
        )
        assert (second.parent, second.stored, second.token) == (first.id, 0, 1)
        other = home.at(name)
        newest = await other.checkpoints.load_checkpoint("run/7@a", **HERE)
        assert (newest.id, newest.parent, newest.kind) == (second.id, first.id, "manual")
        assert newest.state == {"state": b'{"n":3}', "raw": bytes(range(256)) * 40}
        assert (newest.schema_version, newest.parts["raw"].tag) == ("2", "pickle")
        assert newest.actor == Actor("arm-1", ActorKind.ROBOT)
        old = await other.checkpoints.load_checkpoint("run/7@a", first.id, **HERE)
        assert old.parts["small"].data == b""
        assert old.parts["more"].data == b'{"x":1}'
        assert (old.metadata, old.name) == ({"source": "loop"}, "start")
        bare = await other.checkpoints.load_checkpoint(
            "run/7@a", first.id, metadata_only=True, **HERE
        )
        assert {name: part.data for name, part in bare.parts.items()} == {
            "state": found_text(state), "small": b"", "raw": None, "more": b'{"x":1}',
        }  # fmt: skip
        assert [c async for c in other.checkpoints.read_part(bare, "raw")] == [
            bytes(range(256)) * 40
        ]


@pytest.mark.parametrize("name", DOORS)
async def test_lists_are_newest_first_in_pages_and_filtered(name: str) -> None:
    async with house("a") as home:
        client = home.at(name)
        ids = await saved(client, "t", 7)
        in_other = await saved(client, "t", 2, namespace="sub", metadata={"who": "x", "n": 1})
        assert await listed(client, "t") == ids[::-1]
        assert await listed(client, "t", page_size=2) == ids[::-1]
        assert await listed(client, "t", before=ids[3]) == ids[2::-1]
        assert await listed(client, "t", namespace="sub") == in_other[::-1]
        assert sorted(await listed(client, "t", namespace=None)) == sorted(ids + in_other)
        assert await listed(client, "t", namespace=None, metadata={"who": "x"}) == in_other[::-1]
        assert await listed(client, "t", kinds=["manual"]) == []
        assert await listed(client, "t", named=True) == []
        threads = [one async for one in client.checkpoints.threads(**HERE)]
        assert [(one.id, dict(one.heads)) for one in threads] == [
            ("t", {"": ids[-1], "sub": in_other[-1]})
        ]


@pytest.mark.promise("checkpoint.one-goes-on")
@pytest.mark.parametrize("name", DOORS)
async def test_a_stale_parent_is_refused_unless_a_fork_is_asked_for(name: str) -> None:
    async with house("a") as home:
        client, other = home.at(name), home.at(name, PERSON)
        ids = await saved(client, "t", 3)
        with pytest.raises(errors.StaleParent) as stale:
            await other.checkpoints.save_checkpoint("t", {"x": 1}, parent=ids[0], **HERE)
        assert stale.value.metadata["head"] == ids[-1]
        with pytest.raises(errors.StaleParent):
            await other.checkpoints.save_checkpoint("t", {"x": 1}, parent=None, **HERE)
        with pytest.raises(errors.CheckpointNotFound):
            await other.checkpoints.save_checkpoint("t", {}, parent=new_id(), fork=True, **HERE)
        fork = await other.checkpoints.save_checkpoint(
            "t", {"x": 1}, parent=ids[0], fork=True, **HERE
        )
        assert (await client.checkpoints.load_checkpoint("t", **HERE)).id == fork.id
        with pytest.raises(errors.AlreadyExists):
            await other.checkpoints.save_checkpoint("t", {}, id=ids[1], **HERE)
        with pytest.raises(errors.ThreadNotFound):
            await other.checkpoints.save_checkpoint("u", {}, parent=ids[0], **HERE)


@pytest.mark.promise("checkpoint.one-goes-on")
@pytest.mark.parametrize("name", DOORS)
async def test_of_two_saves_on_one_head_one_succeeds(name: str) -> None:
    async with house("a") as home:
        clients = [home.at(name) for _ in range(6)]
        (head,) = await saved(clients[0], "t", 1)

        async def save(client: AsyncClient, n: int) -> bool:
            try:
                await client.checkpoints.save_checkpoint("t", {"n": n}, parent=head, **HERE)
            except errors.StaleParent:
                return False
            return True

        done = await asyncio.gather(*(save(client, n) for n, client in enumerate(clients)))
        assert sum(done) == 1
        assert len(await listed(clients[0], "t")) == 2


@pytest.mark.promise("checkpoint.repeat")
@pytest.mark.parametrize("name", DOORS)
async def test_a_repeated_save_is_answered_with_the_first_answer(name: str) -> None:
    async with house("a") as home:
        client = home.at(name)
        ids = await saved(client, "t", 1)
        known: Any = {"id": new_id(ids[0]), "commit_id": bytes(range(16)), "parent": ids[0]}
        first = await client.checkpoints.save_checkpoint("t", {"n": 1}, **known, **HERE)
        await saved(client, "t", 1)
        again = await client.checkpoints.save_checkpoint("t", {"n": 1}, **known, **HERE)
        assert (again.id, again.parent) == (first.id, ids[0])
        assert again.receipt is not None and first.receipt is not None
        assert again.receipt.commit_id == first.receipt.commit_id
        assert len(await listed(client, "t")) == 3


@pytest.mark.parametrize("name", DOORS)
async def test_what_tasks_have_written_is_kept_with_the_checkpoint(name: str) -> None:
    async with house("a") as home:
        client = home.at(name)
        one = await client.checkpoints.save_checkpoint("t", {"n": 1}, **HERE)
        large = random.Random(7).randbytes(50_000)
        await client.checkpoints.put_writes(
            one, [PendingWrite("t1", 0, "out", b"a"), PendingWrite("t1", -1, "err", b"old")]
        )
        await client.checkpoints.put_writes(
            one, [PendingWrite("t1", 0, "out", b"later"), PendingWrite("t1", -1, "err", b"new")]
        )
        await client.checkpoints.put_writes(one, [PendingWrite("t2/x", 3, "out", large, "raw")])
        await client.checkpoints.put_writes(one, [PendingWrite("t2/x", 3, "out", large, "raw")])
        found = (await client.checkpoints.load_checkpoint("t", **HERE)).writes
        told = [(w.task_id, w.index, w.channel, w.data) for w in found]
        assert told == [
            ("t1", -1, "err", b"new"), ("t1", 0, "out", b"a"), ("t2/x", 3, "out", large),
        ]  # fmt: skip
        (listing,) = [c async for c in client.checkpoints.list("t", with_writes=True, **HERE)]
        assert listing.writes == found


@pytest.mark.parametrize("name", DOORS)
async def test_a_large_state_goes_in_chunks(name: str) -> None:
    async with house("a") as home:
        client = home.at(name)
        state = bytearray(random.Random(1).randbytes(16 << 20))
        first = await client.checkpoints.save_checkpoint("t", bytes(state), **HERE)
        state[5 << 20] ^= 1
        second = await client.checkpoints.save_checkpoint("t", bytes(state), **HERE)
        assert first.size == second.size == 16 << 20
        other = home.at(name)
        assert (await other.checkpoints.load_checkpoint("t", **HERE)).state == bytes(state)
        state[5 << 20] ^= 1
        found = await other.checkpoints.load_checkpoint("t", first.id, **HERE)
        assert found.state == bytes(state)


async def test_a_checkpoint_saved_at_one_edge_is_loaded_at_another_and_at_the_hub() -> None:
    async with house("a", "b") as home:
        client = home.at("a")
        ids = await saved(client, "t", 40)
        await home.settled()
        for name in ("hub", "b"):
            other = home.at(name, PERSON)
            for id_ in (ids[-1], ids[0], ids[17]):
                found = await other.checkpoints.load_checkpoint("t", id_, **HERE)
                assert found.state == {"step": ids.index(id_), "log": "x" * 5_000}
            with pytest.raises(errors.StaleAuthority):
                await other.checkpoints.save_checkpoint("t", {}, parent=ids[-1], **HERE)


async def test_a_run_moves_from_one_edge_to_another() -> None:
    async with house("a", "b") as home:
        here, there = home.at("a"), home.at("b")
        ids = await saved(here, "t", 3)
        await here.synced(SPACE)
        with pytest.raises(errors.PreconditionFailed) as held:
            await there.checkpoints.take("t", **HERE)
        assert held.value.reason == "AUTHORITY_HELD"
        await here.checkpoints.release("t", **HERE)
        await here.synced(SPACE)
        with pytest.raises(errors.StaleAuthority):
            await here.checkpoints.save_checkpoint("t", {}, **HERE)
        taken = await there.checkpoints.take("t", **HERE)
        assert (taken.token, taken.held_here) == (3, True)
        last = await there.checkpoints.load_checkpoint("t", **HERE)
        assert last.id == ids[-1]
        on = await there.checkpoints.save_checkpoint("t", {"step": 3}, **HERE)
        await home.settled()
        assert (await here.checkpoints.load_checkpoint("t", **HERE)).id == on.id
        with pytest.raises(errors.StaleAuthority):
            await here.checkpoints.save_checkpoint("t", {}, **HERE)


@pytest.mark.promise("checkpoint.saved")
async def test_an_edge_saves_and_loads_without_a_network() -> None:
    async with house("a", "b") as home:
        client = home.at("a")
        await home.pause("a")
        ids = await saved(client, "t", 5)
        found = await client.checkpoints.load_checkpoint("t", ids[2], **HERE)
        assert found.state["step"] == 2
        await home.end("a")
        await home.start_edge("a")
        assert await listed(client, "t") == ids[::-1]
        await home.resume("a")
        await home.settled()
        there = home.at("b")
        assert await listed(there, "t") == ids[::-1]
        found = await there.checkpoints.load_checkpoint("t", **HERE)
        assert found.state["step"] == 4


@pytest.mark.promise("checkpoint.deleted")
@pytest.mark.parametrize("name", DOORS)
async def test_a_deleted_thread_is_gone_and_no_late_save_brings_it_back(name: str) -> None:
    async with house("a") as home:
        client, late = home.at(name), home.at(name)
        ids = await saved(client, "t", 3)
        one = await late.checkpoints.load_checkpoint("t", **HERE)
        await late.checkpoints.put_writes(one, [PendingWrite("x", 0, "c", b"1")])
        assert await client.checkpoints.delete_thread("t", **HERE) == 3
        for call in (
            late.checkpoints.load_checkpoint("t", **HERE),
            late.checkpoints.load_checkpoint("t", ids[0], **HERE),
            late.checkpoints.save_checkpoint("t", {"late": 1}, **HERE),
            late.checkpoints.put_writes(one, [PendingWrite("x", 1, "c", b"1")]),
        ):
            with pytest.raises(errors.ThreadNotFound):
                await call
        assert await client.checkpoints.delete_thread("t", **HERE) == 0
        assert [one async for one in client.checkpoints.threads(**HERE)] == []


@pytest.mark.promise("checkpoint.pruned")
@pytest.mark.parametrize("name", DOORS)
async def test_pruning_keeps_what_stays_as_it_was(name: str) -> None:
    async with house("a") as home:
        client = home.at(name)
        ids = []
        for step in range(40):
            options: Any = {"name": "first"} if step == 3 else {}
            one = await client.checkpoints.save_checkpoint(
                "t", {"step": step, "log": str(step) * 4_000}, **HERE, **options
            )
            ids.append(one.id)
        told = await client.checkpoints.prune("t", last=5, dry_run=True, **HERE)
        assert (len(told.gone), told.kept) == (34, 6)
        assert len(await listed(client, "t")) == 40
        done = await client.checkpoints.prune("t", last=5, **HERE)
        assert done.gone == told.gone and done.freed > 0
        assert await listed(client, "t") == [*ids[:-6:-1], ids[3]]
        for step in (3, 35, 37, 39):
            found = await client.checkpoints.load_checkpoint("t", ids[step], **HERE)
            assert found.state == {"step": step, "log": str(step) * 4_000}
        await client.checkpoints.load_checkpoint("t", **HERE)
        await client.checkpoints.save_checkpoint("t", {"step": 40}, **HERE)
