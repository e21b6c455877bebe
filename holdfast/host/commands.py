"""The frame of both command lines: exit codes, errors in words, `--json`, and what to do when a
part is missing.

A program's entry point is `run("edge_agent.cli:cli", program="edge-agent", extra="edge")`. The
commands themselves use click and live in the daemons; this module loads it only when it is there,
since the base install has none.

An error is known by its attributes (`reason`, `message`, `remedy`), whichever package it comes
from: it is printed as two lines on stderr and becomes an exit code. Anything else is a bug and
keeps its traceback.

Invariant: a program ends with one of `ExitCode`.
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, TextIO

from holdfast.host.output import Output

OUR_PACKAGES = frozenset({"holdfast", "sync", "edge_agent", "cloud_hub"})


class ExitCode(IntEnum):
    """How a command ends; part of its interface."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    CONFIGURATION = 78
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.REFUSED: "refused or failed; stderr says why and what to do",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.UNREACHABLE: "the daemon cannot be reached",
    ExitCode.NOT_FOUND: "there is no such thing",
    ExitCode.CONFIGURATION: "a setting is wrong; restarting does not help",
    ExitCode.INTERRUPTED: "ended by Ctrl-C",
}


def run(entry: str, *, program: str, extra: str, arguments: Sequence[str] | None = None) -> int:
    """Runs the click command at `entry` ("package.module:name") and returns the exit code.

    `extra` is what has to be installed for it; `arguments` are the process's own if None.
    """
    try:
        module, _, name = entry.partition(":")
        command = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OUR_PACKAGES:
            raise
        _complain(
            f"{program} needs {missing or 'a package'}, which is not installed",
            f"pip install 'holdfast[{extra}]'",
        )
        return ExitCode.REFUSED
    return _invoke(command, program, arguments)


def _invoke(command: Any, program: str, arguments: Sequence[str] | None) -> int:
    import click

    try:
        # Not standalone: click would end the process itself, with codes of its own.
        result = command.main(args=arguments, prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE if isinstance(error, click.UsageError) else ExitCode.REFUSED
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except Exception as error:
        code = explain(error)
        if code is None:
            raise
        return code
    return result if isinstance(result, int) else ExitCode.OK


def explain(error: BaseException, stream: TextIO | None = None) -> ExitCode | None:
    """Prints a known error with its remedy, and says how to end. None, and nothing printed, for any
    other."""
    message, reason = getattr(error, "message", None), getattr(error, "reason", None)
    if not isinstance(message, str) or not isinstance(reason, str):
        return None
    _complain(message or reason, str(getattr(error, "remedy", "") or ""), stream)
    return _exit_code(error, reason)


def _exit_code(error: BaseException, reason: str) -> ExitCode:
    """The few cases that a script acts upon have codes of their own; every other is REFUSED."""
    if getattr(error, "exit_code", None) == ExitCode.CONFIGURATION:
        return ExitCode.CONFIGURATION
    if getattr(error, "status", None) == "NOT_FOUND":
        return ExitCode.NOT_FOUND
    return ExitCode.UNREACHABLE if reason.endswith("UNREACHABLE") else ExitCode.REFUSED


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a click command `--json`, and its function an `output`."""
    import functools

    import click

    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(function)
    def command(*args: Any, as_json: bool, **options: Any) -> Any:
        return function(*args, output=Output(as_json=as_json), **options)

    return command


def epilog(*examples: str) -> str:
    r"""The end of a command's help: examples, and what its exit codes mean.

    It is for click, which leaves blocks that begin with \b as they are.
    """
    shown = "\n".join(f"  {example}" for example in examples)
    codes = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())
    head = "Example" if len(examples) == 1 else "Examples"
    return f"\b\n{head}:\n{shown}\n\n\b\nExit codes:\n{codes}"


def _complain(message: str, remedy: str, stream: TextIO | None = None) -> None:
    target = sys.stderr if stream is None else stream
    target.write(f"error: {message}\n")
    if remedy:
        target.write(f"  try: {remedy}\n")


def _reader_left() -> ExitCode:
    # `... | head` has seen enough. Python would flush once more at exit, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.REFUSED
