"""What a session has seen, per space: the token to hand to the next request.

The token is the doors' own; what it stands for is known here only from the context beside it.
Answers of requests that ran at the same time may arrive in any order, so an answer that saw less
than an earlier one must not take the token back.

Invariant: per space, the token kept is of an answer that no other kept answer goes beyond.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Mapping

from holdfast.client.commits import OpId, Outcome
from holdfast.client.records import Answer, Context
from holdfast.errors import InvalidArgument


class Session:
    """Tokens by space. Safe for threads."""

    def __init__(self, tokens: Mapping[str, bytes] | str | None = None) -> None:
        self._lock = threading.Lock()
        if isinstance(tokens, str):
            tokens = _from_text(tokens)
        self._tokens: dict[str, tuple[bytes, Context | None]] = {
            space: (token, None) for space, token in (tokens or {}).items()
        }

    @property
    def tokens(self) -> dict[str, bytes]:
        """Hand these to another session to go on with what this one has seen."""
        with self._lock:
            return {space: token for space, (token, _) in self._tokens.items()}

    @property
    def token_text(self) -> str:
        """The same in one text."""
        found = {space: token.hex() for space, token in sorted(self.tokens.items())}
        return base64.urlsafe_b64encode(json.dumps(found).encode()).decode()

    @property
    def spaces(self) -> tuple[str, ...]:
        """The spaces that this session has talked of."""
        with self._lock:
            return tuple(self._tokens)

    def token(self, space: str) -> bytes:
        """The token for a request, or nothing."""
        with self._lock:
            return self._tokens.get(space, (b"", None))[0]

    def learn(
        self, space: str, token: bytes, context: Context | None, *, carried: bool = True
    ) -> None:
        """Keeps the token of an answer, unless the one kept has seen more.

        `carried`: the request had a token, which the door's answer includes. Else it only stands
        where nothing else does, or what was seen at another door would be forgotten.
        """
        if not token:
            return
        with self._lock:
            kept, had = self._tokens.get(space, (b"", None))
            if kept and (not carried or _goes_beyond(had, context)):
                return
            self._tokens[space] = (token, context)

    def learn_commit(self, token: bytes, answer: Answer, op_id: OpId, known: Outcome) -> None:
        """Keeps the token of the answer to a commit, which has seen the state of the door and the
        commit itself, also where its author's context, which the answer tells, leaves them out."""
        seen = answer.context
        if seen is not None and answer.position is not None:
            pending = dict(seen.seen)
            if not known.decided:
                pending[op_id.origin] = max(op_id.seq, pending.get(op_id.origin, 0))
            at = answer.position
            seen = Context(at.epoch, at.revision, tuple(pending.items()))
        self.learn(op_id.space, token, seen)

    def forget(self, space: str | None = None) -> None:
        """Begins anew, in one space or in all: nothing is carried over."""
        with self._lock:
            if space is None:
                self._tokens.clear()
            else:
                self._tokens.pop(space, None)


def _goes_beyond(had: Context | None, new: Context | None) -> bool:
    """Whether `had` is of a later moment at the same door, or of the same.

    A door's base only grows; at one base, only the undecided commits in its state do.
    """
    if had is None or new is None:
        return False
    if (had.epoch, had.base) != (new.epoch, new.base):
        return (had.epoch, had.base) > (new.epoch, new.base)
    mine = dict(had.seen)
    return all(mine.get(origin, 0) >= seq for origin, seq in new.seen)


def _from_text(text: str) -> dict[str, bytes]:
    """Tokens by space. Raises InvalidArgument."""
    try:
        found = json.loads(base64.urlsafe_b64decode(text.encode()))
        return {str(space): bytes.fromhex(token) for space, token in found.items()}
    except (ValueError, binascii.Error, AttributeError, TypeError):
        raise InvalidArgument("TOKEN_INVALID", "not the token of a session") from None
