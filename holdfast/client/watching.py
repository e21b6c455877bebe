"""A watch that outlives its connections: where it stands, and what to do when one breaks.

It goes on from the last resume token after whatever passes by itself, and ends with an exception
for what does not (COMPACTED, a bad filter, a changed epoch). Until the first answer has come it has
no token and begins anew from "now": a watch has begun once its first message was received.

Invariant: every message is delivered once, in order, across any number of connections.
"""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.client import values, wire
from holdfast.client.attempts import PASSING, backoff_s
from holdfast.client.call import method
from holdfast.client.commits import Event
from holdfast.client.limits import WATCH_MAX_DELAY_S
from holdfast.client.paths import watched_path
from holdfast.errors import HoldfastError, Unavailable
from holdfast.v1 import state_service_pb2 as state

WATCH = method("StateService.Watch")


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched."""

    path: str
    """space, space/collection or space/collection/prefix."""
    filter: str = ""
    include_pending: bool = False


class WatchState:
    """Where one watch stands."""

    def __init__(self, watched: Watched, resume_token: bytes = b"") -> None:
        self._watched = watched
        self._place = watched_path(values.encodable(watched.path))
        self._failed = 0
        self.resume_token = resume_token
        """Everything before it was delivered."""

    def request(self) -> state.WatchRequest:
        """The request that goes on where this watch stands."""
        return state.WatchRequest(
            space=self._place.space,
            collection=self._place.collection,
            key_prefix=self._place.key,
            filter=values.encodable(self._watched.filter),
            resume_token=self.resume_token,
            include_pending=self._watched.include_pending,
        )

    def receive(self, response: state.WatchResponse) -> Event | None:
        """What a message tells; None for a kind that is new to this client."""
        self._failed = 0
        if response.resume_token:
            self.resume_token = response.resume_token
        return wire.event_from(self._place.space, response)

    def again(self, error: HoldfastError | None, luck: float) -> float:
        """Seconds until the next connection. Raises the error if it will not pass.

        None is the end of a stream without an error: a daemon that stops.
        """
        if error is not None and not _passes(error):
            raise error
        self._failed += 1
        delay_s = backoff_s(self._failed, WATCH_MAX_DELAY_S, luck)
        told_s = error.retry_after_s if error is not None else None
        return max(delay_s, min(told_s or 0.0, WATCH_MAX_DELAY_S))


def _passes(error: HoldfastError) -> bool:
    return isinstance(error, Unavailable) or error.reason in PASSING
