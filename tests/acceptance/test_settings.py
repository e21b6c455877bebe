"""`config check` and `config show` of both programs: what is in force, where it comes from, and
what is refused in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.programs import Done, run

pytestmark = pytest.mark.acceptance


def _rows(done: Done) -> dict[str, tuple[str, str]]:
    assert done.code == 0, done
    return {row["setting"]: (row["value"], row["from"]) for row in done.lines}


@pytest.mark.promise("settings.origin")
def test_the_edge_shows_what_is_in_force_and_where_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text('name = "file"\nscopes = ["plant", "site/orders"]\n\n[log]\nlevel = "DEBUG"\n')
    variables: dict[str, Any] = {
        "EDGE_AGENT__NAME": "environment",
        "EDGE_AGENT__LOG__LEVEL": "WARNING",
        "STATE_DIRECTORY": "/var/lib/edge-agent",
        "RUNTIME_DIRECTORY": "/run/edge-agent",
    }
    given = ["--config", str(file), "--hub", "127.0.0.1:7443", "--log-level", "error"]
    rows = _rows(run("edge-agent", "config", "show", "--json", *given, **variables))
    assert (
        rows.items()
        >= {
            "hub.address": ("127.0.0.1:7443", "flag"),
            "outbox.limit_bytes": ("0", "default"),
            "log.level": ("ERROR", "flag"),
            "data": ("/var/lib/edge-agent", "environment STATE_DIRECTORY"),
            "sockets": ("/run/edge-agent/agent.sock", "environment RUNTIME_DIRECTORY"),
            "scopes": ("plant, site/orders", f"{file}:2"),
            "name": ("environment", "environment EDGE_AGENT__NAME"),
        }.items()
    )
    checked = run("edge-agent", "config", "check", *given, **variables)
    assert checked.code == 0
    assert checked.out.startswith("the settings are in order: ")


@pytest.mark.promise("settings.origin")
def test_a_secret_is_not_shown() -> None:
    url = "postgresql://hub:s3cret@127.0.0.1/x"
    variables: dict[str, Any] = {"CLOUD_HUB__DATABASE": url, "CLOUD_HUB__INSECURE": "yes"}
    # A directory that systemd made is not taken for a second database.
    done = run("cloud-hub", "config", "show", "--json", **variables, STATE_DIRECTORY="/var/lib/hub")
    rows = _rows(done)
    assert rows["database"] == ("(set, not shown)", "environment CLOUD_HUB__DATABASE")
    assert rows["data"] == ("None", "default")
    assert "s3cret" not in done.out + done.err


@pytest.mark.promise("settings.origin")
@pytest.mark.promise("service.bad-configuration")
@pytest.mark.parametrize(
    ("program", "text", "words"),
    [
        ("edge-agent", "[hub]\nadress = 'x'", [":2: hub.adress is not a", "mean hub.address"]),
        ("edge-agent", "[outbox]\nlimit_bytes = 5", [":2: outbox.limit_bytes: 5", "1048576"]),
        ("edge-agent", "[hub]\naddress = '127.0.0.1'", [":2: hub.address: '127.0.0.1'", "HOST:"]),
        ("edge-agent", "sockets = ['a=b']", [":1: sockets: socket a=b", "PATH=ID:KIND"]),
        ("cloud-hub", "insecure = 1", [":1: insecure: 1 is not allowed", "true or false"]),
        ("cloud-hub", "listen = 'here'", [":1: listen: 'here'", "127.0.0.1:7443"]),
        ("cloud-hub", "listen =\n", ["line 1", "TOML"]),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, program: str, text: str, words: list[str]
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    needed: dict[str, Any] = {"EDGE_AGENT__DATA": "d", "CLOUD_HUB__DATA": "d"}
    if "address" not in text:
        needed["EDGE_AGENT__HUB__ADDRESS"] = "127.0.0.1:1"
    done = run(program, "config", "check", "--config", str(file), cwd=tmp_path, **needed)
    assert done.code == 78, done
    for part in words:
        assert part in done.err
    assert str(file) in done.err
    assert not (tmp_path / "d").exists()
