"""How a command line ends: its exit code, and what is said on stderr."""

import json
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import click
import pytest

from holdfast.errors import HoldfastError, NotFound, Unavailable
from holdfast.host import commands
from holdfast.host.commands import ExitCode, epilog, explain, output_option
from holdfast.host.config import ConfigError
from holdfast.host.output import Output
from holdfast.host.sqlite_errors import DiskFull

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a program of one command, `do`, whose body is the function given."""

    def run(body: Callable[[], Any], *arguments: str) -> int:
        @click.group(epilog=epilog("tool do"))
        def tool() -> None:
            """A tool."""

        tool.command("do")(body)
        module = types.ModuleType("a_tool")
        module.cli = tool  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "a_tool", module)
        return commands.run(
            "a_tool:cli", program="tool", extra="edge", arguments=arguments or ("do",)
        )

    return run


def raising(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("RECORD_NOT_FOUND", "no default/a/b"), ExitCode.NOT_FOUND),
        (Unavailable("DOOR_UNREACHABLE", "no daemon at x"), ExitCode.UNREACHABLE),
        (Unavailable("HUB_UNREACHABLE", "no hub"), ExitCode.UNREACHABLE),
        (HoldfastError("OUTBOX_FULL", "full"), ExitCode.REFUSED),
        (DiskFull("x.db: full"), ExitCode.REFUSED),
        (ConfigError("edge.toml: hub.adress is not a setting", "spell it"), 78),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (click.Abort(), ExitCode.INTERRUPTED),
        (click.UsageError("no such key"), ExitCode.USAGE),
        (click.ClickException("cannot"), ExitCode.REFUSED),
    ],
)
def test_every_kind_of_error_has_its_code(run: Run, error: BaseException, code: int) -> None:
    assert run(raising(error)) == code


def test_an_error_is_two_lines_on_stderr(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(raising(ConfigError("edge.toml: hub.adress is not a setting", "spell it address")))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == ("error: edge.toml: hub.adress is not a setting\n  try: spell it address\n")


def test_a_bug_keeps_its_traceback(run: Run) -> None:
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()))
    assert explain(ZeroDivisionError()) is None


def test_done_is_zero_and_a_command_may_name_its_own_code(run: Run) -> None:
    assert run(lambda: None) == 0
    assert run(lambda: ExitCode.NOT_FOUND) == 4
    assert run(lambda: click.get_current_context().exit(3)) == 3


def test_a_wrong_command_line_is_two(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda: None, "undo") == ExitCode.USAGE
    assert "No such command" in capsys.readouterr().err


def test_help_shows_examples_and_exit_codes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda: None, "--help") == 0
    shown = capsys.readouterr().out
    assert "  Example:\n    tool do\n" in shown
    assert "     78  a setting is wrong" in shown
    for code in ExitCode:
        assert f"{code.value:>3}  {commands.MEANINGS[code]}" in shown


def test_json_is_an_option_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    @click.argument("key")
    @output_option
    def get(key: str, output: Output) -> None:
        """Gets."""
        output.facts({"key": key})

    get.main(["a", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == {"key": "a"}
    get.main(["a"], standalone_mode=False)
    assert capsys.readouterr().out == "key: a\n"


@pytest.mark.parametrize("missing", ["click", "aiosqlite"])
def test_a_missing_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    def no_module(name: str) -> object:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=f"{missing}.core")

    monkeypatch.setattr("importlib.import_module", no_module)
    assert commands.run("edge_agent.cli:cli", program="edge-agent", extra="edge") == 1
    said = capsys.readouterr().err
    assert f"edge-agent needs {missing}" in said
    assert "pip install 'holdfast[edge]'" in said


def test_a_module_of_ours_that_is_missing_is_a_bug() -> None:
    with pytest.raises(ModuleNotFoundError):
        commands.run("holdfast.absent:cli", program="x", extra="edge", arguments=())


PROGRAM = """
import sys, types, click
from holdfast.host import commands
tool = types.ModuleType("tool")
@click.command()
def cli():
    for number in range(100_000):
        print(number)
tool.cli = cli
sys.modules["tool"] = tool
sys.exit(commands.run("tool:cli", program="tool", extra="edge", arguments=()))
"""


def test_a_reader_that_leaves_is_not_an_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == ExitCode.REFUSED
