"""Edges on real files and a hub that edit texts and lists: what is written is never lost.

Links are slow, batches are cut anywhere, daemons start again, replicas are lost. In the end
everybody has the same, what survives is what was inserted less what was deleted, and the hub could
place every edit: it knew at every moment what each author had before him.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import orjson
import pytest

from edge_agent import reconcile
from holdfast.host.refusal import Refusal
from sync.commit import OutcomeKind
from sync.reduce import Patch, SpliceFields
from sync.transform import Run, Splice, splice
from tests.edges import SPACE, DictHub, Edge, open_edge

KEY = "page"
POLICY = b'{"fields":{"body":"text","plan":"list"}}'


def _edit(random: Random, length: int, letter: str, *, plan: bool) -> Splice:
    runs: list[Run] = []
    while length:
        count = random.randint(1, length)
        length -= count
        if random.random() < 0.3:
            runs.append((orjson.dumps(letter),) if plan else letter * random.randint(1, 2))
        runs.append(count if random.random() < 0.7 else -min(count, 2))
        if runs[-1] == -min(count, 2) and count > 2:
            runs.append(count - 2)
    last: Run = (b"[1.0]",) if plan else letter
    return splice([*runs, last])


async def _documents(edge: Edge) -> tuple[str, list[object]]:
    value = orjson.loads(await edge.value(KEY, "docs") or b"{}")
    return value.get("body", ""), value.get("plan", [])


class Story:
    """One seed."""

    def __init__(self, seed: int, root: Path) -> None:
        self.random = Random(seed)
        self.root = root
        self.hub = DictHub()
        self.hub.set_policy("docs", POLICY)
        self.edges: list[Edge] = []
        self.letters = iter(map(chr, range(0x4E00, 0x9000)))

    async def begin(self) -> None:
        for number in range(self.random.randint(2, 3)):
            self.edges.append(await open_edge(self.root / str(number), number + 1))
        for edge in self.edges:
            await edge.pull(self.hub)

    async def write(self, edge: Edge) -> None:
        body, plan = await _documents(edge)
        letter, kind = next(self.letters), self.random.random()
        if kind < 0.1:
            await edge.commit(Patch("docs", KEY, orjson.dumps({"title": letter})))
        elif kind < 0.25:  # reduced to a splice where it is accepted
            await edge.commit(Patch("docs", KEY, orjson.dumps({"body": body[1:] + letter})))
        elif kind < 0.4:
            edit = _edit(self.random, len(plan), letter, plan=True)
            await edge.commit(SpliceFields("docs", KEY, (("plan", edit),)))
        else:
            edit = _edit(self.random, len(body), letter, plan=False)
            await edge.commit(SpliceFields("docs", KEY, (("body", edit),)))

    async def restart(self, index: int) -> None:
        number = index + 1
        await self.edges[index].close()
        self.edges[index] = await open_edge(self.root / str(index), number + 100 * number)

    async def step(self) -> None:
        index = self.random.randrange(len(self.edges))
        edge, kind = self.edges[index], self.random.random()
        if kind < 0.5:
            try:
                await self.write(edge)
            except Refusal as refusal:  # the replica is on its way back to where its edits were
                if refusal.reason != "REVISION_MISMATCH":
                    raise
        elif kind < 0.7:
            for batch in await edge.undecided(self.random.randint(1, 3), offer=True):
                self.hub.push(batch)
                if self.random.random() < 0.5:
                    break
        elif kind < 0.94:
            await edge.pull(self.hub, self.random.randint(1, 5))
        elif kind < 0.97:
            await self.restart(index)
        else:
            await reconcile.reset_replica(edge.files, SPACE, "TEST")
            await edge.pull(self.hub, self.random.randint(1, 5))  # the policies come first

    async def end(self) -> None:
        for edge in self.edges:
            await edge.push(self.hub)
        for edge in self.edges:
            await edge.pull(self.hub)

    async def close(self) -> None:
        for edge in self.edges:
            await edge.close()


@pytest.mark.promise("rule.text-list")
@pytest.mark.parametrize("seed", range(40))
async def test_all_edges_end_with_the_document_of_the_hub(seed: int, tmp_path: Path) -> None:
    story = Story(seed, tmp_path)
    await story.begin()
    for _ in range(60):
        await story.step()
    await story.end()
    hub = orjson.loads(story.hub.records["docs", KEY].value)
    for edge in story.edges:
        assert orjson.loads(await edge.value(KEY, "docs") or b"{}") == hub
    await story.close()
    assert [c for c in story.hub.conflicts if c.field != "title"] == []
    outcomes = {one.outcome(i).kind for one in story.hub.log for i in range(len(one.batch))}
    assert outcomes <= {OutcomeKind.APPLIED, OutcomeKind.MERGED, OutcomeKind.SUPERSEDED}
