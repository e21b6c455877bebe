"""A write at the hub's own door: decided and on its disk when it is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import errors
from tests.daemons import HubProcess

pytestmark = pytest.mark.acceptance

PATH = "site/parts/1"


@pytest.mark.promise("write.hub-client")
async def test_what_the_hub_has_answered_survives_kill_9(tmp_path: Path) -> None:
    with HubProcess(tmp_path / "hub") as hub:
        for n in range(1, 4):
            async with hub.client() as client:
                receipt = await client.put(PATH, {"n": n})
                hub.kill()
            outcome = receipt.known
            assert outcome.position is not None
            assert (outcome.kind, outcome.position.revision) == ("applied", n), "decided already"
            hub.start()
            async with hub.client() as client:
                found = await client.get(PATH)
                assert found is not None
                assert found.value == {"n": n}
                with pytest.raises(errors.RevisionMismatch):
                    await client.put(PATH, {"n": 0}, if_absent=True)
                assert (await client.get(PATH)) == found
