"""Policies from the command line: rules at work between an edge and the hub, files, history."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_cli import Doors, ok
from tests.daemons import EdgeProcess, HubProcess

pytestmark = pytest.mark.acceptance

FILE = """
[default.collections.tasks]
deletes = "edit_wins"

[default.collections.tasks.fields]
tags = "set"
high = "max"
status = { rule = "rank", order = ["pending", "active", "done"] }
stop = { rule = "owner", kind = "human" }

[plant-7]
priority = "control"
"""


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    root = tmp_path_factory.mktemp("doors")
    with HubProcess(root / "hub") as hub, EdgeProcess(hub.address, root / "edge-1") as edge:
        yield Doors(hub, edge)


@pytest.mark.promise("rule.policies-are-records")
def test_a_file_of_policies_is_checked_whole_and_set_once(doors: Doors, tmp_path: Path) -> None:
    file = tmp_path / "policies.toml"
    file.write_text(FILE + '[default.collections.bad]\nrule = "newest"\n')
    wrong = doors.at_hub("policies", "apply", str(file))
    assert wrong.code != 0
    assert "default/bad: rule" in wrong.out + wrong.err
    assert ok(doors.at_hub("policies", "list", "default", "--json")).lines == []
    file.write_text(FILE)
    dry = ok(doors.at_hub("policies", "apply", str(file), "--dry-run", "--json")).lines
    assert [(one["of"], one["change"]) for one in dry] == [
        ("default/tasks", "would be set"), ("plant-7", "would be set"),
    ]  # fmt: skip
    assert ok(doors.at_hub("policies", "list", "default", "--json")).lines == []
    done = ok(doors.at_hub("policies", "apply", str(file), "--json")).lines
    assert {one["change"] for one in done} == {"set"}
    again = ok(doors.at_hub("policies", "apply", str(file), "--json")).lines
    assert {one["change"] for one in again} == {"none"}
    shown = ok(doors.at_hub("policies", "show", "default/tasks", "--json")).json
    assert shown["policy"]["fields"]["tags"] == "set"
    ok(doors.at_hub("policies", "set", "default/tasks", '{"fields": {"tags": "set"}}'))
    ok(doors.at_hub("policies", "apply", str(file)))
    history = ok(doors.at_hub("policies", "history", "default/tasks", "--json")).lines
    assert len(history) == 3


def test_sets_marks_and_owners_at_an_edge(doors: Doors, tmp_path: Path) -> None:
    file = tmp_path / "policies.toml"
    file.write_text(FILE)
    ok(doors.at_hub("policies", "apply", str(file)))
    ok(doors.edge("wait", "--synced", "--timeout", "60s"))
    ok(doors.edge("set-add", "default/tasks/1", "tags", "urgent", "7"))
    ok(doors.edge("set-remove", "default/tasks/1", "tags", "urgent"))
    ok(doors.edge("patch", "default/tasks/1", "high=5"))
    ok(doors.edge("patch", "default/tasks/1", "high=3", "--wait"))
    assert ok(doors.edge("get", "default/tasks/1")).out == '{"high":5,"tags":[7]}\n'
    assert ok(doors.at_hub("get", "default/tasks/1")).out == '{"high":5,"tags":[7]}\n'
    refused = doors.edge("patch", "default/tasks/1", "stop=true", "--actor", "arm:robot")
    assert "written by actors of kind human" in refused.err
    assert doors.edge("patch", "default/tasks/1", 'status="lost"').code != 0
    assert "is no set" in doors.edge("set-add", "default/tasks/1", "title", "x").err
