"""Calling a StateService as a client does: a deadline, an answer, a refusal, or nobody knows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from google.rpc import error_details_pb2, status_pb2

from holdfast.host.refusal import Refusal
from tests.simulation.processes import Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class Door(Protocol):
    """A machine at which agents ask."""

    name: str
    process: Process | None

    @property
    def up(self) -> bool: ...

    @property
    def service(self) -> Any: ...

    @property
    def conflicts(self) -> Any: ...


UNREACHABLE = "unreachable"


@dataclass(slots=True)
class Answer:
    """`end` is ok, refused, unknown, or unreachable (then nothing was sent)."""

    end: str
    response: Any = None
    reason: str = ""


class DeadlineContext:
    """What a servicer is handed by a call with a deadline."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop, self._ends = loop, loop.time() + seconds

    def time_remaining(self) -> float:
        return self._ends - self._loop.time()

    async def abort(self, code: object, details: str, trailers: Any = ()) -> NoReturn:
        """What was handed on is refused in the words of who refused it."""
        for _, value in trailers:
            info = error_details_pb2.ErrorInfo()
            if any(one.Unpack(info) for one in status_pb2.Status.FromString(value).details):
                raise Refusal(info.reason, details)
        raise AssertionError(f"{code} without a reason: {details}")


async def call(
    world: World, door: Door, method: str, request: Any, seconds: float, service: Any = None
) -> Answer:
    """One unary call, of StateService unless another is named. The request passes as bytes."""
    if not door.up:
        return Answer(UNREACHABLE)
    process = door.process
    assert process is not None
    arrived = type(request).FromString(request.SerializeToString())
    context = DeadlineContext(world.loop, seconds)
    task = process.spawn(
        getattr(service or door.service, method)(arrived, context), f"{method}@{door.name}"
    )
    await asyncio.wait([task, process.died], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if not process.alive:
        return Answer("unknown", reason="crashed")
    if not task.done():
        task.cancel()
        return Answer("unknown", reason="deadline")
    if task.cancelled():
        return Answer("unknown", reason="cancelled")
    error = task.exception()
    if error is None:
        return Answer("ok", task.result())
    reason = getattr(error, "reason", None)
    if reason is None:
        world.violated("errors", f"{method} at {door.name} raised {error!r}", error)
        return Answer("unknown", reason=type(error).__name__)
    if getattr(error, "outcome_unknown", False) or reason == "OUTCOME_UNKNOWN":
        return Answer("unknown", reason=str(reason))
    return Answer("refused", reason=str(reason))
