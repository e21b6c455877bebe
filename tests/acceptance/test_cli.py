"""Both command lines against running daemons: what they print, how they end, what they advise."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from holdfast import Client
from tests.acceptance.programs import BIN, Done, environment, run, start
from tests.daemons import EdgeProcess, HubProcess

pytestmark = pytest.mark.acceptance


@dataclass(frozen=True, slots=True)
class Doors:
    """A hub and an edge of it, and the commands that talk to them."""

    hub: HubProcess
    edge_process: EdgeProcess

    def edge(self, *arguments: str, **options: Any) -> Done:
        return run(
            "edge-agent", *arguments, HOLDFAST_SOCKET=str(self.edge_process.socket), **options
        )

    def at_hub(self, *arguments: str, **options: Any) -> Done:
        return run("cloud-hub", *arguments, HOLDFAST_HUB=self.hub.address, **options)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    root = tmp_path_factory.mktemp("doors")
    with HubProcess(root / "hub") as hub, EdgeProcess(hub.address, root / "edge-1") as edge:
        yield Doors(hub, edge)


def ok(done: Done) -> Done:
    assert done.code == 0, done
    return done


# -- writing and reading -----------------------------------------------------------------------


def test_a_record_is_written_read_and_deleted_at_the_edge(doors: Doors) -> None:
    put = ok(doors.edge("put", "default/robots/r1", '{"x": 1.50, "name": "anna"}', "--json")).json
    assert put["outcome"] == "pending"
    assert len(bytes.fromhex(put["commit_id"])) == 16
    assert ok(doors.edge("get", "default/robots/r1")).out == '{"name":"anna","x":1.50}\n'
    ok(doors.edge("patch", "default/robots/r1", "x=2", "--remove", "name", "--wait"))
    found = ok(doors.edge("get", "default/robots/r1", "--json")).json
    assert found["value"] == {"x": 2}
    assert found["version"]["pending"] is False
    for options in (["--level", "strong"], ["--max-staleness", "1m"], ["--max-behind", "100"]):
        read = ok(doors.edge("get", "default/robots/r1", *options, "--json")).json
        assert read["value"] == {"x": 2} and read["served"]["staleness_ms"] is not None
        assert read["served"]["level"] == ("strong" if "strong" in options else "bounded")
        (row,) = ok(doors.edge("list", "default/robots", *options, "--json")).lines
        assert row["served"]["level"] == read["served"]["level"]
        assert ok(doors.at_hub("get", "default/robots/r1", *options, "--json")).json["value"]
    assert doors.edge("get", "default/robots/r1", "--local-only").code == 1
    decided = ok(doors.edge("delete", "default/robots/r1", "--wait", "--json")).json
    assert decided["outcome"] == "applied"
    assert doors.edge("get", "default/robots/r1").code == 4


def test_digits_are_kept(doors: Doors) -> None:
    ok(doors.edge("put", "default/exact/1", "x=1.50", "big=" + "9" * 40))
    text = ok(doors.edge("get", "default/exact/1", "--json")).out
    assert '"x":1.50' in text
    assert "9" * 40 in text


def test_an_object_comes_from_standard_input(doors: Doors) -> None:
    ok(doors.edge("put", "default/piped/1", "-", stdin='{"from": "a pipe"}'))
    assert ok(doors.edge("get", "default/piped/1")).out == '{"from":"a pipe"}\n'


def test_who_writes(doors: Doors) -> None:
    ok(doors.edge("put", "default/who/1", "a=1", "--actor", "arm-3:robot"))
    ok(doors.edge("put", "default/who/2", "a=1", HOLDFAST_ACTOR="planner:ai"))
    ok(doors.edge("put", "default/who/3", "a=1", LOGNAME="maria"))
    listed = ok(doors.edge("list", "default/who", "--json")).lines
    assert [one["actor"] for one in listed] == [
        {"id": "arm-3", "kind": "robot"},
        {"id": "planner", "kind": "ai"},
        {"id": "maria", "kind": "human"},
    ]


def test_records_are_listed_by_prefix_and_filter(doors: Doors) -> None:
    for key, battery in (("a/1", 10), ("a/2", 90), ("b/1", 5)):
        ok(doors.edge("put", f"default/fleet/{key}", f"battery={battery}"))
    low = ok(doors.edge("list", "default/fleet", "--filter", "value.battery < 20", "--json")).lines
    assert [one["path"] for one in low] == ["default/fleet/a/1", "default/fleet/b/1"]
    assert len(ok(doors.edge("list", "default/fleet/a/", "--json")).lines) == 2
    assert len(ok(doors.edge("list", "default/fleet", "--limit", "1", "--json")).lines) == 1
    table = ok(doors.edge("list", "default/fleet")).out.splitlines()
    assert table[0].split("\t") == ["path", "revision", "by", "written_at", "value"]
    assert len(table) == 4


def test_counters_are_declared_at_the_hub_and_added_to_at_the_edge(doors: Doors) -> None:
    policy = '{"fields": {"done": "counter"}}'
    ok(doors.at_hub("policies", "set", "default/tasks", policy))
    ok(doors.edge("wait", "--synced", "--timeout", "30s"))
    ok(doors.edge("add", "default/tasks/7", "done=2"))
    ok(doors.edge("add", "default/tasks/7", "done=-1", "--wait"))
    assert ok(doors.at_hub("get", "default/tasks/7", "--json")).json["value"] == {"done": 1}
    shown = ok(doors.at_hub("policies", "show", "default/tasks", "--json")).json
    assert shown["policy"] == {"fields": {"done": "counter"}}
    listed = ok(doors.at_hub("policies", "list", "default", "--json")).lines
    assert shown in listed
    stale = ("policies", "set", "default/tasks", "{}", "--if-revision", "999999")
    assert doors.at_hub(*stale).code == 1


@pytest.mark.promise("read.as-of")
def test_the_hubs_door_decides_at_once_and_reads_the_past(doors: Doors) -> None:
    first = ok(doors.at_hub("put", "default/past/1", "v=1", "--json")).json
    assert first["outcome"] == "applied"
    ok(doors.at_hub("put", "default/past/1", "v=2"))
    then = ok(doors.at_hub("get", "default/past/1", "--as-of", str(first["revision"]), "--json"))
    assert then.json["value"] == {"v": 1}
    history = ok(doors.at_hub("history", "default/past/1", "--json")).lines
    assert [one["ops"][0]["op"] for one in history] == ["patch", "put"]
    assert history[0]["previous_revision"] == first["revision"]


def test_conditions(doors: Doors) -> None:
    ok(doors.edge("put", "default/once/1", "a=1", "--if-absent"))
    again = doors.edge("put", "default/once/1", "a=2", "--if-absent")
    assert again.code == 1
    assert "try:" in again.err
    assert doors.edge("patch", "default/once/2", "a=2", "--if-exists").code == 1


@pytest.mark.promise("write.strong.decided")
def test_levels_of_writes(doors: Doors) -> None:
    ok(doors.edge("wait", "--synced", "--timeout", "30s"))
    claim = ("put", "default/locks/dock", "by=arm-3", "--level", "strong", "--if-absent")
    first = ok(doors.edge(*claim, "--json")).json
    assert first["outcome"] == "applied"
    for refused in (doors.edge(*claim), doors.at_hub(*claim)):
        assert refused.code == 1
        assert "try:" in refused.err
    for words in (["patch", "a=1"], ["put", "a=1"]):
        ok(doors.edge(words[0], "default/locks/1", words[1], "--max-pending", "9"))
    ok(doors.at_hub("delete", "default/locks/1", "--level", "bounded", "--max-age", "1h"))


def test_watching_tells_each_commit_on_a_line(doors: Doors) -> None:
    socket = str(doors.edge_process.socket)
    arguments = ["watch", "default/watched", "--json", "--bookmarks"]
    with start("edge-agent", arguments, HOLDFAST_SOCKET=socket) as watching:
        try:
            assert watching.stdout is not None
            assert json.loads(watching.stdout.readline())["event"] == "bookmark"
            ok(doors.at_hub("put", "default/watched/1", "n=1", "--actor", "ann:human"))
            events = iter(watching.stdout.readline, "")
            event = next(e for line in events if (e := json.loads(line))["event"] == "commit")
        finally:
            watching.terminate()
    assert event["actor"] == {"id": "ann", "kind": "human"}
    assert event["outcome"] == "applied"
    assert [one["value"] for one in event["changes"]] == [{"n": 1}]
    ok(doors.at_hub("put", "default/watched/2", "n=2"))
    resumed = doors.edge(
        "watch", "default/watched", "--resume", event["resume"], "--limit", "1", "--json"
    )
    assert [one["path"] for one in resumed.json["changes"]] == ["default/watched/2"]


# -- the edge itself, and the fleet ------------------------------------------------------------


def test_the_edge_tells_of_itself(doors: Doors) -> None:
    ok(doors.edge("wait", "--synced"))
    status = ok(doors.edge("status", "--json")).json
    assert status["edge"] == "edge-1"
    assert status["connected"] is True
    assert status["pending"] == 0
    assert status["spaces"][0]["staleness_ms"] is not None
    assert [space["space"] for space in status["spaces"]] == ["default"]
    assert "link: streaming" in ok(doors.edge("status")).out
    assert ok(doors.edge("scopes", "--json")).lines == [{"space": "default", "collection": None}]


def test_the_doctor_finds_an_edge_well_or_says_what_to_do(doors: Doors) -> None:
    ok(doors.edge("wait", "--synced"))
    checks = ok(doors.edge("doctor", "--data", str(doors.edge_process.data), "--json")).lines
    assert {one["check"] for one in checks} == {
        *("sqlite", "clock", "directory", "disk", "outbox.db", "replica.db", "socket", "hub"),
        *("link", "clock skew", "alarms", "outbox"),
    }
    absent = doors.edge("doctor", "--socket", "absent.sock")
    assert absent.code == 1
    assert "there is no such socket" in absent.out


def test_what_waits_for_the_hub_is_listed(doors: Doors) -> None:
    ok(doors.edge("pause"))
    try:
        ok(doors.edge("put", "default/later/1", "a=1", "--actor", "ann"))
        waits = doors.edge("wait", "--synced", "--timeout", "500ms")
        assert waits.code == 1
        (entry,) = ok(doors.edge("outbox", "--json")).lines
    finally:
        ok(doors.edge("resume"))
    assert entry["actor"] == {"id": "ann", "kind": "human"}
    assert entry["ops"] == [{"op": "put", "path": "default/later/1", "value": {"a": 1}}]
    ok(doors.edge("wait", "--synced"))
    assert ok(doors.edge("outbox", "--json")).lines == []


def test_the_hub_tells_of_its_edges_and_spaces(doors: Doors) -> None:
    ok(doors.edge("put", "default/any/1", "a=1", "--wait"))
    ok(doors.edge("wait", "--synced"))
    status = ok(doors.at_hub("status", "--json")).json
    assert status["database"] == "sqlite"
    assert status["connected_edges"] == 1
    (edge,) = ok(doors.at_hub("edges", "--json")).lines
    assert (edge["edge"], edge["connected"], edge["pending"]) == ("edge-1", True, 0)
    (space,) = ok(doors.at_hub("spaces", "--json")).lines
    mine = ok(doors.edge("status", "--json")).json["spaces"][0]
    assert space["digests"] == mine["digests"]
    assert space["revision"] == mine["revision"]


def test_conflicts_are_listed(doors: Doors) -> None:
    ok(doors.edge("put", "default/contested/1", "a=0", "--wait"))
    ok(doors.edge("pause"))
    try:
        ok(doors.edge("patch", "default/contested/1", "a=1"))
        ok(doors.at_hub("patch", "default/contested/1", "a=2"))
    finally:
        ok(doors.edge("resume"))
    ok(doors.edge("wait", "--synced"))
    (found,) = [
        one
        for one in ok(doors.at_hub("conflicts", "list", "default", "--json")).lines
        if one["collection"] == "contested"
    ]
    assert found["field"] == "a"
    assert {found["ours"]["value"], found["theirs"]["value"]} == {1, 2}
    assert "contested/1" in ok(doors.at_hub("conflicts", "list")).out
    lost = found["ours" if found["winner"] == "theirs" else "theirs"]["value"]
    id_ = found["id"].lstrip("0")
    shown = ok(doors.at_hub("conflicts", "show", id_))
    assert "a\t0\t" in shown.out, "the base stands beside both sides"
    ok(doors.at_hub("conflicts", "undo", id_, "--note", "it was right", "--actor", "ann:human"))
    assert ok(doors.at_hub("get", "default/contested/1", "--json")).json["value"]["a"] == lost
    ok(doors.edge("wait", "--synced"))
    (undone,) = ok(doors.edge("conflicts", "list", "--state", "undone", "--json")).lines
    assert (undone["id"], undone["answer"]["note"]) == (found["id"], "it was right")
    ok(doors.edge("conflicts", "undo", id_, "--wait"))
    refused = doors.edge("conflicts", "resolve", id_, "ours")
    assert (refused.code, "undo it" in refused.err) == (1, True)
    assert "write an id" in doors.edge("conflicts", "show", "nothing").err
    assert doors.edge("conflicts", "show", "ff").code == 4


# -- how it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["get", "default/absent/1"], 4),
        (["history", "default/absent/1"], 4),
        (["get", "elsewhere/a/1"], 1),
        (["get", "default/absent"], 1),
        (["put", "default/bad name/1", "a=1"], 1),
        (["put", "default/_policies/x", "a=1"], 1),
        (["put", "default/things/1", "[1]"], 2),
        (["put", "default/things/1", '{"a": 1'], 1),
        (["put", "default/things/1", '{"a": 1, "a": 2}'], 1),
        (["list", "default/things", "--filter", "value.("], 1),
        (["watch", "default", "--resume", "xyz"], 2),
        (["put", "default/things/1", "a=1", "--actor", "x:ghost"], 2),
        (["unheard-of"], 2),
        (["status", "--socket", "absent.sock"], 3),
    ],
)
def test_errors_say_what_to_do(doors: Doors, arguments: list[str], code: int) -> None:
    done = doors.edge(*arguments)
    assert done.code == code, done
    assert done.out == ""
    assert "Traceback" not in done.err
    if code == 2:
        assert "Error:" in done.err
    else:
        said, advised = done.err.splitlines()
        assert said.startswith("error: ")
        assert len(advised.removeprefix("  try: ")) > 10


@pytest.mark.parametrize(
    ("program", "arguments", "said"),
    [
        ("cloud-hub", ["--data", "h", "--insecure", "--listen", "0.0.0.0:1"], "without encryption"),
        ("cloud-hub", ["--data", "h"], "no certificate"),
        ("cloud-hub", ["--insecure"], "neither is given"),
        ("edge-agent", ["--data", "e", "--hub", "10.1.2.3:7443"], "without encryption"),
        ("edge-agent", ["--data", "e"], "hub.address is not set"),
        ("edge-agent", ["--data", "e", "--hub", "[::1]:1", "--scope", "a/b/c"], "not implemented"),
        ("edge-agent", ["--config", "absent.toml"], "No such file"),
    ],
)
def test_a_daemon_does_not_start_on_a_wrong_setting(
    tmp_path: Path, program: str, arguments: list[str], said: str
) -> None:
    done = run(program, "run", *arguments, cwd=tmp_path)
    assert done.code == 78
    assert said in done.err
    assert "  try: " in done.err
    assert not list(tmp_path.iterdir()), "nothing was made"


def test_a_directory_and_a_port_belong_to_one_daemon(doors: Doors, tmp_path: Path) -> None:
    used = str(doors.hub.data)
    second = run("cloud-hub", "run", "--insecure", "--listen", "127.0.0.1:0", "--data", used)
    assert second.code == 1
    assert "is in use by process" in second.err
    address, fresh = doors.hub.address, str(tmp_path / "fresh")
    second = run("cloud-hub", "run", "--insecure", "--listen", address, "--data", fresh)
    assert second.code == 1
    assert "cannot listen" in second.err


def test_versions() -> None:
    import holdfast

    for program in ("edge-agent", "cloud-hub"):
        assert holdfast.__version__ in ok(run(program, "--version")).out


def test_a_terminal_gets_tables(doors: Doors) -> None:
    ok(doors.edge("put", "default/drawn/1", "a=1"))
    near, far = pty.openpty()
    command = [str(BIN / "edge-agent"), "list", "default/drawn"]
    variables = environment({"HOLDFAST_SOCKET": str(doors.edge_process.socket), "COLUMNS": "120"})
    with subprocess.Popen(command, stdout=far, env=variables) as process:
        os.close(far)
        shown = b""
        while select.select([near], [], [], 10)[0]:
            try:
                shown += os.read(near, 10_000)
            except OSError:
                break
    os.close(near)
    assert process.returncode == 0
    assert b"WRITTEN_AT" in shown
    assert b"default/drawn/1" in shown


# -- checkpoints -------------------------------------------------------------------------------


def test_checkpoints_are_shown_and_gone_back_to(doors: Doors, tmp_path: Path) -> None:
    with Client(f"unix:{doors.edge_process.socket}", ("planner", "ai")) as client:
        state = {"step": 1, "plan": ["a", "b"]}
        first = client.checkpoints.save_checkpoint("run/7", state, {"raw": b"\x00" * 2_000})
        second = client.checkpoints.save_checkpoint("run/7", {"step": 2}, name="here")
    (thread,) = ok(doors.edge("checkpoints", "threads", "--json")).lines
    assert (thread["thread"], thread["held_here"]) == ("run/7", True)
    rows = ok(doors.edge("checkpoints", "list", "run/7", "--json")).lines
    assert [row["id"] for row in rows] == [second.id, first.id]
    assert "here" in ok(doors.edge("checkpoints", "list", "run/7", "--named")).out
    assert "planner" in ok(doors.edge("checkpoints", "show", "run/7")).out
    shown = ok(doors.edge("checkpoints", "show", "run/7", first.id, "--json")).json
    assert shown["parts"]["raw"]["size"] == 2_000
    told = ok(doors.edge("checkpoints", "diff", "run/7", first.id)).out
    assert "state\t/step\tchanged\t1\t2" in told
    dry = ok(doors.edge("checkpoints", "restore", "run/7", first.id, "--dry-run", "--json")).lines
    assert {row["change"] for row in dry} == {"changed", "added"}
    assert len(ok(doors.edge("checkpoints", "list", "run/7", "--json")).lines) == 2
    *_, made = ok(doors.edge("checkpoints", "restore", "run/7", first.id, "--json")).lines
    assert made["parent"] == second.id
    fork = ok(doors.edge("checkpoints", "fork", "run/7", second.id, "--json")).json
    assert fork["parent"] == second.id
    out = run(
        "edge-agent", *("checkpoints", "export", "run/7", second.id, "--part", "state"),
        HOLDFAST_SOCKET=str(doors.edge_process.socket),
    ).out  # fmt: skip
    assert out == '{"step":2}'
    folder = tmp_path / "out"
    ok(doors.edge("checkpoints", "export", "run/7", first.id, "--to", str(folder)))
    told = json.loads((folder / "checkpoint.json").read_text())
    assert (folder / told["parts"]["raw"]["file"]).read_bytes() == b"\x00" * 2_000
    assert doors.edge("checkpoints", "export", "run/7", "--to", str(folder)).code == 2
    ok(doors.edge("wait", "--synced"))
    refused = doors.at_hub("checkpoints", "prune", "run/7", "--last", "1")
    assert (refused.code, "is held by" in refused.err) == (1, True)
    pruned = ok(doors.edge("checkpoints", "prune", "run/7", "--last", "1", "--dry-run", "--json"))
    assert pruned.json["gone"] == 1
    ok(doors.edge("checkpoints", "prune", "run/7", "--last", "1"))
    ok(doors.edge("checkpoints", "release", "run/7"))
    ok(doors.edge("wait", "--synced"))
    assert ok(doors.at_hub("checkpoints", "take", "run/7", "--json")).json["holder"] == "hub"
    ok(doors.at_hub("checkpoints", "delete", "run/7"))
    assert doors.at_hub("checkpoints", "show", "run/7").code == 4
