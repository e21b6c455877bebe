"""`doctor` of both programs: all is well, and each thing that is not is named with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.programs import run
from tests.daemons import EdgeProcess, HubProcess

pytestmark = pytest.mark.acceptance

MACHINE = {"sqlite", "clock", "disk"}
"""What this machine is like is not what these tests are about."""


def _looked(program: str, *words: str, **variables: Any) -> tuple[int, dict[str, dict[str, Any]]]:
    done = run(program, "doctor", "--json", *words, **variables)
    assert done.code in (0, 1), done
    found = {line["check"]: line for line in done.lines}
    for line in found.values():
        assert line["ok"] or line["fix"], line
    return done.code, found


def _ill(found: dict[str, dict[str, Any]]) -> set[str]:
    return {name for name, line in found.items() if not line["ok"]} - MACHINE


@pytest.mark.promise("doctor.remedies")
def test_both_are_well_and_then_not(tmp_path: Path) -> None:
    with (
        HubProcess(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a") as edge,
    ):
        settings = tmp_path / "edge.toml"
        settings.write_text(
            f'data = "{edge.data}"\nsockets = ["{edge.socket}"]\nhub.address = "{hub.address}"\n'
        )
        given = ["--config", str(settings)]
        run("edge-agent", "wait", "--synced", HOLDFAST_SOCKET=str(edge.socket))
        _, found = _looked("edge-agent", *given)
        assert _ill(found) == set()
        looked_at = {"settings", "directory", "outbox.db", "replica.db", "socket", "hub", "link"}
        assert looked_at | {"clock skew", "alarms", "outbox"} | MACHINE <= set(found)

        at_hub = ["--data", str(hub.data), "--hub", hub.address]
        _, found = _looked("cloud-hub", *at_hub)
        assert _ill(found) == set()
        assert {"directory", "hub.db", "address", "hub", "alarms", "edges", "edges' alarms"} <= set(
            found
        )
        assert found["edges"]["found"] == "1 known, 1 connected"

        hub.stop()
        code, found = _looked("edge-agent", *given)
        assert code == 1
        assert _ill(found) == {"hub", "link"}
        code, found = _looked("cloud-hub", *at_hub)
        assert code == 1
        assert _ill(found) == {"address"}
        edge.stop()

        settings.write_text(settings.read_text() + "colour = 1\n")
        edge.data.chmod(0o755)
        (edge.data / "replica.db").write_bytes(b"a letter")
        code, found = _looked("edge-agent", *given, "--data", str(edge.data))
        assert code == 1
        assert _ill(found) == {"settings", "directory", "replica.db", "socket"}
        assert f"{settings}:4: colour" in found["settings"]["found"]
        assert "chmod 700" in found["directory"]["fix"]


@pytest.mark.needs_postgres
def test_the_database_server_is_looked_at(postgres_dsn: str) -> None:
    variables = {"CLOUD_HUB__INSECURE": "yes", "CLOUD_HUB__LISTEN": "127.0.0.1:1"}
    _, found = _looked("cloud-hub", CLOUD_HUB__DATABASE=postgres_dsn, **variables)
    assert _ill(found) == {"address"}
    assert "safe settings" in found["database"]["found"]
    nowhere = "postgresql://127.0.0.1:1/x"
    _, found = _looked("cloud-hub", CLOUD_HUB__DATABASE=nowhere, **variables)
    assert "database" in _ill(found)
