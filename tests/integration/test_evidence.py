"""Whoever says that it went well says where, how much, and of which state."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from edge_agent.commands import cli
from tests.house import SPACE, House
from tests.integration.raw import RawHouse, raw_house

pytestmark = [pytest.mark.integration, pytest.mark.promise("rule.success-with-evidence")]


@pytest.fixture(scope="module")
def raw() -> Iterator[RawHouse]:
    with raw_house() as made:
        yield made


def edge_agent(raw: RawHouse, *arguments: str) -> Result:
    given = ["--socket", str(raw.home.socket("a"))]
    return CliRunner().invoke(cli, [arguments[0], *given, *arguments[1:]])


async def _written(home: House) -> None:
    for n in range(5):
        await home.at("a").put(f"{SPACE}/parts/{n}", {"n": n})


async def _hub(home: House) -> tuple[int, dict[str, tuple[int, int]]]:
    info = (await home.hub_spaces())[SPACE]
    return info.head.revision, {d.collection: (d.digest, d.records) for d in info.digests}


def test_waiting_until_synced_says_position_count_and_digest(raw: RawHouse) -> None:
    """It once said no more than that it was so."""
    raw.run(_written(raw.home))
    done = edge_agent(raw, "wait", "--synced", "--timeout", "20s", "--json", SPACE)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    revision, digests = raw.run(_hub(raw.home))
    (space,) = said["spaces"]
    assert said["synced"] is True
    assert (space["space"], space["revision"], space["pending"]) == (SPACE, revision, 0)
    assert space["digests"] == {
        name: {"digest": f"{digest:016x}", "records": count}
        for name, (digest, count) in digests.items()
    }
    done = edge_agent(raw, "wait", "--synced", "--timeout", "20s")
    digest = sum(digest for digest, _ in digests.values()) % 2**64
    assert f"{SPACE} at {revision}, 5 records, digest {digest:016x}" in done.output


def test_a_write_says_its_name_and_where_it_stands(raw: RawHouse) -> None:
    done = edge_agent(raw, "put", f"{SPACE}/parts/1", "n=7", "--wait", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["outcome"] == "applied"
    assert said["seq"] >= 1 and said["revision"] >= 1 and len(said["commit_id"]) == 32
