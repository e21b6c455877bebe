"""Settings: where they come from, which one wins, and what is refused in which words."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from holdfast.host.config import SECRET_SHOWN, ConfigError, Loaded, load, setting

PREFIX = "HOLDFAST_EDGE"


@dataclass(frozen=True, slots=True)
class Hub:
    address: str = setting(check=lambda text: ":" in text, allowed="HOST:PORT")
    token: str | None = setting(None, secret=True)
    retry_ms: int = setting(1000, check=lambda ms: 0 < ms <= 60_000, allowed="1 to 60000")


@dataclass(frozen=True, slots=True)
class Disk:
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    path: Path = Path("data")
    spaces: tuple[str, ...] = ()
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Settings:
    hub: Hub
    disk: Disk
    verbose: bool = False
    labels: tuple[int, ...] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.verbose and self.hub.retry_ms < 10:
            raise ValueError("verbose and so short a retry fill the disk with log lines")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text('[hub]\naddress = "file:1"\nretry_ms = 5\n[disk]\nspaces = ["a", "b"]\n')
    return path


def read(*files: Path, env: dict[str, str] | None = None, **flags: object) -> Loaded[Settings]:
    named = {key.replace("__", "."): value for key, value in flags.items()}
    return load(Settings, prefix=PREFIX, files=files, env=env, flags=named)


def refusal(*files: Path, env: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as refused:
        read(*files, env=env, **flags)
    assert refused.value.exit_code == 78
    return str(refused.value)


def test_later_sources_win_and_each_value_names_its_own(tmp_path: Path, file: Path) -> None:
    second = tmp_path / "more.toml"
    second.write_text("[hub]\nretry_ms = 7\n")
    env = {"HOLDFAST_EDGE__DISK__SHARE": "0.25", "HOLDFAST_EDGE__VERBOSE": "no", "OTHER": "x"}
    loaded = read(file, second, env=env, hub__address="flag:2", hub__token=None)
    assert loaded.value == Settings(
        hub=Hub(address="flag:2", token=None, retry_ms=7),
        disk=Disk(spaces=("a", "b"), share=0.25),
    )
    origins = {row.key: row.origin for row in loaded.rows}
    assert origins == {
        "hub.address": "flag",
        "hub.token": "default",
        "hub.retry_ms": f"{second}:2",
        "disk.synchronous": "default",
        "disk.path": "default",
        "disk.spaces": f"{file}:5",
        "disk.share": "environment HOLDFAST_EDGE__DISK__SHARE",
        "verbose": "environment HOLDFAST_EDGE__VERBOSE",
        "labels": "default",
    }
    assert loaded.origin("hub.address") == "flag"


def test_the_environment_is_read_by_type() -> None:
    values = {
        "HUB__ADDRESS": "h:1",
        "HUB__TOKEN": "",
        "HUB__RETRY_MS": "20",
        "DISK__SYNCHRONOUS": "NORMAL",
        "DISK__PATH": "/var/lib/x",
        "DISK__SPACES": "control, bulk",
        "VERBOSE": "1",
        "LABELS": "1,2",
    }
    value = read(env={f"{PREFIX}__{name}": text for name, text in values.items()}).value
    assert value.hub == Hub("h:1", None, 20)
    assert value.disk == Disk("NORMAL", Path("/var/lib/x"), ("control", "bulk"), 0.5)
    assert value.verbose is True
    assert value.labels == (1, 2)


def test_a_secret_is_never_shown() -> None:
    loaded = read(hub__address="h:1", hub__token="s3cret")
    assert loaded.value.hub.token == "s3cret"
    assert {row.key: row.shown for row in loaded.rows}["hub.token"] == SECRET_SHOWN
    assert "s3cret" not in repr(loaded.rows)
    assert "s3cret" not in refusal(hub__address="h:1", hub__token=b"s3cret")


def test_a_missing_setting_says_how_to_give_it() -> None:
    said = refusal()
    assert "hub.address is not set" in said
    assert "HOST:PORT" in said
    assert "HOLDFAST_EDGE__HUB__ADDRESS" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[hub]\nadress = 'h:1'", [":2: hub.adress", "did you mean hub.address"]),
        ("colour = 1", ["colour is not a setting", "known are"]),
        ("hub = 1", ["hub is not a setting"]),
        ("[disk.path]\nx = 1", [":1: disk.path", "give a path"]),
        ("[hub]\n\nretry_ms = '5'", [":3: hub.retry_ms: '5' is not allowed", "1 to 60000"]),
        ("hub.retry_ms = 0 # at all", [":1: hub.retry_ms: 0", "1 to 60000"]),
        ("[hub]\nx = 1\n[hub.more]\ny = 1", [":2: hub.x"]),
        ("[hub]\nretry_ms = true", ["hub.retry_ms: True"]),
        ("[hub]\nretry_ms = 0", ["hub.retry_ms: 0", "1 to 60000"]),
        ("[hub]\naddress = 'h'", ["hub.address: 'h'", "HOST:PORT"]),
        ("[disk]\nsynchronous = 'OFF'", ["'OFF'", "one of FULL, NORMAL"]),
        ("[disk]\nspaces = 'a'", ["a list, each text"]),
        ("[disk]\nspaces = [1]", ["a list, each text"]),
        ("[hub]\nx", ["must be TOML", "document"]),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(text)
    said = refusal(path)
    assert str(path) in said
    for part in words:
        assert part in said


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("HUB__RETRY_MS", "soon", "environment HOLDFAST_EDGE__HUB__RETRY_MS: hub.retry_ms: 'soon'"),
        ("VERBOSE", "maybe", "true or false"),
        ("DISK__SHARE", "x", "a number"),
        ("HUB__ADRESS", "h:1", "did you mean hub.address"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(name: str, text: str, words: str) -> None:
    assert words in refusal(env={f"{PREFIX}__{name}": text}, hub__address="h:1")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"x = '\xff'")
    for name in ("absent.toml", "latin.toml"):
        assert str(tmp_path / name) in refusal(tmp_path / name)


def test_settings_that_do_not_fit_each_other_are_refused(file: Path) -> None:
    assert "fill the disk" in refusal(file, verbose=True)


def test_a_directory_stands_for_its_files_by_name(tmp_path: Path, file: Path) -> None:
    more = tmp_path / "edge.d"
    more.mkdir()
    (more / "20-late.toml").write_text("hub.retry_ms = 20")
    (more / "10-early.toml").write_text("hub.retry_ms = 10\nverbose = true")
    (more / "notes.txt").write_text("this is no setting")
    loaded = read(file, more)
    assert (loaded.value.hub.retry_ms, loaded.value.verbose) == (20, True)
    assert loaded.origin("verbose") == f"{more / '10-early.toml'}:2"


def test_what_is_offered_stands_only_if_nobody_says_otherwise(file: Path) -> None:
    offer = {"disk.path": ("/var/lib/x", "environment STATE_DIRECTORY")}
    alone = load(Settings, prefix=PREFIX, files=[file], offered=offer)
    assert alone.value.disk.path == Path("/var/lib/x")
    assert alone.origin("disk.path") == "environment STATE_DIRECTORY"
    other = load(Settings, prefix=PREFIX, files=[file], flags={"disk.path": "/x"}, offered=offer)
    assert other.value.disk.path == Path("/x")


def test_a_line_is_told_only_where_it_is_plain_to_see(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text("hub = { address = 'h:1', retry_ms = 0 }")
    assert f"{path}: hub.retry_ms: 0" in refusal(path)
    path.write_text("[hub]\naddress = '''h:1\nretry_ms = 1\n'''\nretry_ms = 0")
    assert f"{path}: hub.retry_ms: 0" in refusal(path)


def test_what_a_program_refuses_later_is_named_too(file: Path) -> None:
    loaded = read(file)
    refused = pytest.raises(ConfigError, match=f"{file}:2: hub.address: cannot be dialled")
    with refused, loaded.naming("hub.address"):
        raise ConfigError("cannot be dialled", "dial another one")
