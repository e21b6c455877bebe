"""The examples of docs/client.md, run as printed, with a hub behind them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract import doors
from tests.contract.test_client_contract import declare

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


async def test_the_examples_work_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOLDFAST_SOCKET", raising=False)
    assert len(BLOCKS) >= 8
    names: dict[str, Any] = {}
    async with doors.opened("hub", tmp_path) as door:
        monkeypatch.setenv("HOLDFAST_ADDRESS", door.address)
        await declare(door, "default", "pages", '{"fields": {"body": "text", "plan": "list"}}')
        try:
            for block in BLOCKS:
                await asyncio.to_thread(exec, block, names)
        finally:
            await asyncio.to_thread(names["client"].close)
