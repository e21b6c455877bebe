"""The unit files: each is run with its own words and environment under a service manager that
listens to what the daemon reports."""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast import AsyncClient, Client
from tests.daemons import ACTOR, failpoints
from tests.units import SECONDS, UNITS, Service, Unit, address_of

pytestmark = pytest.mark.acceptance

FREE_PORT = 'listen = "127.0.0.1:0"\n'
SOON = {"WATCHDOG_USEC": "1000000"}
"""A manager that wants to hear every second: the daemon reports twice as often."""

BLOCKED_MS = 6_000
SILENCE_SECONDS = 3.0
"""Six reports to the watchdog, and one of the status, are due in it."""


def _unit(name: str) -> Unit:
    return Unit(UNITS / f"{name}.service")


def _edge_settings(hub: Service) -> str:
    return f'hub.address = "{address_of(hub)}"\n'


@contextlib.contextmanager
def _both(
    root: Path, hub: dict[str, str], edge: dict[str, str]
) -> Iterator[tuple[Service, Service]]:
    with Service(_unit("cloud-hub"), root, settings=FREE_PORT, environment=hub) as hub_service:
        hub_service.ready()
        settings = _edge_settings(hub_service)
        with Service(
            _unit("edge-agent"), root, settings=settings, environment=edge
        ) as edge_service:
            edge_service.ready()
            yield hub_service, edge_service


def _socket(edge: Service) -> Path:
    return edge.runtime / "edge-agent" / "agent.sock"


@pytest.mark.promise("service.units")
async def test_both_units_from_start_to_stop(tmp_path: Path) -> None:
    with _both(tmp_path, {}, SOON) as (hub, edge):
        for service in (hub, edge):
            service.wait_for("WATCHDOG", lambda told: told.get("WATCHDOG") == "1")
        path = _socket(edge)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        async with AsyncClient(f"unix:{path}", ACTOR) as client:
            await client.put("default/things/1", {"x": 1})
            await client.synced("default")
        line = re.compile(r"synced, 0 pending, lag \d+\.\d s")
        edge.wait_for("STATUS", lambda told: bool(line.fullmatch(told.get("STATUS", ""))))
        hub.wait_for("STATUS", lambda told: "1 edges connected" in told.get("STATUS", ""))

        hub.send(signal.SIGTERM)
        assert hub.wait_for("STOPPING", lambda told: "STOPPING" in told)["STATUS"] == "draining"
        assert hub.ended() == 0, hub.log_text
        # Nobody is at the other end, and that is no reason to be restarted.
        edge.wait_for("STATUS", lambda told: "connecting" in told.get("STATUS", ""))
        edge.wait_for("WATCHDOG", lambda told: told.get("WATCHDOG") == "1")
        edge.send(signal.SIGTERM)
        edge.wait_for("STOPPING", lambda told: "STOPPING" in told)
        assert edge.ended() == 0, edge.log_text
        assert not path.exists()


@pytest.mark.promise("service.reload")
def test_both_units_reload(tmp_path: Path) -> None:
    with _both(tmp_path, {}, {}) as (hub, edge):
        common = 'log.level = "DEBUG"\nname = "another"\n'
        for service, settings in ((hub, FREE_PORT), (edge, _edge_settings(hub))):
            path = service.drop_in(settings + common)
            service.reload()
            told = service.wait_for("RELOADING", lambda told: told.get("RELOADING") == "1")
            assert 0 < int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1_000
            service.ready()
            said = service.log_text
            assert f"log.level is now DEBUG, and was INFO ({path}:2)" in said
            assert f"name is now another ({path}:3), which needs a restart" in said

            service.drop_in(settings + 'log.level = "LOUD"\n')
            service.reload()
            service.wait_for("RELOADING", lambda told: told.get("RELOADING") == "1")
            service.ready()
            assert f"the settings stay as they are: {path}:2: log.level: 'LOUD'" in service.log_text
            assert service.process.poll() is None


@pytest.mark.promise("service.bad-configuration")
@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("edge-agent", "scopes = ['a/b/c']", ":1: scopes: scope a/b/c"),
        ("edge-agent", "hub.adress = 'x'", ":1: hub.adress is not a setting"),
        ("cloud-hub", "\nreflection = 'yes'", ":2: reflection: 'yes' is not allowed"),
    ],
)
def test_a_wrong_setting_ends_it_with_78(
    tmp_path: Path, name: str, settings: str, words: str
) -> None:
    unit = _unit(name)
    with Service(unit, tmp_path, settings=settings) as service:
        assert service.ended() == 78
        assert service.hear(0) is None
        assert f"50-test.toml{words}" in service.log_text
        assert "try: " in service.log_text
        assert "Traceback" not in service.log_text
    assert unit.one("RestartPreventExitStatus") == "78"


def _silence(service: Service, alive: str) -> None:
    """Waits for a time in which it does not feed the watchdog though that is long due. `alive` is
    what it goes on to tell meanwhile; without that, it is to tell nothing."""
    ends = time.monotonic() + SECONDS
    since, lives = time.monotonic(), False
    while time.monotonic() - since < SILENCE_SECONDS or lives != bool(alive):
        assert time.monotonic() < ends, f"it goes on feeding the watchdog: {service.told}"
        told = service.hear(0.1) or {}
        if "WATCHDOG" in told or (told and not alive):
            since, lives = time.monotonic(), False
        lives = lives or alive in told


def _fed_again(name: str, point: str, alive: str, root: Path) -> None:
    environment = SOON | failpoints(f"{point}=delay:{BLOCKED_MS}@1")
    of_hub = name == "cloud-hub"
    root.mkdir()
    with (
        _both(root, environment if of_hub else {}, {} if of_hub else environment) as (hub, edge),
        concurrent.futures.ThreadPoolExecutor(1) as writer,
    ):
        service = hub if of_hub else edge
        service.wait_for("WATCHDOG", lambda told: told.get("WATCHDOG") == "1")
        with Client(address_of(hub) if of_hub else f"unix:{_socket(edge)}", ACTOR) as client:
            written = writer.submit(client.put, "default/things/1", {"x": 1})
            _silence(service, alive)
            service.wait_for("WATCHDOG again", lambda told: told.get("WATCHDOG") == "1")
            written.result()


@pytest.mark.promise("service.watchdog")
def test_the_watchdog_hears_nothing_of_what_hangs(tmp_path: Path) -> None:
    """Where the thread that writes is blocked, the loop still tells of its status; where the loop
    is, nothing comes. All four at once, since each takes its time."""
    cases = [
        ("cloud-hub", "hub.transaction.written", "STATUS"),
        ("edge-agent", "edge.commit.before_outbox", "STATUS"),
        ("cloud-hub", "hub.commit.before", ""),
        ("edge-agent", "edge.apply.before", ""),
    ]
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        running = [pool.submit(_fed_again, *case, tmp_path / case[1]) for case in cases]
        for each in running:
            each.result()


@pytest.mark.parametrize("name", ["cloud-hub", "edge-agent"])
def test_what_the_units_rely_on(name: str) -> None:
    unit = _unit(name)
    expected = {
        "Type": "notify",
        "Restart": "always",
        "StartLimitIntervalSec": "0",
        "DynamicUser": "yes",
        "ExecReload": "/bin/kill -HUP $MAINPID",
        "SuccessExitStatus": "130",
    }
    assert {key: unit.one(key) for key in expected} == expected
    assert "network-online" not in (UNITS / f"{name}.service").read_text()
    assert float(unit.one("WatchdogSec")) >= 20, "twice a probe that is slow and still answered"
