"""What a client remembers of threads: where it has got to, and under which token.

A save goes upon the checkpoint that this client has saved or loaded last, and shows the token that
it was told last; so a program need not carry either about, and is fenced off all the same.

Invariant: what is remembered is what a door has said, never what was asked for. Safe for threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from holdfast.client import wire
from holdfast.client.call import Call, method
from holdfast.client.checkpoint_options import SaveOptions, WriteOptions
from holdfast.client.checkpoint_records import Checkpoint
from holdfast.client.limits import WRITE_TIMEOUT_S
from holdfast.client.session import Session
from holdfast.client.writes import Writes
from holdfast.v1 import record_pb2 as record
from holdfast.v1 import state_service_pb2 as state

REMEMBERED = 1_000
"""Threads: more than a program works on at once."""


class Memory:
    """Of one client, which writes by `writes` in `session`."""

    def __init__(self, writes: Writes, session: Session) -> None:
        self.writes, self.session = writes, session
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._tokens: OrderedDict[tuple[str, str], int] = OrderedDict()

    def author(self, options: WriteOptions) -> record.Actor:
        """Who writes. Raises InvalidArgument."""
        return wire.actor_to(self.writes.author(options.get("actor")))

    def acting(self, name: str, request: Any, options: WriteOptions) -> Call:
        """A request that may be sent again as it is."""
        timeout_s = options.get("timeout_s", WRITE_TIMEOUT_S)
        return Call(method(f"CheckpointService.{name}"), request, timeout_s)

    def learn(self, space: str, answer: state.Answer) -> None:
        """The session has seen an answer."""
        seen = wire.context_from(answer.context) if answer.HasField("context") else None
        self.session.learn(space, answer.session_token, seen)

    def committed(self, response: Any) -> None:
        """The session has seen the commit of an answer, if it has one."""
        if response.HasField("commit"):
            self.writes.receipt(response.commit)

    def remember(self, found: Checkpoint, token: int = 0) -> None:
        """A checkpoint was saved, or loaded as the newest."""
        with self._lock:
            _keep(self._seen, (found.space, found.thread, found.namespace), found.id)
        if token:
            self.held(found.space, found.thread, token)

    def held(self, space: str, thread: str, token: int) -> None:
        """A thread is advanced under a token."""
        with self._lock:
            _keep(self._tokens, (space, thread), token)

    def forget(self, space: str, thread: str, *, checkpoints: bool = False) -> None:
        """A thread was given back; or, with its checkpoints, is gone."""
        with self._lock:
            self._tokens.pop((space, thread), None)
            if checkpoints:
                for key in [key for key in self._seen if key[:2] == (space, thread)]:
                    del self._seen[key]

    def token(self, space: str, thread: str, options: WriteOptions) -> int:
        """Under which a thread is advanced; zero: it was not told."""
        with self._lock:
            return options.get("token", self._tokens.get((space, thread), 0))

    def parent(self, space: str, thread: str, namespace: str, options: SaveOptions) -> str:
        """The id of the checkpoint that a save goes upon; empty: none."""
        if "parent" not in options:
            with self._lock:
                return self._seen.get((space, thread, namespace), "")
        parent = options["parent"]
        return parent.id if isinstance(parent, Checkpoint) else parent or ""


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)
