"""The settings of a daemon on its command line: what `run` takes, and `config check` and `config
show`, which take the same.

A daemon names its flags once, by the setting that each stands for. So what `config show` prints is
what `run` with the same words would use, and where each value comes from.

Invariant: a secret is never printed.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from holdfast.host.commands import epilog, output_option
from holdfast.host.config import Loaded, Row
from holdfast.host.output import Output
from holdfast.shell import printing

Option = Callable[[Any], Any]
"""A click option, as a decorator."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a command line says of settings."""

    files: tuple[Path, ...]
    flags: Mapping[str, object]


Read = Callable[[Sequence[Path], Mapping[str, str], Mapping[str, object]], Loaded[Any]]
"""Reads files, environment and flags. Raises HostError."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The settings of a program that have a flag. The parameter of the option for `hub.address`
    is named `hub__address`."""

    program: str
    prefix: str
    options: Mapping[str, Option]
    read: Read

    def taken(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Gives a command all of these options, and its function `given`."""
        names = {key.replace(".", "__"): key for key in self.options}

        @functools.wraps(function)
        def command(*args: Any, files: tuple[Path, ...], **options: Any) -> Any:
            flags = {key: options.pop(name) for name, key in names.items()}
            # A repeatable option that was not given is an empty tuple.
            told = {key: None if value == () else value for key, value in flags.items()}
            return function(*args, given=Given(files, told), **options)

        decorated: Callable[..., Any] = self._config_option()(command)
        for option in reversed(list(self.options.values())):
            decorated = option(decorated)
        return decorated

    def loaded(self, given: Given) -> Loaded[Any]:
        """The settings as they are now in files and environment. Raises HostError."""
        return self.read(given.files, os.environ, given.flags)

    def _config_option(self) -> Option:
        return click.option(
            "--config", "files", multiple=True, type=click.Path(path_type=Path),
            help="A TOML file, or a directory of them; repeatable, the later one wins."
            f" {self.prefix}__SECTION__KEY in the environment wins over files, flags over both.",
        )  # fmt: skip


def log_level() -> Option:
    """The option for `log.level`, in any case."""
    return click.option(
        "--log-level", "log__level", callback=lambda _context, _option, text: text and text.upper(),
        help="DEBUG, INFO, WARNING or ERROR.",
    )  # fmt: skip


def command(flags: Flags) -> click.Group:
    """The group `config`."""
    program = flags.program
    example = f"{program} config check --config /etc/holdfast/{program}.toml"

    @click.group("config", epilog=epilog(example))
    def config() -> None:
        """Settings: are they in order, what is in force, and where does it come from?"""

    config.add_command(_check(flags, example))
    config.add_command(_show(flags))
    return config


def _check(flags: Flags, example: str) -> click.Command:
    @click.command("check", epilog=epilog(example))
    @flags.taken
    @output_option
    def check(given: Given, output: Output) -> None:
        """Read all settings as `run` would, without starting anything. Ends with code 78 at the
        first that is wrong."""
        rows = flags.loaded(given).rows
        told = [row for row in rows if row.origin != "default"]
        text = f"the settings are in order: {len(told)} given, {len(rows) - len(told)} by default"
        output.event({"ok": True, "settings": len(rows), "given": len(told)}, text)

    return check


def _show(flags: Flags) -> click.Command:
    program = flags.program

    @click.command(
        "show",
        epilog=epilog(f"{program} config show --config /etc/holdfast/{program}.toml --json"),
    )
    @flags.taken
    @output_option
    def show(given: Given, output: Output) -> None:
        """Show every setting, its value, and where that comes from. JSON: one object a line."""
        rows = map(_row, flags.loaded(given).rows)
        printing.show(output, ("setting", "value", "from"), rows)

    return show


def _row(row: Row) -> tuple[printing.Document, tuple[str, ...]]:
    document = {"setting": row.key, "value": row.shown, "from": row.origin}
    return document, (row.key, row.shown, row.origin)
