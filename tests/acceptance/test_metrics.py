"""The page for Prometheus of a real hub: an edge that lags, a wedge and a herd are plain to see."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from holdfast import Client
from tests.acceptance.programs import run
from tests.daemons import ACTOR, EdgeProcess, HubProcess, eventually, failpoints

pytestmark = pytest.mark.acceptance

WEDGED_MS = 4_000


class MeasuredHub(HubProcess):
    """A hub that shows its metrics."""

    def __init__(self, data: Path, environment: dict[str, str] | None = None) -> None:
        arguments = ["--metrics", "127.0.0.1:0"]
        super().__init__(data, arguments=arguments, environment=environment)
        self.page = ""

    def wait_ready(self, seconds: float = 30.0) -> dict[str, str]:
        ready = super().wait_ready(seconds)
        self.page = f"http://{ready['metrics']}/metrics"
        return ready

    def sample(self, name: str, **labels: str) -> float:
        """The value of a series; zero if there is none yet."""
        with urllib.request.urlopen(self.page, timeout=30) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"holdfast_{name}" and labels.items() <= sample.labels.items()
        )


@contextmanager
def _client(edge: EdgeProcess) -> Iterator[Client]:
    with Client(f"unix:{edge.socket}", ACTOR) as client:
        yield client


@pytest.mark.promise("metrics.three-situations")
@pytest.mark.promise("metrics.edge-counters")
def test_an_edge_that_lags_and_a_herd(tmp_path: Path) -> None:
    with (
        MeasuredHub(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a") as a,
        EdgeProcess(hub.address, tmp_path / "b") as b,
    ):
        eventually(lambda: hub.sample("edges", state="connected") == 2)
        with _client(a) as client:
            client.synced("default")  # the hub has heard of what it counted until now
            for number in range(5):
                client.put(f"default/things/{number}", {"n": number})
            assert client.get("default/things/absent") is None
            client.synced("default")
        eventually(lambda: hub.sample("edge_commits_total") == 5)
        assert hub.sample("commits_decided_total") == 5
        assert hub.sample("edge_refusals_total", reason="RECORD_NOT_FOUND") == 1
        assert hub.sample("group_commits_sum") == 5

        def edges(*words: str) -> list[dict[str, Any]]:
            done = run("cloud-hub", "edges", "--json", *words, HOLDFAST_HUB=hub.address)
            return done.lines

        eventually(lambda: all(one["counters"] for one in edges()))  # each has sent a heartbeat
        counted = {one["edge"]: one["counters"]["commits"] for one in edges()}
        assert counted == {"a": 5, "b": 0}
        assert len(edges("--lagging", "1")) == 1

        # A herd: whoever comes again and again.
        for opened in range(2, 5):
            assert hub.sample("streams_opened_total") == opened
            b.kill()
            b.start()
            eventually(lambda before=opened: hub.sample("streams_opened_total") > before)
        assert hub.sample("streams_ended_total") >= 3
        b.kill()
        eventually(lambda: hub.sample("edges", state="away") == 1)


@pytest.mark.promise("metrics.three-situations")
def test_a_wedge(tmp_path: Path) -> None:
    """The thread that writes hangs: what waits is told, and so is that it was over."""
    wedge = failpoints(f"hub.transaction.written=delay:{WEDGED_MS}@1")
    with (
        MeasuredHub(tmp_path / "hub", wedge) as hub,
        EdgeProcess(hub.address, tmp_path / "a") as edge,
    ):
        eventually(lambda: hub.sample("edges", state="connected") == 1)
        with _client(edge) as client:
            client.put("default/things/1", {"n": 1})
            eventually(lambda: hub.sample("queue_oldest_seconds") > 1)
            assert hub.sample("commits_decided_total") == 0
            client.put("default/things/2", {"n": 2})
            client.synced("default", timeout_s=60.0)
        assert hub.sample("queue_oldest_seconds") == 0
        assert hub.sample("commits_decided_total") == 2
        assert hub.sample("transaction_seconds_sum") > 1


@pytest.mark.promise("metrics.bounded")
def test_the_page_is_for_this_machine_only(tmp_path: Path) -> None:
    given = ["--metrics", "0.0.0.0:9464", "--insecure", "--data", str(tmp_path)]
    done = run("cloud-hub", "config", "check", *given)
    assert done.code == 78
    assert "flag: metrics: 0.0.0.0:9464 can be reached from other machines" in done.err
