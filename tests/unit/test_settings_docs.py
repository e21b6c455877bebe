"""What docs/operations.md and the examples say of settings is what the programs take."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from cloud_hub import commands as hub_commands
from cloud_hub import settings as hub_settings
from edge_agent import commands as edge_commands
from edge_agent import settings as edge_settings
from holdfast.host.config import keys_of
from holdfast.shell.settings import Flags

ROOT = Path(__file__).parents[2]
PROGRAMS: dict[str, tuple[type, Flags, click.Group]] = {
    "edge-agent": (edge_settings.Settings, edge_commands.SETTINGS, edge_commands.cli),
    "cloud-hub": (hub_settings.Settings, hub_commands.SETTINGS, hub_commands.cli),
}


def _documented(program: str) -> dict[str, str]:
    """Setting and flag of each row of the table of a program."""
    text = (ROOT / "docs" / "operations.md").read_text()
    _, _, rest = text.partition(f"<!-- settings of {program} -->")
    row = re.compile(r"^\| `([\w.]+)`[^|]*\| (?:`(--[\w-]+)`)?", re.MULTILINE)
    return dict(row.findall(rest.partition("\n\n")[0]))


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_setting_is_documented_with_its_flag(program: str) -> None:
    settings, flags, cli = PROGRAMS[program]
    options = {param.name: param.opts[0] for param in cli.commands["run"].params}
    expected = {
        key: options[key.replace(".", "__")] if key in flags.options else ""
        for key in keys_of(settings)
    }
    assert _documented(program) == expected


def _keys(table: dict[str, Any], section: str = "") -> set[str]:
    found: set[str] = set()
    for name, value in table.items():
        found |= _keys(value, f"{section}{name}.") if isinstance(value, dict) else {section + name}
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_example_has_only_settings_that_exist_commented_or_not(program: str) -> None:
    text = (ROOT / "deploy" / "systemd" / f"{program}.toml").read_text()
    known = set(keys_of(PROGRAMS[program][0]))
    assert _keys(tomllib.loads(text)) <= known
    # What is commented out is a setting, or the continuation of a sentence, which has no "=".
    shown = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert _keys(shown) <= known
