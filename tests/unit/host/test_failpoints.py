"""Failpoints: free and harmless unless armed; exact when they are."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from holdfast.host import failpoints
from holdfast.host.failpoints import (
    FailpointError,
    FailpointsMalformed,
    arm_from_environment,
    armed,
    declare,
    declared,
    hits,
)

PLACE = declare("test.place")
OTHER = declare("test.place.other")


def env(text: str, switch: str = "1") -> dict[str, str]:
    return {"HOLDFAST_TEST": switch, "HOLDFAST_FAILPOINTS": text}


@pytest.fixture(autouse=True)
def _disarmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_armed", {})


async def test_a_place_that_is_not_armed_does_nothing() -> None:
    PLACE()
    await PLACE.reached()


def test_places_can_be_listed_and_are_declared_once() -> None:
    assert {"test.place", "test.place.other"} <= set(declared())
    with pytest.raises(AssertionError, match="twice"):
        declare("test.place")
    with pytest.raises(AssertionError, match="not like"):
        declare("Place")


def test_nothing_is_armed_without_the_switch() -> None:
    assert arm_from_environment(env("test.place=crash", switch="")) == ()
    assert arm_from_environment({"HOLDFAST_FAILPOINTS": "test.place=crash"}) == ()
    assert arm_from_environment({"HOLDFAST_TEST": "1"}) == ()
    PLACE()


async def test_an_error_comes_at_every_hit_or_at_the_one_asked_for() -> None:
    rules = "test.place=error; test.place.other=error@2;"
    assert arm_from_environment(env(rules)) == ("test.place", "test.place.other")
    for _ in range(2):
        with pytest.raises(FailpointError, match=r"test\.place"):
            PLACE()
    OTHER()
    with pytest.raises(FailpointError):
        await OTHER.reached()
    OTHER()
    assert hits("test.place.other") == 3


async def test_a_delay_leaves_the_loop_to_others() -> None:
    with armed("test.place=delay:600000") as arming:
        waiting = asyncio.create_task(PLACE.reached())
        await asyncio.sleep(0)
        assert arming.hits == 1
        assert not waiting.done()
        waiting.cancel()


def test_a_delay_in_a_function_blocks_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with armed("test.place=delay:50@2"):
        PLACE()
        PLACE()
        PLACE()
    assert slept == [0.05]


def test_arming_ends_with_its_block_and_may_be_nested() -> None:
    with armed("test.place=count") as outer:
        with armed("test.place=error"), pytest.raises(FailpointError):
            PLACE()
        PLACE()
    PLACE()
    assert outer.hits == 1


@pytest.mark.parametrize(
    "text",
    ["test.place", "test.place=explode", "test.place=delay", "test.place=crash:5", "=crash",
     "test.place=error@0", "test.place=delay:999999", "test.absent=crash"],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(FailpointsMalformed) as refused:
        arm_from_environment(env(text))
    assert "HOLDFAST_FAILPOINTS" in str(refused.value)
    assert refused.value.exit_code == 78


PROGRAM = """
import os
from holdfast.host.failpoints import arm_from_environment, declare
place = declare("test.place")
arm_from_environment(os.environ)
for n in range(3):
    place()
    print(n, flush=True)
"""


def start(rule: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **env(rule)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_crash_is_a_kill() -> None:
    with start("test.place=crash@2") as process:
        assert process.stdout is not None
        assert process.stdout.read() == "0\n"
    assert process.returncode == -signal.SIGKILL


def test_a_pause_lasts_until_it_is_continued() -> None:
    with start("test.place=pause@2") as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.read() == "0\n1\n2\n"
    assert process.returncode == 0
