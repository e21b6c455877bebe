"""`cloud-hub dev-certs`, and then the commands that it prints, as they are printed."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from holdfast import Client
from tests.daemons import END_SECONDS, READY_SECONDS, eventually

pytestmark = pytest.mark.acceptance

BIN = Path(sys.executable).parent


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **more}


@dataclass
class Site:
    """A directory in which commands are run as somebody would type them."""

    root: Path
    printed: dict[str, Any] = field(default_factory=dict)

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            shlex.split(command), cwd=self.root, env=_environment(**environment), check=False,
            capture_output=True, text=True, timeout=READY_SECONDS,
        )  # fmt: skip

    @contextlib.contextmanager
    def daemon(self, command: str) -> Iterator[subprocess.Popen[str]]:
        """Runs a printed command until it is left; it is there when it says so."""
        with (
            (self.root / "log").open("a") as log,
            subprocess.Popen(
                shlex.split(command), cwd=self.root, env=_environment(), text=True,
                stdout=subprocess.PIPE, stderr=log,
            ) as process,
        ):  # fmt: skip
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert line, (self.root / "log").read_text()[-3_000:]
                yield process
            finally:
                process.terminate()
                assert process.wait(END_SECONDS) == 0

    @property
    def port(self) -> int:
        return int(self.printed["operator"].split("--hub 127.0.0.1:")[1].split()[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="hf-") as root:
        made = Site(Path(root))
        names = "--name 127.0.0.1 --edge arm-3 --edge arm-4"
        done = made.run(f"cloud-hub dev-certs certs --json {names} --port {_free_port()}")
        assert done.returncode == 0, done.stderr
        made.printed = json.loads(done.stdout)
        with made.daemon(made.printed["hub"]), made.daemon(made.printed["edges"][0]):
            yield made


def _edges(site: Site) -> list[dict[str, Any]]:
    done = site.run(site.printed["operator"] + " --json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.promise("tls.dev-certs")
def test_what_is_printed_works_as_printed(site: Site) -> None:
    with Client(f"unix:{site.root}/edge-arm-3-data/agent.sock", ("ann", "human")) as client:
        assert client.put("default/parts/7", {"n": 1}).outcome().kind == "applied"
    eventually(lambda: [e["edge"] for e in _edges(site) if e["connected"]] == ["arm-3"])


@pytest.mark.promise("tls.dev-certs")
def test_keys_are_for_their_owner_and_nothing_is_overwritten(site: Site) -> None:
    files = sorted((site.root / "certs").iterdir())
    assert {path.name: path.stat().st_mode & 0o077 for path in files if path.suffix == ".key"} == {
        "ca.key": 0, "hub.key": 0, "edge-arm-3.key": 0, "edge-arm-4.key": 0, "operator.key": 0,
    }  # fmt: skip
    before = [path.read_bytes() for path in files]
    done = site.run("cloud-hub dev-certs certs")
    assert done.returncode == 1
    assert "nothing is overwritten" in done.stderr
    assert [path.read_bytes() for path in sorted((site.root / "certs").iterdir())] == before


def test_for_people_it_prints_what_to_do_on_each_machine(site: Site) -> None:
    done = site.run("cloud-hub dev-certs more --name hub.example --edge a")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "  cloud-hub run --listen 0.0.0.0:7443 --data hub-data --tls-cert more/hub.pem" in (
        " ".join(lines[3].split(" ")[:11])
    )
    assert any(line.startswith("  edge-agent run --hub hub.example:7443 ") for line in lines)


@pytest.mark.promise("tls.mutual")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_hub_shakes_hands_in_tls_1_3_only(site: Site, version: ssl.TLSVersion) -> None:
    certs = site.root / "certs"
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    context.load_cert_chain(certs / "operator.pem", certs / "operator.key")
    context.set_alpn_protocols(["h2"])
    context.minimum_version = context.maximum_version = version

    def shake() -> str | None:
        with (
            socket.create_connection(("127.0.0.1", site.port), 10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            return secured.version() if secured.recv(1) else None

    if version is ssl.TLSVersion.TLSv1_3:
        assert shake() == "TLSv1.3"
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shake()


@pytest.mark.promise("rule.local-without-credentials")
def test_an_edge_starts_without_its_key_and_connects_when_it_has_it(site: Site) -> None:
    key, later = site.root / "certs" / "edge-arm-4.key", site.root / "edge-arm-4.key"
    key.rename(later)
    with site.daemon(site.printed["edges"][1]) as process:
        socket_path = site.root / "edge-arm-4-data" / "agent.sock"
        with Client(f"unix:{socket_path}", ("ann", "human")) as client:
            receipt = client.put("default/parts/8", {"n": 1})

            def status() -> dict[str, Any]:
                done = site.run(f"edge-agent status --json --socket {socket_path}")
                found: dict[str, Any] = json.loads(done.stdout)
                return found

            found = eventually(lambda: (s := status())["link"] == "needs_auth" and s)
            assert found["alarms"] == ["NEEDS_AUTH", "TLS_FILE_UNUSABLE"]
            assert "edge-arm-4.key: there is no such file" in found["link_reason"]
            later.rename(key)
            process.send_signal(signal.SIGHUP)
            assert receipt.outcome().kind == "applied"
            assert eventually(lambda: status()["connected"])
            assert status()["alarms"] == []


def test_operators_name_their_files_by_flags_or_the_environment(site: Site) -> None:
    where = f"cloud-hub status --hub 127.0.0.1:{site.port}"
    names = {
        "HOLDFAST_TLS_CERT": "certs/operator.pem",
        "HOLDFAST_TLS_KEY": "certs/operator.key",
        "HOLDFAST_TLS_CA": "certs/ca.pem",
    }
    assert site.run(where, **names).returncode == 0
    done = site.run(where.replace("status", "doctor"), **names)
    assert f"address\tok\t127.0.0.1:{site.port}" in done.stdout
    done = site.run(where, **names | {"HOLDFAST_TLS_KEY": "certs/hub.key"})
    assert done.returncode == 78
    assert "certs/hub.key: not the key of certs/operator.pem" in done.stderr
    edge = {"HOLDFAST_TLS_CERT": "certs/edge-arm-4.pem", "HOLDFAST_TLS_KEY": "certs/edge-arm-4.key"}
    done = site.run(where, **names | edge)
    assert done.returncode == 1
    assert "may be called by operator" in done.stderr
    done = site.run(where + " --tls-cert certs/operator.pem")
    assert done.returncode == 78
    assert "--tls-key and --tls-ca is not given" in done.stderr


def test_an_address_elsewhere_needs_certificates(site: Site) -> None:
    done = site.run("cloud-hub status --hub hub.example:7443")
    assert done.returncode == 1
    assert "could be read on the way" in done.stderr
    assert "TLS" in done.stderr
