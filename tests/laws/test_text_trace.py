"""Two people who typed one document together, really: replayed by two edges and a hub.

The recording (of the public collection of editing traces, CC BY 4.0, format "concurrent") is a
graph: each transaction names those that its author had seen, and its positions are in the document
that they made together. So each edge writes exactly when it has taken what the author had before
him, and no more; the rest waits behind a cut link. In the end everybody has what the recording
ends with, byte for byte.

`HOLDFAST_TRACES` names the folder with `friendsforever.json.gz`; without it the test is skipped.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from edge_agent.outbox_rows import Limits
from sync.batch import Batch
from sync.reduce import SpliceFields
from sync.transform import Splice, compose, extended, splice
from tests.edges import SPACE, DictHub, Edge, open_edge

FOLDER = os.environ.get("HOLDFAST_TRACES", "")
TRACE = "friendsforever.json.gz"
OPS = 200
"""Keystrokes of a commit at most: an editor sends what was typed since it last did."""


@dataclass
class Turn:
    """What an author typed without a look at what was new: `seen` keystrokes of the other."""

    author: int
    seen: int
    edits: list[list[list[Any]]]


Row = tuple[int, list[list[Any]]]
"""How many keystrokes of the other an author had seen, and what he then did."""


def rows_of(transactions: list[dict[str, Any]]) -> tuple[list[Row], list[Row]]:
    """What each author typed, in order."""
    seen_by: list[list[int]] = []
    rows: tuple[list[Row], list[Row]] = ([], [])
    for one in transactions:
        author = one["agent"]
        known = [max((seen_by[p][who] for p in one["parents"]), default=0) for who in (0, 1)]
        assert known[author] == len(rows[author]), "an author has seen all that he typed himself"
        rows[author].append((known[1 - author], one["patches"]))
        known[author] += 1
        seen_by.append(known)
    return rows


def turns(transactions: list[dict[str, Any]]) -> Iterator[Turn]:
    """The recording, cut where somebody saw the other's keystrokes up to there. The first author's
    reach the hub as soon as they can, the other's link is cut as long as that goes on: so who typed
    at one place at one time is not mixed letter by letter."""
    rows = rows_of(transactions)
    ends = [{seen for seen, _ in rows[1 - who]} for who in (0, 1)]
    done = [0, 0]
    while any(done[who] < len(rows[who]) for who in (0, 1)):
        for who in (0, 1):
            turn: Turn | None = None
            while done[who] < len(rows[who]) and rows[who][done[who]][0] <= done[1 - who]:
                seen, patches = rows[who][done[who]]
                turn = turn or Turn(who, seen, [])
                if seen != turn.seen:
                    break
                turn.edits.append(patches)
                done[who] += 1
                if done[who] in ends[who] or len(turn.edits) == OPS:
                    break
            if turn is not None:
                yield turn
                break


def _edit(patches: list[list[Any]], length: int) -> Splice:
    edit = splice([length])
    for at, deleted, inserted in patches:
        edit = compose(edit, extended(splice([at, inserted, -deleted]), edit.after))
    return edit


class Replay:
    """The hub, and an edge for each author."""

    def __init__(self, root: Path) -> None:
        self.root, self.hub = root, DictHub()
        self.hub.set_policy("pages", b'{"fields":{"body":"text"}}')
        self.edges: list[Edge] = []
        self.counts: list[list[int]] = [[], []]
        """Keystrokes of each commit that an author's edge took, in order."""
        self.pushed = [0, 0]
        self.decided: list[dict[int, int]] = [{0: 1}, {0: 1}]
        """By how many keystrokes of an author are decided: the revision at which they were."""

    async def open(self, who: int) -> Edge:
        return await open_edge(self.root / str(who), who + 1)

    async def begin(self) -> None:
        self.edges = [await self.open(0), await self.open(1)]
        for edge in self.edges:
            await edge.pull(self.hub)

    async def type(self, turn: Turn) -> None:
        await self.heal(turn)
        edge = self.edges[turn.author]
        value = await edge.value("1", "pages")
        length = len(orjson.loads(value).get("body", "")) if value else 0
        requests = []
        for patches in turn.edits:
            edit = _edit(patches, length)
            requests.append(SpliceFields("pages", "1", (("body", edit),)))
            length = edit.after
        await edge.commit(*requests)
        self.counts[turn.author].append(len(turn.edits))
        await self.push(turn.author)

    async def heal(self, turn: Turn) -> None:
        """The author's edge gets what he had seen of the other, and no more."""
        other = 1 - turn.author
        edge, revision = self.edges[turn.author], self.decided[other][turn.seen]
        while (await edge.reads.standing(SPACE)).cursor.revision < revision:
            await edge.pull(self.hub, 1)

    async def push(self, who: int) -> None:
        """One more commit of an author's edge is decided."""
        edge = self.edges[who]
        done, _ = self.hub.marks.get(edge.origin, (0, b""))
        commit = await edge.files.in_outbox(
            lambda c: edge.files.outbox.read(c, SPACE, edge.origin, done, Limits(1, 1 << 20))
        )
        assert isinstance(commit, Batch)
        self.hub.push(commit)
        count = max(self.decided[who]) + self.counts[who][self.pushed[who]]
        self.pushed[who] += 1
        self.decided[who][count] = self.hub.head

    async def restart(self, who: int) -> None:
        await self.edges[who].close()
        self.edges[who] = await self.open(who)


@pytest.mark.promise("rule.text-list")
@pytest.mark.skipif(not FOLDER, reason="HOLDFAST_TRACES does not name a folder of recordings")
@pytest.mark.timeout(1_800)
async def test_a_real_document_ends_as_it_was_typed(tmp_path: Path) -> None:
    recording = json.loads(gzip.decompress((Path(FOLDER) / TRACE).read_bytes()))
    replay = Replay(tmp_path)
    await replay.begin()
    for number, turn in enumerate(turns(recording["txns"]), start=1):
        await replay.type(turn)
        if number % 1_000 == 0:
            await replay.restart(turn.author)
    for edge in replay.edges:
        await edge.push(replay.hub)
    for edge in replay.edges:
        await edge.pull(replay.hub)
    ends = [orjson.loads(await edge.value("1", "pages") or b"{}")["body"] for edge in replay.edges]
    ends.append(orjson.loads(replay.hub.records["pages", "1"].value)["body"])
    for edge in replay.edges:
        await edge.close()
    assert replay.hub.conflicts == []
    assert [end == recording["endContent"] for end in ends] == [True] * 3
