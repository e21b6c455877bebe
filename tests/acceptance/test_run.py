"""`make run`: it converges and says so, what it prints works, and it ends as it should."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.programs import environment, run
from tests.daemons import eventually

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]

COMMAND = [sys.executable, "-m", "holdfast.demo"]
AGENTS = {"robot-a": "robot", "maria": "human", "planner": "ai"}


@contextmanager
def demo(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The demo as a process; killed if the test leaves it running."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=directory,
        env=environment({}),
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


def _verdict(directory: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    with demo(directory, *arguments, "--json") as process:
        out, err = process.communicate(timeout=120)
    assert out, err
    verdict: dict[str, object] = json.loads(out.splitlines()[-1])
    return process.returncode, verdict


@pytest.mark.promise("rule.success-with-evidence")
@pytest.mark.promise("seen.converged")
def test_it_ends_by_itself_converged_and_goes_on_with_its_data(tmp_path: Path) -> None:
    code, first = _verdict(tmp_path, "--seconds", "5")
    assert (code, first["converged"], first["pending"]) == (0, True, 0)
    assert set(first) == {
        *("converged", "edges", "revision", "changes", "pending", "conflicts", "digests")
    }
    digests = first["digests"]
    assert isinstance(digests, dict)
    assert set(digests) == {"hub", "edge-a", "edge-b"}
    assert digests["hub"] == digests["edge-a"] == digests["edge-b"]
    assert {"agents", "tasks", "telemetry"} <= set(digests["hub"])
    assert isinstance(first["changes"], int)
    assert first["changes"] > 10
    code, second = _verdict(tmp_path, "--seconds", "2")
    assert code == 0
    assert second["revision"] == first["revision"] + second["changes"]  # type: ignore[operator]


def _commands(process: subprocess.Popen[str]) -> list[str]:
    """What it prints to try."""
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        if line.startswith("  "):
            found.append(line.strip())
        elif found:
            return found
    return found


def test_the_commands_that_it_prints_work_and_it_ends_with_ctrl_c(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        commands = _commands(process)
        assert len(commands) == 3
        for command in commands:
            words = shlex.split(command)
            if "watch" in words:
                words += ["--limit", "1"]
            done = subprocess.run(
                words, cwd=tmp_path, env=environment({}), timeout=60,
                capture_output=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (command, done)
            assert done.stdout, command
        agents = run("edge-agent", "list", "default/agents", "--json", cwd=tmp_path).lines
        assert {one["value"]["id"]: one["value"]["kind"] for one in agents} == AGENTS
        assert {one["value"]["status"] for one in agents} == {"online"}
        taken = run_again(tmp_path)
        assert taken.returncode == 1
        assert "is in use by process" in taken.stderr
        assert "--data .run2" in taken.stderr
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.splitlines()[-1].startswith("converged: ")
    assert err == ""
    assert not (tmp_path / ".run/hub.address").exists()


def run_again(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--seconds", "1"], cwd=directory, env=environment({}), timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_agents_are_offline_when_it_has_ended(tmp_path: Path) -> None:
    from tests.daemons import HubProcess

    assert _verdict(tmp_path, "--seconds", "1")[0] == 0
    with HubProcess(tmp_path / ".run/hub") as hub:
        found = run("cloud-hub", "list", "default/agents", "--json", "--hub", hub.address).lines
    assert {one["value"]["id"]: one["value"]["status"] for one in found} == dict.fromkeys(
        AGENTS, "offline"
    )
    assert all(one["value"]["capabilities"] and one["value"]["status_since"] for one in found)


def test_it_works_in_a_folder_whose_path_no_socket_could_have(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 30)
    deep.mkdir()
    assert _verdict(deep, "--seconds", "1")[0] == 0


def test_nothing_is_left_running_when_it_is_killed(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        _commands(process)
        process.kill()
        process.wait(30)
    # The directories are free again as soon as their daemons have drained.
    assert eventually(
        lambda: _verdict(tmp_path, "--seconds", "1")[0] == 0 if _free(tmp_path) else 0
    )


def _free(directory: Path) -> bool:
    holders = [int(path.read_text()) for path in directory.glob(".run/*/holdfast.lock")]
    return not any(Path(f"/proc/{holder}").exists() for holder in holders)


def test_a_daemon_that_dies_ends_it_and_is_named(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        _commands(process)
        holder = int((tmp_path / ".run/edge-b/holdfast.lock").read_text())
        subprocess.run(["kill", "-9", str(holder)], check=True)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "edge-b has ended by SIGKILL" in err
    assert "edge-b.log" in err
