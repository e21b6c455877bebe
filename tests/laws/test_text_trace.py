"""Two people who typed one document together: replayed by two edges' stores and a hub that
is a dictionary. Some documents are made up, one is a recording of two people.

Each edge writes exactly when it has taken what the author had before him, and no more. In the end
everybody has what the recording ends with, byte for byte. The same by daemons and links is in
tests/acceptance/test_typed_together.py.

`HOLDFAST_TRACES` names the folder with the recording; without it that test is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from edge_agent.outbox_rows import Limits
from sync.batch import Batch
from sync.reduce import SpliceFields
from sync.transform import Splice, compose, extended, splice
from tests.edges import SPACE, DictHub, Edge, open_edge
from tests.recordings.generated import generated
from tests.recordings.recording import FOLDER, Recording, Turn, read, recorded, turns


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
    await _replayed(recorded(), tmp_path, 1_000)


@pytest.mark.promise("rule.text-list")
@pytest.mark.parametrize("seed", range(1, 6))
async def test_a_made_up_document_ends_as_it_was_typed(tmp_path: Path, seed: int) -> None:
    await _replayed(read(generated(seed, 300)), tmp_path, 40)


async def _replayed(recording: Recording, directory: Path, restart_every: int) -> None:
    replay = Replay(directory)
    await replay.begin()
    for number, turn in enumerate(turns(recording), start=1):
        await replay.type(turn)
        if number % restart_every == 0:
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
    assert [end == recording.end for end in ends] == [True] * 3
