"""One document, typed by two people at two edges whose links are late, cut and healed, and who are
killed with what they typed in their outbox: in the end everybody has it as it was typed.

A small one is made from a seed. A large one is a recording of real people; `HOLDFAST_TRACES` names
the folder with it, and without it that test is skipped.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recordings.generated import generated
from tests.recordings.recording import FOLDER, Recording, read, recorded
from tests.recordings.replay import Plan, replay

pytestmark = [pytest.mark.acceptance, pytest.mark.promise("rule.text-list")]


async def _typed(recording: Recording, directory: Path, plan: Plan) -> None:
    told = await replay(recording, directory, plan)
    print(told.summary())
    assert told.conflicts == 0
    same = {door: text == recording.end for door, text in told.texts.items()}
    assert same == {"hub": True, "edge-1": True, "edge-2": True}


async def test_what_two_people_typed_at_two_edges_is_what_everybody_has(tmp_path: Path) -> None:
    plan = Plan(seed=4, longest=3, others=3, kills=1, breaks=2)
    await _typed(read(generated(4, 300)), tmp_path, plan)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.skipif(not FOLDER, reason="HOLDFAST_TRACES does not name a folder of recordings")
async def test_what_was_recorded_is_what_everybody_has(tmp_path: Path) -> None:
    await _typed(recorded(), tmp_path, Plan())
