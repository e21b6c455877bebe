"""examples/roaming_agent.py: killed in the middle at one edge, finished at another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("langgraph.graph", reason="the extra langgraph is absent")

from holdfast import Client, errors
from tests.daemons import EdgeProcess, HubProcess

pytestmark = pytest.mark.acceptance

EXAMPLE = Path(__file__).parents[2] / "examples" / "roaming_agent.py"
WHOLE = "dock press oven scale store gate"


def started(edge: EdgeProcess) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--socket", str(edge.socket), "--thread", "trip"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LANGSMITH_TRACING": "false"},
    )


def killed_after(edge: EdgeProcess, stations: int) -> list[str]:
    """What an agent had visited by then."""
    with started(edge) as agent:
        assert agent.stdout is not None
        for line in agent.stdout:
            if len(line.split()) >= stations:
                agent.send_signal(signal.SIGKILL)
                return line.split()
    raise AssertionError("it ended by itself")


def finished(edge: EdgeProcess) -> list[str]:
    agent = started(edge)
    told, _ = agent.communicate(timeout=60)
    assert agent.returncode == 0
    return told.splitlines()


@pytest.mark.promise("langgraph.roams")
def test_a_killed_agent_finishes_at_another_edge(tmp_path: Path) -> None:
    with (
        HubProcess(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a") as a,
        EdgeProcess(hub.address, tmp_path / "b") as b,
        Client(f"unix:{a.socket}", ("ops", "human")) as at_a,
        Client(f"unix:{b.socket}", ("ops", "human")) as at_b,
    ):
        first = killed_after(a, 2)
        second = killed_after(a, len(first) + 1)
        assert second[: len(first)] == first, "it goes on, and does not begin again"
        at_a.checkpoints.release("trip")
        at_a.synced("default")
        at_b.synced("default")
        told = finished(b)
        assert told[-1] == WHOLE
        assert len(told[0].split()) >= len(second)
        with pytest.raises(errors.StaleAuthority):
            at_a.checkpoints.save_checkpoint("trip", {}, parent="", fork=True)
        names = [one.metadata["step"] for one in at_b.checkpoints.list("trip")]
        assert names == sorted(names, reverse=True)
