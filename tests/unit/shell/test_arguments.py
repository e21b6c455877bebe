"""What is written on a command line, and the value that it means."""

from __future__ import annotations

import io
import json

import click
import pytest

from holdfast.shell.arguments import (
    ACTOR,
    DURATION,
    SIZE,
    additions,
    default_actor,
    json_object,
)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (['{"x": 1.50}'], '{"x": 1.50}'),
        (["x=1"], '{"x":1}'),
        (["x=1.50", "name=anna"], '{"x":1.50,"name":"anna"}'),
        (['name="anna"', "on=true", "gone=null"], '{"name":"anna","on":true,"gone":null}'),
        (["zip=01234"], '{"zip":"01234"}'),
        (["big=" + "9" * 5_000], '{"big":' + "9" * 5_000 + "}"),
        (["n=NaN", "i=Infinity"], '{"n":"NaN","i":"Infinity"}'),
        (["a=b=c"], '{"a":"b=c"}'),
        (["empty="], '{"empty":""}'),
        (["list=[1, 2]"], '{"list":[1, 2]}'),
        ([], "{}"),
    ],
)
def test_an_object_is_put_together_as_text(words: list[str], text: str) -> None:
    assert json_object(words) == text


def test_an_object_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}'))
    assert json.loads(json_object(["-"])) == {"a": 1}


@pytest.mark.parametrize("words", [["x"], ["=1"], ["a=1", "a=2"], ["[1]"]])
def test_what_is_no_object_is_refused(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        json_object(words)


def test_additions_are_integers() -> None:
    assert additions(["done=2", "left=-3"]) == {"done": 2, "left": -3}
    with pytest.raises(click.UsageError, match="only integers"):
        additions(["done=1.5"])


@pytest.mark.parametrize(
    ("text", "actor"),
    [
        ("maria", ("maria", "human")),
        ("arm-3:robot", ("arm-3", "robot")),
        ("a:b:ai", ("a:b", "ai")),
    ],
)
def test_an_actor_is_a_name_and_a_kind(text: str, actor: tuple[str, str]) -> None:
    assert ACTOR.convert(text, None, None) == actor


@pytest.mark.parametrize("text", ["arm:machine", ":robot"])
def test_what_is_no_actor_is_refused_with_the_kinds(text: str) -> None:
    with pytest.raises(click.BadParameter, match="robot, human, ai, system"):
        ACTOR.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("500ms", 0.5), ("2m", 120.0), ("1.5", 1.5), ("1h", 3600.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "soon", "-1s", "5 weeks"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="30s"):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "count"), [("1024", 1024), ("256MiB", 256 << 20), ("1gb", 10**9), ("2 KiB", 2048)]
)
def test_sizes(text: str, count: int) -> None:
    assert SIZE.convert(text, None, None) == count


def test_who_is_at_the_keyboard_is_human(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_actor()[1] == "human"

    def nobody() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert default_actor()[0].startswith("uid-")
