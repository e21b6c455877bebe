"""Settings read anew: what is taken, what is only named, and what leaves all as it was."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

from holdfast.host.config import ConfigError, Loaded, load, setting
from holdfast.host.reloading import Reloading


@dataclass(frozen=True, slots=True)
class Log:
    level: str = setting("INFO")


@dataclass(frozen=True, slots=True)
class Settings:
    log: Log
    name: str = setting("a")
    secret: str = setting("one", secret=True)


class Stage:
    """A daemon with flags that change."""

    def __init__(self) -> None:
        self.flags: dict[str, object] = {}
        self.taken: list[str] = []
        self.always: list[str] = []
        self.reloading = Reloading(
            self.read,
            self.read(),
            {
                "log.level": lambda settings: self.taken.append(settings.log.level),
                "secret": lambda settings: self.taken.append(settings.secret),
            },
            [lambda settings: self.always.append(settings.name)],
        )

    def read(self) -> Loaded[Settings]:
        return load(Settings, prefix="X", flags=self.flags)


def test_what_has_changed_is_taken_once() -> None:
    stage = Stage()
    stage.flags["log.level"] = "DEBUG"
    stage.reloading.reload()
    stage.reloading.reload()
    assert stage.taken == ["DEBUG"]
    assert stage.always == ["a", "a"], "files behind unchanged names are read every time"


def test_what_needs_a_restart_is_named_until_there_was_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.flags["name"] = "b"
    for _ in range(2):
        caplog.clear()
        stage.reloading.reload()
        assert "name is now b (flag), which needs a restart; until then it stays a" in caplog.text


def test_a_secret_is_taken_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.flags["secret"] = "two"
    with caplog.at_level(logging.INFO):
        stage.reloading.reload()
    assert stage.taken == ["two"]
    assert "two" not in caplog.text
    assert "secret is now (set, not shown)" in caplog.text


def test_of_wrong_settings_nothing_is_taken() -> None:
    stage = Stage()
    stage.flags |= {"log.level": "DEBUG", "nme": "b"}
    with pytest.raises(ConfigError, match="nme is not a setting"):
        stage.reloading.reload()
    assert stage.taken == stage.always == []
