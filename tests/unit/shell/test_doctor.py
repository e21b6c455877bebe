"""What the doctor looks at, and that it says what to do about each."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from holdfast.shell import checks
from holdfast.shell.checks import clock, directory, integrity, skew, sqlite
from holdfast.shell.doctor import judged, judged_edges

WELL: dict[str, Any] = {
    "hub": "127.0.0.1:7443",
    "link": "streaming",
    "connected": True,
    "link_reason": None,
    "alarms": [],
    "clock_skew_ms": 40,
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
        ({"clock_skew_ms": -3_600_000}, "clock skew", "timedatectl"),
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


def _database(path: Path, rows: int = 2_000) -> Path:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, text TEXT)")
    connection.executemany("INSERT INTO things (text) VALUES (?)", [("x" * 50,)] * rows)
    connection.commit()
    connection.close()
    return path


@pytest.mark.promise("doctor.remedies")
def test_a_damaged_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    whole, damaged = _database(tmp_path / "whole.db"), _database(tmp_path / "damaged.db")
    text = damaged.read_bytes()
    damaged.write_bytes(text[:4_096] + b"\x99" * 8_192 + text[12_288:])
    no_database = tmp_path / "no.db"
    no_database.write_text("a letter")
    files = [whole, damaged, no_database, tmp_path / "absent.db"]
    found = {one.name: one for one in integrity((path, f"mend {path.name}") for path in files)}
    assert found["whole.db"].fix == ""
    assert found["whole.db"].found.endswith(", ok")
    assert found["damaged.db"].fix == "mend damaged.db"
    assert found["no.db"].fix == "mend no.db"
    assert "absent.db" not in found


def test_a_large_file_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "INTEGRITY_SECONDS", 0.0)
    monkeypatch.setattr(checks, "_STEPS", 1)
    (found,) = integrity([(_database(tmp_path / "large.db"), "mend it")])
    assert "so far ok" in found.found
    assert found.fix == ""


def test_looking_changes_nothing(tmp_path: Path) -> None:
    path = _database(tmp_path / "whole.db")
    before = path.read_bytes()
    assert [one.fix for one in integrity([(path, "mend it")])] == [""]
    assert path.read_bytes() == before


def test_clocks() -> None:
    assert clock().name == "clock"
    assert skew(None).fix == ""
    assert skew(4_999).fix == ""
    assert "timedatectl" in skew(-5_001).fix


def test_edges_with_alarms_are_named() -> None:
    edges = [
        {"edge": "a", "connected": True, "alarms": []},
        {"edge": "b", "connected": False, "alarms": ["DISK_FULL"]},
    ]
    known, alarmed = judged_edges(edges)
    assert known.found == "2 known, 1 connected"
    assert alarmed.found == "b (DISK_FULL)"
    assert alarmed.fix
