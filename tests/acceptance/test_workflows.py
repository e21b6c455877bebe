"""Workflows with the installed programs: an edge goes on without a network and is killed, an
operator takes over, and every act is in the story, whatever became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast import Client, Execution, StepStatus
from tests.acceptance.programs import Done, run
from tests.daemons import EdgeProcess, HubProcess

pytestmark = pytest.mark.acceptance

ROBOT = ("arm-3", "robot")
PLAN = {"steps": [{"id": "grip"}, {"id": "fold", "depends_on": ["grip"]}]}


@dataclass(frozen=True, slots=True)
class Site:
    """A hub and two edges, and the command `workflows` at each."""

    hub: HubProcess
    a: EdgeProcess
    b: EdgeProcess

    def at(self, door: str, *arguments: str) -> Done:
        return self._run(door, "workflows", *arguments, "--actor", "ann:human")

    def look(self, door: str, *arguments: str) -> Any:
        """What a command that only looks prints as JSON, line by line."""
        done = self._run(door, "workflows", *arguments, "--json")
        assert done.code == 0, done
        return done

    def story(self, door: str) -> list[tuple[str, str, str | None]]:
        """What was done, oldest first: the event, what became of it, and why not."""
        lines = self.look(door, "history", "fold-7").lines
        return [(one["event"], one["outcome"], one["reason"]) for one in reversed(lines)]

    def edge(self, door: str, *arguments: str) -> Done:
        done = self._run(door, *arguments)
        assert done.code == 0, done
        return done

    def client(self, door: str) -> Client:
        process = self.a if door == "a" else self.b
        return Client(f"unix:{process.socket}", ROBOT)

    def _run(self, door: str, *arguments: str) -> Done:
        if door == "hub":
            return run("cloud-hub", *arguments, HOLDFAST_HUB=self.hub.address)
        process = self.a if door == "a" else self.b
        return run("edge-agent", *arguments, HOLDFAST_SOCKET=str(process.socket))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with (
        HubProcess(tmp_path / "hub") as hub,
        EdgeProcess(hub.address, tmp_path / "a") as a,
        EdgeProcess(hub.address, tmp_path / "b") as b,
    ):
        yield Site(hub, a, b)


def begin(site: Site) -> None:
    """A workflow at the edge a, some steps of it without a network, and a kill."""
    with site.client("a") as client:
        client.workflows.define("fold", "1", PLAN)
        client.workflows.create("fold-7", definition=("fold", "1"), metadata={"line": 4})
    site.edge("a", "wait", "--synced")
    site.edge("a", "pause")
    with site.client("a") as client:
        client.workflows.save_workflow_state("fold-7", "RUNNING", agent="arm-3")
        client.workflows.transition("fold-7", "prepared", step="grip")
        done = Execution("grip", 1, StepStatus.COMPLETED, agent="arm-3", output='{"force":2}')
        client.workflows.record_execution("fold-7", done)
    site.a.kill()
    site.a.start()
    site.edge("a", "resume")


@pytest.mark.promise("workflow.one-advances")
def test_what_a_killed_edge_had_done_is_adopted_and_its_story_told(site: Site) -> None:
    begin(site)
    site.edge("a", "wait", "--synced")
    site.edge("b", "wait", "--synced")
    acts = ["created", "run", "prepared", "recorded"]
    for door in ("hub", "a", "b"):
        assert site.story(door) == [(act, "applied", None) for act in acts]
        shown = site.look(door, "show", "fold-7").json
        assert (shown["state"], shown["steps"]) == (
            "active.executing.step_execution", {"grip": "completed"},
        )  # fmt: skip
        assert shown["executions"][0]["output"] == {"force": 2}
        (listed,) = site.look(door, "list", "--metadata", "line=4").lines
        assert listed["workflow"] == "fold-7@1"
        assert site.look(door, "list", "--status", "paused").lines == []
    created = site.look("hub", "history", "fold-7").lines[-1]
    was = site.look("b", "as-of", "fold-7", str(created["revision"])).json
    assert (was["state"], was["metadata"]) == ("pending", {"line": 4})


def test_who_holds_it_acts_and_nobody_else(site: Site) -> None:
    begin(site)
    site.edge("a", "wait", "--synced")
    refused = site.at("hub", "pause", "fold-7")
    assert (refused.code, "is held by" in refused.err) == (1, True)
    paused = site.at("a", "pause", "fold-7", "--note", "the line is cleaned", "--wait")
    assert (paused.code, "is paused" in paused.out) == (0, True)
    refused = site.at("a", "transition", "fold-7", "complete")
    assert refused.code == 1
    assert "allowed are resume, fail, cancel" in refused.err
    assert site.at("a", "resume", "fold-7").code == 0
    assert site.at("a", "cancel", "fold-7", "--wait").code == 0
    assert site.at("hub", "pause", "nobody").code == 4
    story = site.look("hub", "history", "fold-7").lines
    (why,) = [one["note"] for one in story if one["event"] == "pause"]
    assert why == "the line is cleaned"
    assert {one["actor"]["id"] for one in story} == {"arm-3", "ann"}
    text = run("cloud-hub", "workflows", "history", "fold-7", HOLDFAST_HUB=site.hub.address).out
    assert "recorded grip, attempt 1: completed" in text


def test_a_lost_edge_is_replaced_and_what_it_did_is_told(site: Site) -> None:
    begin(site)
    site.edge("a", "wait", "--synced")
    site.edge("b", "wait", "--synced")
    site.edge("a", "pause")
    assert site.at("a", "transition", "fold-7", "executed").code == 0
    held = site.at("b", "take-authority", "fold-7")
    assert (held.code, "take it by force" in held.err) == (1, True)
    assert site.at("a", "take-authority", "fold-7").code in {1, 3}  # without a hub
    taken = site.at("b", "take-authority", "fold-7", "--force", "--note", "a is lost", "--json")
    assert taken.code == 0
    assert (taken.json["authority"]["token"], taken.json["commit"]["outcome"]) == (2, "applied")
    assert site.at("b", "cancel", "fold-7", "--wait").code == 0
    site.edge("a", "resume")
    site.edge("a", "wait", "--synced")
    for door in ("hub", "a"):
        story = site.story(door)
        assert [one for one in story if one[1] == "rejected"] == [
            ("executed", "rejected", "STALE_AUTHORITY")
        ]
        applied = [event for event, outcome, _ in story if outcome == "applied"]
        assert applied == ["created", "run", "prepared", "recorded", "taken", "cancel"]
    (conflict,) = [one["conflict"] for one in site.look("hub", "history", "fold-7").lines
                   if one["conflict"]]  # fmt: skip
    shown = run("cloud-hub", "conflicts", "show", conflict, HOLDFAST_HUB=site.hub.address)
    assert (shown.code, "STALE_AUTHORITY" in shown.out) == (0, True)
