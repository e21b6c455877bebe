"""Every command explains itself: what it does, an example that parses, what its exit codes mean."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from cloud_hub.commands import cli as cloud_hub
from edge_agent.commands import cli as edge_agent
from holdfast.demo.command import cli as demo

PROGRAMS = {"edge-agent": edge_agent, "cloud-hub": cloud_hub}
EXPECTED = {
    "edge-agent": "run config status get put patch delete add list watch history outbox scopes wait"
    " pause resume workflows doctor",
    "cloud-hub": "run config status edges spaces policies conflicts get put patch delete add list"
    " watch history workflows doctor",
}


def _walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for child, below in command.commands.items():
            yield from _walk(f"{name} {child}", below)


COMMANDS = dict(
    found
    for name, program in {**PROGRAMS, "make run": demo}.items()
    for found in _walk(name, program)
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_is_there(program: str) -> None:
    assert set(EXPECTED[program].split()) <= set(PROGRAMS[program].commands)


def _help(name: str) -> str:
    command = COMMANDS[name]
    with click.Context(command, info_name=name) as context:
        return command.get_help(context)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does_and_shows_an_example(name: str) -> None:
    text = _help(name)
    assert (COMMANDS[name].help or "").strip()
    assert re.search(rf"Examples?:\n +{re.escape(name)}", text), text
    assert "78  a setting is wrong" in text


@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if not isinstance(command, click.Group)]
)
def test_every_command_prints_json_if_asked(name: str) -> None:
    assert "--json" in _help(name)


def _examples() -> Iterator[str]:
    for name, command in COMMANDS.items():
        if name.startswith("make"):
            continue
        lines = (command.epilog or "").split("\n\n")[0].splitlines()[2:]
        yield from (line.strip() for line in lines)


@pytest.mark.parametrize("example", sorted(set(_examples())))
def test_an_example_is_a_command_line_of_its_program(example: str) -> None:
    program, *words = shlex.split(example)
    command: click.Command = PROGRAMS[program]
    context = click.Context(command, info_name=program)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
        context = click.Context(command, info_name=command.name, parent=context)
    command.parse_args(context, words)


PROGRAM = """
import sys
from holdfast.host import commands
code = commands.run("{program}.commands:cli", program="x", extra="x", arguments={arguments!r})
print(code, *sys.modules)
"""


@pytest.mark.parametrize("program", ["edge_agent", "cloud_hub"])
@pytest.mark.parametrize("arguments", [["--help"], ["get", "default/a/b"]])
def test_a_question_does_not_load_the_daemon(program: str, arguments: list[str]) -> None:
    where = ["--socket", "/nowhere/a.sock"] if program == "edge_agent" else ["--hub", "127.0.0.1:1"]
    given = arguments if arguments == ["--help"] else [*arguments, *where]
    source = PROGRAM.format(program=program, arguments=given)
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    heavy = {"aiosqlite", "asyncpg", "sqlite3", "uvloop", "rich", "cel", "edge_agent.daemon"}
    assert loaded & (heavy | {"cloud_hub.hub"}) == set()
