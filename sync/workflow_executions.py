"""What agents tell of single attempts at steps, as records beside that of the workflow.

Input and output are any JSON, or the name of a blob; what is larger than a record belongs into a
blob.

Invariant: `execution_from(execution.encode()) == execution`.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from sync import values
from sync.canonical_json import canonical_value
from sync.workflow_definitions import InvalidWorkflow, step_id
from sync.workflow_instances import StepStatus

MAX_ATTEMPT = 100_000
MAX_ERROR_CHARS = 4_000
MAX_KIND_CHARS = 64
MAX_AGENT_CHARS = 128
MAX_TIME_MS = (1 << 53) - 1
MAX_COST = 1e15

NO_VALUE = b"null"


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt at a step. Times are unix milliseconds, zero: not yet, or not known. `cost` is in
    whatever unit the agents agree on."""

    step: str
    attempt: int
    status: StepStatus
    agent: str = ""
    kind: str = ""
    input: bytes = NO_VALUE
    output: bytes = NO_VALUE
    error: str = ""
    started_ms: int = 0
    ended_ms: int = 0
    cost: float = 0.0

    def __post_init__(self) -> None:
        step_id(self.step)
        if not 1 <= self.attempt <= MAX_ATTEMPT:
            raise InvalidWorkflow(f"attempt: 1 to {MAX_ATTEMPT}")
        if len(self.error) > MAX_ERROR_CHARS or len(self.kind) > MAX_KIND_CHARS:
            raise InvalidWorkflow("error: at most 4000 characters; kind: at most 64")
        if len(self.agent) > MAX_AGENT_CHARS:
            raise InvalidWorkflow(f"agent: at most {MAX_AGENT_CHARS} characters")
        if not all(0 <= at <= MAX_TIME_MS for at in (self.started_ms, self.ended_ms)):
            raise InvalidWorkflow("started_ms, ended_ms: unix milliseconds")
        if not 0 <= self.cost <= MAX_COST:
            raise InvalidWorkflow("cost: a number that is not negative")

    def encode(self) -> bytes:
        """The record's value."""
        plain = {
            "step": self.step,
            "attempt": self.attempt,
            "status": str(self.status),
            "agent": self.agent,
            "kind": self.kind,
            "error": self.error,
            "started_ms": self.started_ms,
            "ended_ms": self.ended_ms,
            "cost": self.cost,
        }
        texts = {
            name: canonical_value(orjson.dumps(member).decode()) for name, member in plain.items()
        }
        return values.join({**texts, "input": self.input, "output": self.output})


def execution_from(value: bytes) -> Execution:
    """An execution from its record. Raises InvalidWorkflow if it is none."""
    try:
        texts = values.fields(value)
        input_, output = texts.pop("input"), texts.pop("output")
        said = {name: orjson.loads(text) for name, text in texts.items()}
        said["status"] = StepStatus(said["status"])
        return Execution(**said, input=input_, output=output)
    except (KeyError, TypeError, ValueError, values.InvalidValue) as error:
        raise InvalidWorkflow("the record of an execution cannot be read") from error


def any_json(text: str) -> bytes:
    """A value of any kind, canonical; no text is null. Raises InvalidValue."""
    return canonical_value(text) if text else NO_VALUE
