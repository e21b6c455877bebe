"""The examples of the pages about the client, run as printed, with a hub behind them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract import doors
from tests.contract.test_client_contract import declare

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [("client.md", 8), ("workflows.md", 5), ("checkpoints.md", 7)]


@pytest.mark.parametrize(("page", "least"), PAGES)
async def test_the_examples_work_as_printed(
    page: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DOCS / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    monkeypatch.delenv("HOLDFAST_SOCKET", raising=False)
    assert len(blocks) >= least
    names: dict[str, Any] = {}
    async with doors.opened("hub", tmp_path) as door:
        monkeypatch.setenv("HOLDFAST_ADDRESS", door.address)
        await declare(door, "default", "pages", '{"fields": {"body": "text", "plan": "list"}}')
        try:
            for block in blocks:
                await asyncio.to_thread(exec, block, names)
        finally:
            await asyncio.to_thread(names["client"].close)
