"""What programs import to share state: the client, and the reasons behind its errors.

Importing this package is cheap: neither grpc nor protobuf is loaded before a client is asked for.
The names below are those of `holdfast.client`; exceptions are in `holdfast.errors`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from holdfast.client import (
        Actor,
        ActorKind,
        Add,
        Answer,
        AsyncClient,
        AsyncReceipt,
        AsyncWatch,
        BlockingReceipt,
        Bookmark,
        Change,
        Client,
        CommitEvent,
        Conflict,
        ConflictAnswer,
        ConflictSide,
        ConflictState,
        Context,
        Definition,
        Delete,
        Event,
        Execution,
        Expect,
        History,
        HistoryEntry,
        Level,
        Op,
        OpId,
        Outcome,
        OutcomeKind,
        Patch,
        Policy,
        Position,
        Put,
        Receipt,
        Record,
        Routing,
        SetAdd,
        SetRemove,
        Splice,
        StepCounters,
        StepStatus,
        TlsFiles,
        Version,
        Watch,
        Workflow,
        WorkflowAct,
        WorkflowAuthority,
        WorkflowHistory,
        WorkflowHistoryEntry,
    )

__all__ = [
    "Actor",
    "ActorKind",
    "Add",
    "Answer",
    "AsyncClient",
    "AsyncReceipt",
    "AsyncWatch",
    "BlockingReceipt",
    "Bookmark",
    "Change",
    "Client",
    "CommitEvent",
    "Conflict",
    "ConflictAnswer",
    "ConflictSide",
    "ConflictState",
    "Context",
    "Definition",
    "Delete",
    "Event",
    "Execution",
    "Expect",
    "History",
    "HistoryEntry",
    "Level",
    "Op",
    "OpId",
    "Outcome",
    "OutcomeKind",
    "Patch",
    "Policy",
    "Position",
    "Put",
    "Receipt",
    "Record",
    "Routing",
    "SetAdd",
    "SetRemove",
    "Splice",
    "StepCounters",
    "StepStatus",
    "TlsFiles",
    "Version",
    "Watch",
    "Workflow",
    "WorkflowAct",
    "WorkflowAuthority",
    "WorkflowHistory",
    "WorkflowHistoryEntry",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("holdfast.client"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
