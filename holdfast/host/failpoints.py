"""Named places where a test can make the process crash, stop, wait or fail.

What a crash between two steps does is only known if a process really dies there. Each place is
declared once, beside the code that it interrupts:

    before_commit = declare("hub.commit.before")
    ...
    before_commit()            # in a function; `await before_commit.reached()` in a coroutine

and armed from outside: `HOLDFAST_TEST=1
HOLDFAST_FAILPOINTS="hub.commit.before=crash@3;edge.ack=delay:50"`. Actions: crash (as by kill -9),
pause (until SIGCONT), delay:MILLISECONDS, error (raises `FailpointError`), count (only counts).
`@3` means the third time only; without it, every time.

Invariant: without HOLDFAST_TEST=1 nothing can be armed, and a place costs one look into an empty
dict.
"""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, cast

from holdfast.host.errors import HostError

Action = Literal["crash", "pause", "delay", "error", "count"]

SWITCH = "HOLDFAST_TEST"
VARIABLE = "HOLDFAST_FAILPOINTS"
KILLED_STATUS = 137
"""What a shell reports for a process ended by SIGKILL."""

MAX_DELAY_MS = 600_000
"""Ten minutes outlast every time-out that a test could be about."""

_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
_RULE = re.compile(
    r"(?P<name>[\w.]+)=(?P<action>[a-z]+)(:(?P<delay>\d{1,6}))?(@(?P<hit>[1-9]\d{0,8}))?"
)


class FailpointError(Exception):
    """Raised where a test asked for an error."""


class FailpointsMalformed(HostError):
    """HOLDFAST_FAILPOINTS cannot be read, or names a place that does not exist."""

    reason = "CONFIGURATION"
    exit_code = 78
    default_remedy = (
        "write name=crash;name=delay:50;name=error@3 (crash, pause, delay:MS, error, count)"
    )


@dataclass(slots=True)
class Arming:
    """What is to happen at one place, and how often it was reached since."""

    action: Action
    delay_ms: int = 0
    only_hit: int | None = None
    hits: int = 0

    def due(self) -> bool:
        """Counts this hit; whether it is one on which to act."""
        self.hits += 1
        return self.only_hit is None or self.hits == self.only_hit


_declared: dict[str, "Failpoint"] = {}
_armed: dict[str, Arming] = {}


class Failpoint:
    """One place; made by `declare`."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> None:
        """Reached, in a function; a delay blocks the thread."""
        arming = _armed.get(self.name)
        if arming is not None and arming.due():
            self._act(arming)
            time.sleep(arming.delay_ms / 1000)

    async def reached(self) -> None:
        """Reached, in a coroutine; a delay leaves the loop to others."""
        arming = _armed.get(self.name)
        if arming is not None and arming.due():
            self._act(arming)
            await asyncio.sleep(arming.delay_ms / 1000)

    def _act(self, arming: Arming) -> None:
        if arming.action == "crash":
            crash()
        if arming.action == "pause":
            os.kill(os.getpid(), signal.SIGSTOP)
        if arming.action == "error":
            raise FailpointError(self.name)


def declare(name: str) -> Failpoint:
    """Makes the place known. Names are `side.what.where`; the same name twice is a mistake."""
    assert _NAME.fullmatch(name), f"{name} is not like hub.commit.before"
    assert name not in _declared, f"failpoint {name} is declared twice"
    _declared[name] = Failpoint(name)
    return _declared[name]


def declared() -> tuple[str, ...]:
    """The names of all places in the modules imported so far, sorted."""
    return tuple(sorted(_declared))


def hits(name: str) -> int:
    """How often an armed place was reached since it was armed."""
    return _armed[name].hits


def arm_from_environment(env: Mapping[str, str]) -> tuple[str, ...]:
    """Arms what HOLDFAST_FAILPOINTS says if HOLDFAST_TEST is 1, and returns the names; else
    nothing.

    Called by a daemon once its modules are imported: a name that none of them declares is refused,
    because a test whose crash never comes would pass. Raises `FailpointsMalformed`.
    """
    text = env.get(VARIABLE, "")
    if env.get(SWITCH) != "1" or not text:
        return ()
    rules = dict(_rule(part.strip()) for part in text.split(";") if part.strip())
    if unknown := sorted(set(rules) - set(_declared)):
        raise FailpointsMalformed(f"{VARIABLE}: there is no failpoint {', '.join(unknown)}")
    _armed.clear()
    _armed.update(rules)
    return tuple(sorted(rules))


@contextlib.contextmanager
def armed(rule: str) -> Iterator[Arming]:
    """Arms one place (`name=error@2`) for the length of a `with` block; for tests within one
    process."""
    name, arming = _rule(rule)
    assert name in _declared, f"there is no failpoint {name}"
    before = _armed.get(name)
    _armed[name] = arming
    try:
        yield arming
    finally:
        del _armed[name]
        if before is not None:
            _armed[name] = before


def crash() -> NoReturn:
    """Ends the process as loss of power would: nothing is flushed, no handler runs."""
    os.kill(os.getpid(), signal.SIGKILL)
    # The first process of a container cannot kill itself by signal.
    os._exit(KILLED_STATUS)


def _rule(text: str) -> tuple[str, Arming]:
    match = _RULE.fullmatch(text)
    if match is None or match["action"] not in ("crash", "pause", "delay", "error", "count"):
        raise FailpointsMalformed(f"{VARIABLE}: {text!r} is not a rule")
    delay_ms = int(match["delay"] or 0)
    if (match["action"] == "delay") != (match["delay"] is not None) or delay_ms > MAX_DELAY_MS:
        raise FailpointsMalformed(
            f"{VARIABLE}: {text!r}: delay, and only delay, has milliseconds, up to {MAX_DELAY_MS}"
        )
    hit = match["hit"]
    return match["name"], Arming(cast(Action, match["action"]), delay_ms, int(hit) if hit else None)
