"""What the doctor looks at, and that it says what to do about each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.shell.doctor import directory, judged, sqlite

WELL: dict[str, Any] = {
    "hub": "127.0.0.1:7443",
    "link": "streaming",
    "connected": True,
    "link_reason": None,
    "alarms": [],
    "outbox_bytes": 10,
    "outbox_limit_bytes": 1_000,
}


def _reached(_: str) -> None:
    """The hub answers."""


def _not_ok(status: dict[str, Any], reach: Any = _reached) -> dict[str, str]:
    return {one.name: one.fix for one in judged(WELL | status, reach) if one.fix}


def test_an_edge_that_is_well() -> None:
    assert _not_ok({}) == {}
    assert sqlite().fix == ""


@pytest.mark.parametrize(
    ("status", "name", "fix"),
    [
        ({"link": "paused", "connected": False}, "link", "edge-agent resume"),
        ({"link": "connecting", "connected": False}, "link", "log"),
        ({"alarms": ["OUTBOX_FULL"]}, "alarms", "docs/operations.md"),
        ({"outbox_bytes": 900}, "outbox", "--outbox-limit"),
    ],
)
def test_what_is_the_matter_has_a_fix(status: dict[str, Any], name: str, fix: str) -> None:
    found = _not_ok(status)
    assert list(found) == [name]
    assert fix in found[name]


def test_a_hub_that_does_not_answer() -> None:
    def refused(_: str) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    assert "--hub" in _not_ok({}, refused)["hub"]


def test_a_directory(tmp_path: Path) -> None:
    (absent,) = directory(tmp_path / "absent")
    assert "no directory" in absent.found
    tmp_path.chmod(0o755)
    assert f"chmod 700 {tmp_path}" in [one.fix for one in directory(tmp_path)]
    tmp_path.chmod(0o700)
    assert [one.fix for one in directory(tmp_path) if one.name == "directory"] == [""]
