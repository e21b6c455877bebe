"""The states of a stream, as tables.

Both ends run the same four states. A message that the table does not have in a
state is a violation of the protocol: the stream is closed with its name, never
guessed about. ARCHITECTURE.md draws its diagram from these tables.
"""

from __future__ import annotations

from enum import StrEnum

from sync import messages as m


class State(StrEnum):
    """Where a stream is."""

    GREETING = "greeting"
    """Hello is under way; nothing else may be sent."""
    COMPARING = "comparing"
    """The ids of both sides differ; where they part is being searched."""
    STREAMING = "streaming"
    """Commits flow both ways."""
    CLOSED = "closed"
    """Over; nothing is sent or believed."""


class ProtocolViolation(Exception):
    """The other side sent what its state does not allow."""

    reason = "PROTOCOL_VIOLATION"

    def __init__(self, state: State, message: object) -> None:
        super().__init__(f"{type(message).__name__} while {state}")


EDGE: dict[State, dict[type, State]] = {
    State.GREETING: {
        m.Welcome: State.COMPARING,
        m.Goodbye: State.CLOSED,
    },
    State.COMPARING: {
        m.ComparedIds: State.COMPARING,
        m.HubHeartbeat: State.COMPARING,
        m.Credit: State.COMPARING,
        m.Changes: State.COMPARING,
        m.Bookmark: State.COMPARING,
        m.Goodbye: State.CLOSED,
    },
    State.STREAMING: {
        m.PushResult: State.STREAMING,
        m.PushRefused: State.STREAMING,
        m.Changes: State.STREAMING,
        m.Bookmark: State.STREAMING,
        m.Credit: State.STREAMING,
        m.HubHeartbeat: State.STREAMING,
        m.DecidedAt: State.STREAMING,
        m.Goodbye: State.CLOSED,
    },
    State.CLOSED: {},
}
"""What an edge may receive."""

EDGE_STEPS: dict[State, tuple[State, str]] = {
    State.COMPARING: (State.STREAMING, "ids agree"),
}
"""What an edge does by itself: it sends nothing of its own until it knows that both sides mean
the same commits by the same seqs."""

HUB: dict[State, dict[type, State]] = {
    State.GREETING: {
        m.Hello: State.STREAMING,
        m.Goodbye: State.CLOSED,
    },
    State.STREAMING: {
        m.Push: State.STREAMING,
        m.VoidRange: State.STREAMING,
        m.CompareIds: State.STREAMING,
        m.Credit: State.STREAMING,
        m.CursorReport: State.STREAMING,
        m.EdgeHeartbeat: State.STREAMING,
        m.AskDecided: State.STREAMING,
        m.Goodbye: State.CLOSED,
    },
    State.CLOSED: {},
}
"""What the hub may receive."""


def advance(table: dict[State, dict[type, State]], state: State, message: object) -> State:
    """The state after `message`. Raises ProtocolViolation."""
    after = table[state].get(type(message))
    if after is None:
        raise ProtocolViolation(state, message)
    return after


def diagram(
    table: dict[State, dict[type, State]], steps: dict[State, tuple[State, str]] | None = None
) -> str:
    """The table, and the steps taken without a message, as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    for state, row in table.items():
        by_target: dict[State, list[str]] = {}
        for kind, after in row.items():
            by_target.setdefault(after, []).append(kind.__name__)
        lines += [
            f"    {state} --> {after}: {', '.join(kinds)}" for after, kinds in by_target.items()
        ]
    for state, (after, why) in (steps or {}).items():
        lines.append(f"    {state} --> {after}: {why}")
    return "\n".join(lines)
