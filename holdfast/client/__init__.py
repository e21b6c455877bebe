"""The client: what a program on a device, or beside a hub, shares state with.

`records` and `commits` are the nouns; `writes`, `reads` and `watching` decide what is asked and
what an answer means, without I/O; `attempts` decides whether to try again; the two transports send;
`AsyncClient` and `Client` are the same methods over either. Nothing here knows of the daemons'
code.
"""

from __future__ import annotations

from holdfast.client.async_client import AsyncClient, AsyncReceipt
from holdfast.client.async_transport import AsyncWatch
from holdfast.client.blocking_client import BlockingReceipt, Client
from holdfast.client.blocking_transport import Watch
from holdfast.client.checkpoint_records import (
    Checkpoint,
    CheckpointKind,
    PendingWrite,
    Pruned,
    StatePart,
    Thread,
)
from holdfast.client.commits import (
    Add,
    Bookmark,
    Change,
    CommitEvent,
    Delete,
    Event,
    Expect,
    History,
    HistoryEntry,
    Op,
    OpId,
    Outcome,
    OutcomeKind,
    Patch,
    Put,
    Receipt,
    SetAdd,
    SetRemove,
    Splice,
)
from holdfast.client.conflicts import (
    Conflict,
    ConflictAnswer,
    ConflictSide,
    ConflictState,
)
from holdfast.client.policies import Policy
from holdfast.client.records import (
    Actor,
    ActorKind,
    Answer,
    Context,
    Level,
    Position,
    Record,
    Version,
)
from holdfast.client.workflow_records import (
    Definition,
    Execution,
    Routing,
    StepCounters,
    StepStatus,
    Workflow,
    WorkflowAct,
    WorkflowAuthority,
    WorkflowHistory,
    WorkflowHistoryEntry,
)
from holdfast.tls.credentials import TlsFiles

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
    "Checkpoint",
    "CheckpointKind",
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
    "PendingWrite",
    "Policy",
    "Position",
    "Pruned",
    "Put",
    "Receipt",
    "Record",
    "Routing",
    "SetAdd",
    "SetRemove",
    "Splice",
    "StatePart",
    "StepCounters",
    "StepStatus",
    "Thread",
    "TlsFiles",
    "Version",
    "Watch",
    "Workflow",
    "WorkflowAct",
    "WorkflowAuthority",
    "WorkflowHistory",
    "WorkflowHistoryEntry",
]
