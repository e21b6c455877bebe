"""Why a request was refused, or a commit had no effect: the one table of reasons.

A reason is a name for programs. It travels in google.rpc.ErrorInfo, in outcomes and in the words
that end a stream, and never changes its meaning; the message beside it is for people and may change
at any time. Each reason has one status, one meaning and one remedy, so a caller learns the same
thing from every door, and a message needs to say only what was special this time.

A reason that travels as a value (of an outcome, a refused push, a goodbye) has the status that it
would have as the answer to a call.

Invariant: names are unique, and whatever this project sends as a reason is in the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DOMAIN = "holdfast"
"""The `domain` of every ErrorInfo: tells these reasons from those of proxies on the way."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One row: `status` is the name of a gRPC status code, `remedy` says what to do."""

    name: str
    status: str
    meaning: str
    remedy: str
    retry_ms: int | None = None
    """After how many milliseconds the same request may well succeed; None: not by waiting."""


# Per status: name, meaning, remedy and, where waiting helps, after how many milliseconds.
# One row is read as two or three lines; the formatter would make six of them.
# fmt: off
_Row = tuple[str, str, str] | tuple[str, str, str, int]
_ROWS: dict[str, tuple[_Row, ...]] = {
    "INVALID_ARGUMENT": (
        # The request as such.
        ("MALFORMED_REQUEST", "The request is not a message of this interface, or lacks a part.",
         "Correct the request as the message says; generate the client anew if it is older."),
        ("INVALID_NAME", "A name of a space, collection, record or agent is not one.",
         "Use letters, digits, '.', '_', '-' (in keys anything but control characters)."),
        ("RESERVED_COLLECTION", "Collections that begin with '_' belong to the system.",
         "Choose another name; set policies with `cloud-hub policies set`."),
        ("NO_OPS", "The commit has no operation.",
         "Send at least one operation."),
        ("TOO_MANY_OPS", "The commit, or the list of names, has more entries than one request may.",
         "Split it into several requests."),
        ("TOO_MANY_PRECONDITIONS", "The commit has more preconditions than are allowed.",
         "Name only the records that the commit depends on."),
        ("COMMIT_TOO_LARGE", "The values of the commit are together larger than one may be.",
         "Split the commit, or keep large contents outside and store a reference."),
        ("UNKNOWN_ENUM_VALUE", "An enumeration is unspecified, or of a value not known here.",
         "Use one of the values that the interface names."),
        ("TOKEN_INVALID", "The session or resume token is not Holdfast's, or was altered.",
         "Drop the token and begin a new session."),
        ("PAGE_TOKEN_INVALID", "The page token does not belong to this listing.",
         "List again from the first page, with the same arguments for every page."),
        ("FILTER_INVALID", "The filter is no CEL expression over `value` and `key`, or no bool.",
         "Correct the filter as the message says."),
        ("PAGE_SIZE_INVALID", "The page size is more than a page may hold.",
         "Ask for 1 to 1000 entries."),
        ("SCAN_LIMIT_INVALID", "The page would look at more records than one request may.",
         "Ask for a scan limit of 1 to 10000; a short page has a next one."),
        ("INVALID_POLICY", "The policy names something that is not known, or cannot be kept.",
         "Correct the member that the message names."),
        ("INVALID_WORKFLOW", "A workflow, its definition or what is told of it cannot be so.",
         "Correct the member that the message names."),
        # Values.
        ("INVALID_JSON", "The value is not JSON.",
         "Send one JSON object in UTF-8."),
        ("NOT_AN_OBJECT", "The value is JSON but not an object.",
         "Wrap it: {\"value\": ...}."),
        ("DUPLICATE_KEY", "An object of the value has the same member twice.",
         "Send each member once."),
        ("NUMBER_NOT_FINITE", "NaN and infinity are not JSON.",
         "Send null, or leave the member out."),
        ("NUMBER_TOO_LONG", "A counter has more digits than one may.",
         "Split the counter, or put the value instead of adding to it."),
        ("LONE_SURROGATE", "A string has half of a surrogate pair and cannot be written as UTF-8.",
         "Replace it with a whole character."),
        ("TOO_DEEP", "The value is nested deeper than 64 levels.",
         "Flatten it, or store the inner part as a record of its own."),
        ("VALUE_TOO_LARGE", "The value is larger than a record may be.",
         "Split it into several records, or keep it outside and store a reference."),
        ("NOT_AN_INTEGER", "Only integers can be added to, and only integers can be added.",
         "Put an integer into the field first, and add integers."),
        ("NOT_A_NUMBER", "A watermark (`max`, `min`) is a number.",
         "Write a number, or change the rule of the field."),
        ("NOT_A_SET", "A set is an array of its elements.",
         "Write an array, or change the rule of the field."),
        ("NOT_CANONICAL", "A value in a batch is not in canonical form.",
         "Update the software of the sender; doors write the canonical form themselves."),
        ("MALFORMED_EDIT", "The payload of an edit in a batch is not what edits are made of.",
         "Update the software of the sender."),
        ("RULE_MISMATCH", "The operation does not fit the rule of the field.",
         "Declare the field with the rule that the operation needs, or use put or patch."),
        ("SPLICE_MISMATCH", "A splice was not written on the text or list that it is to edit.",
         "Read the record again, and splice what is there; text goes into texts only."),
        ("INSECURE_ADDRESS", "Without TLS only this machine may be spoken to.",
         "Use the edge on this machine, or give the files for TLS (tls=..., HOLDFAST_TLS_CERT)."),
        # Batches and frames.
        ("MALFORMED_BATCH", "A batch of commits contradicts itself.",
         "Read the message for the commit to blame; it waits in the conflict inbox of its edge."),
        ("FRAME_TOO_LARGE", "A frame states a size above the limit.",
         "Send smaller batches."),
        ("FRAME_CORRUPT", "A frame cannot be unpacked.",
         "Check the link and the sender's disk; the sender offers the same commits again."),
        ("CODEC_UNKNOWN", "The frame is packed with a method that was not agreed on.",
         "Update the older of the two sides."),
        ("DICTIONARY_UNKNOWN", "The frame needs a dictionary that this side does not have.",
         "Reconnect, so that both sides agree on one."),
        ("DICTIONARY_CORRUPT", "The compression dictionary is damaged.",
         "Replace the dictionary with a copy from the other side."),
        ("PROTOCOL_VIOLATION", "The other side sent what its role or state does not allow.",
         "Update the older of the two sides; report it if both are of one version."),
    ),
    "NOT_FOUND": (
        ("RECORD_NOT_FOUND", "The record does not exist, or was deleted.",
         "Check the path, or read the history of the record."),
        ("CONFLICT_NOT_FOUND", "No conflict of this id is known at this door.",
         "List them with `conflicts list`; the hub has all of them, an edge what waits."),
        ("WORKFLOW_NOT_FOUND", "No workflow of this id is known at this door.",
         "Check the id with `workflows list`; or ask the hub, which has those of all edges."),
        ("DEFINITION_NOT_FOUND", "No definition of this name and version is known at this door.",
         "Put the definition first, or wait until it has come to this door."),
        ("THREAD_NOT_FOUND", "There is no thread of checkpoints with this id, or none any more.",
         "List the threads; a save without a parent begins one."),
        ("CHECKPOINT_NOT_FOUND", "The thread has no checkpoint with this id, or none at all.",
         "List the checkpoints of the thread."),
        ("SPACE_NOT_FOUND", "The space has never been written to.",
         "Check the name; a space begins with its first write."),
        ("EDGE_NOT_FOUND", "No edge of this name has ever connected.",
         "Check the name with `cloud-hub edges`."),
        ("COMMIT_UNKNOWN", "No commit of this name is known at this door.",
         "Ask the door where it was written, or the hub."),
        ("OUTCOME_NOT_RETAINED", "The commit was decided, but its outcome is no longer kept here.",
         "Ask the hub, or read the records that the commit wrote."),
    ),
    "ALREADY_EXISTS": (
        ("WORKFLOW_EXISTS", "A workflow of this id has not ended yet.",
         "Choose another id, or save the one that there is; one that has ended begins anew."),
        ("DEFINITION_EXISTS", "Another definition has this name and version; none ever changes.",
         "Choose another version."),
        ("ALREADY_APPLIED", "The commit was decided before; its outcome is no longer kept.",
         "Treat it as done; read the records to see what they are now."),
        ("CHECKPOINT_EXISTS", "The thread has a checkpoint with this id already.",
         "Choose an id that was not used; ids are of one checkpoint for ever."),
    ),
    "ABORTED": (
        ("REVISION_MISMATCH", "A record is not as its writer saw it, or a precondition is false.",
         "Read the record again, decide anew, and write with what was read."),
        ("STALE_PARENT", "The checkpoint's parent is not the newest one any more.",
         "Resume from the newest one, or ask for a fork."),
        ("PRECONDITION_FAILED", "A precondition was false where the commit was decided.",
         "Read the records that it names and write anew; the conflict inbox has the payload."),
        ("STALE_AUTHORITY", "Another node advances this now, or nobody does.",
         "Send the request to who has the authority, or take it over."),
        ("SUPERSEDED", "Another stream of the same edge took this one's place.",
         "Check that no two agents run on copies of one database."),
    ),
    "FAILED_PRECONDITION": (
        # Levels and places.
        ("LEVEL_NOT_PERMITTED", "The collection does not allow so weak a level.",
         "Ask for a stronger level, or change the policy of the collection."),
        ("OUT_OF_SCOPE", "This edge does not replicate what the request is about.",
         "Add the scope to the edge, or ask the hub."),
        ("HUB_ONLY", "Only the hub can answer this.",
         "Send the request to the hub."),
        ("AUTHORITY_HELD", "Another node advances the workflow or thread.",
         "Ask its holder to release it; if that node is lost, take it by force."),
        ("CHUNK_UNKNOWN", "A checkpoint names a chunk that is not stored at this door.",
         "Send the chunk first, then save again."),
        ("TRANSITION_NOT_ALLOWED", "The event has no place in the state of the workflow.",
         "Read the metadata for what is allowed, or load the workflow anew."),
        ("TOO_MANY_CHILDREN", "A workflow has more children than can be told in one commit.",
         "Add a workflow between them and their parent, each with some of the children."),
        ("TRANSITION_VETOED", "A guard of the workflow refuses the event for now.",
         "Do first what the message names, as the steps that are left."),
        ("CONFLICT_OPEN", "The conflict waits for a decision, so there is nothing to undo.",
         "Use `conflicts resolve`."),
        ("CONFLICT_DECIDED", "A rule has decided the conflict; nobody is waited for.",
         "Use `conflicts undo`, which puts back what lost."),
        ("CONFLICT_ABRIDGED", "The values of the conflict are too large to be carried to edges.",
         "Ask the hub, or answer with the value that shall stand."),
        ("CHOICE_IMPOSSIBLE", "What lost cannot be done again as it was meant.",
         "Choose `value`, and give the one that shall stand."),
        ("UNDECLARED_COLLECTION", "The space is strict and has no policy for this collection.",
         "Declare the collection with a policy first."),
        ("INVARIANT_BROKEN", "The write breaks an invariant of the collection.",
         "Read the message for the invariant; write what keeps it, or change the policy."),
        ("RULE_UNDECIDED", "A rule could not decide on what was written; a conflict waits.",
         "Read the detail of the conflict, and resolve it; or change the policy."),
        ("REFUSED_BY_RULE", "A rule of the collection refuses the write.",
         "Read the message for the rule; write as it asks, or change the policy."),
        # Sessions and histories.
        ("EPOCH_CHANGED", "The hub went back to an earlier state than the token has seen.",
         "Read again what matters, and begin a new session."),
        ("EPOCH_UNKNOWN", "A position names a history that is not known here.",
         "Ask the hub; if it does not know it either, the position is of another hub."),
        ("WRITES_LOST", "Writes that this session has seen were declared lost.",
         "Write anew what the metadata lists as lost, and begin a new session."),
        ("FORK_DETECTED", "The hub's history is not the one that this replica was built from.",
         "Check whether the hub was restored; the replica is kept aside and built anew."),
        ("CURSOR_INVALID", "The proof of the replica's position was not made by this hub.",
         "Check the address of the hub; the replica is kept aside and built anew."),
        ("SCOPE_CHANGED", "The edge replicates another part of the space than before.",
         "Wait until the replica is built anew from the hub; writes are accepted meanwhile."),
        # Retries and origins.
        ("RETRY_EXPIRED", "The commit id is of a retry that comes too late to be recognised.",
         "Read whether the first attempt took effect, then write anew with a new commit id."),
        ("COMMIT_ID_REUSED", "Another commit has this commit id.",
         "Choose 16 new random bytes for each commit; repeat an id only with the same content."),
        ("ORIGIN_COPIED", "Two databases write under one origin: a copied or restored file.",
         "Stop one of the two devices; the edge takes a new origin, and nothing is lost."),
        ("OUTBOX_BEHIND", "The hub knows more commits of this origin than the outbox does.",
         "Look into the conflict inbox for what could not be compared; nothing else is lost."),
        ("OUTBOX_RESTORED", "The outbox is older than the replica: a file was restored.",
         "Look into the conflict inbox for what could not be compared; nothing else is lost."),
        ("SEQ_GAP", "Sequence numbers are missing between what the hub has and what came.",
         "Let the edge declare the missing range void; it does so by itself with the reason."),
        ("PROTOCOL_VERSION", "The two sides have no version of the protocol in common.",
         "Update the older of the two sides."),
        # This machine.
        ("HOST", "This machine refuses to go on.",
         "Do what the message says."),
        ("CONFIGURATION", "A setting is missing, unknown or of the wrong kind.",
         "Correct the setting that the message names."),
        ("DIRECTORY_IN_USE", "Another process uses the data directory.",
         "Stop that process, or choose another directory."),
        ("DIRECTORY_UNUSABLE", "The data directory cannot be used.",
         "Choose a directory on a local disk that this user may write to."),
        ("TLS_FILE_UNUSABLE", "A certificate, its key or the file of CAs cannot be used.",
         "Correct the file that the message names; running daemons take it up by themselves."),
        ("DATABASE_UNSAFE", "The database may lose what it has acknowledged, or is read-only.",
         "Correct the setting that the message names, and start the hub again."),
        ("SCHEMA_MISMATCH", "The database has a schema that this version does not know.",
         "Run the version that last wrote it, or a newer one."),
    ),
    "OUT_OF_RANGE": (
        ("COMPACTED", "The place to go on from is no longer kept here.",
         "Read the present state, then watch from now."),
        ("FUTURE_REVISION", "The revision has not happened yet in this history.",
         "Use a position that an answer of this hub returned."),
    ),
    "RESOURCE_EXHAUSTED": (
        ("DISK_FULL", "The disk is full; nothing was stored.",
         "Free space; writing goes on by itself.", 5_000),
        ("OUTBOX_FULL", "The outbox is at its limit; nothing was stored.",
         "Connect the edge to its hub, or raise the limit of the outbox.", 5_000),
        ("MESSAGE_TOO_LARGE", "A message is larger than the connection allows.",
         "Split the request, or ask for smaller pages."),
        ("TOO_MANY_REQUESTS", "More requests are in work than this door takes.",
         "Wait a little and try again.", 200),
        ("TOO_MANY_WATCHES", "More watches are open than this door takes.",
         "Close watches that are no longer read; watch a space once for many records.", 1_000),
        ("HISTORY_TOO_LONG", "The history is spread over more of the log than one page may search.",
         "Ask for fewer entries, page by page."),
    ),
    "DEADLINE_EXCEEDED": (
        ("OUTCOME_UNKNOWN", "The commit was sent, no answer came in time: it may have happened.",
         "Send it again with the same commit id, or ask for its outcome."),
        ("DEADLINE_PASSED", "The answer did not come within the deadline.",
         "Try again with more time, or at a weaker level."),
        ("EXPIRED", "A strong commit reached the hub only after its deadline and was not applied.",
         "Write anew if it is still wanted."),
    ),
    "UNAVAILABLE": (
        # Contents travel beside the commits that name them.
        ("BLOB_PENDING", "A stored part of a checkpoint has not arrived here yet.",
         "Try again, or resume from the nearest checkpoint that is complete.", 1_000),
        # Levels that cannot be kept at this moment.
        ("HUB_UNREACHABLE", "The hub cannot be reached, which this level needs; nothing is queued.",
         "Try again when the edge is connected, or write at level eventual.", 1_000),
        ("FLUSH_FAILED", "Earlier writes of this edge could not be brought to the hub first.",
         "Try again, or read at level eventual.", 1_000),
        ("WRITE_BOUND_EXCEEDED", "Too many writes are pending, or for too long, for this level.",
         "Wait until the edge has caught up, or write at level eventual.", 1_000),
        ("BOUND_UNPROVABLE", "It cannot be proven that the state here is fresh enough.",
         "Allow more staleness, or read at level eventual.", 1_000),
        ("REPLICA_INCOMPLETE", "This part of the replica is not loaded yet.",
         "Wait until it is, or ask the hub.", 1_000),
        ("SESSION_NOT_CAUGHT_UP", "This door has not yet seen all that the session has seen.",
         "Try again, or begin a new session knowingly.", 500),
        # Doors and streams.
        ("HUB_NOT_TRUSTED", "What answers at the hub's address is not known to be the hub.",
         "Check the address, the file of CAs, and the names in the hub's certificate.", 5_000),
        ("DOOR_UNREACHABLE", "Nothing answers at the address.",
         "Start the daemon, or correct the address (HOLDFAST_SOCKET, HOLDFAST_ADDRESS).", 500),
        ("TOO_BUSY", "More work waits than the daemon takes on.",
         "Try again in a moment.", 500),
        ("SHUTTING_DOWN", "The daemon is stopping.",
         "Try again; it may be back soon.", 1_000),
        ("STREAM_AGED", "The stream has reached its age and is replaced.",
         "Reconnect; nothing is wrong.", 100),
        ("TOO_SLOW", "The watcher did not read as fast as changes came, and was let go.",
         "Resume from the last token and read faster, or watch less.", 100),
        ("SILENT", "The other side of a stream sent nothing for a bounded time.",
         "Check the network; the edge connects anew by itself.", 1_000),
        ("LINK_LOST", "The connection between edge and hub was lost.",
         "Check the network; the edge connects anew by itself.", 1_000),
        ("GONE", "The other side of a stream has left.",
         "Reconnect; nothing is wrong.", 1_000),
        ("STALLED", "Nothing was decided for a bounded time although commits were pending.",
         "Check the hub; the edge connects anew by itself.", 1_000),
        # Storage.
        ("DATABASE", "The database failed.",
         "Read the log of the daemon.", 1_000),
        ("DATABASE_BUSY", "Another process holds the database.",
         "Try again; if it stays so, find who else has the file open.", 200),
        ("DATABASE_CLOSED", "The database is closed, since the daemon stops.",
         "Try again when it is back.", 1_000),
        ("DISK_FAILURE", "The disk failed; it is not known to have stored anything.",
         "Check the disk and the log of the daemon.", 5_000),
        ("TRANSACTION_LOST", "The database rolled the transaction back; nothing was stored.",
         "Try again.", 200),
        ("SPACE_STOPPED", "The space is stopped until an operator declares a new epoch.",
         "Look at `cloud-hub epochs signs`; declare an epoch, or bring the database back.", 5_000),
    ),
    "UNIMPLEMENTED": (
        ("NOT_IMPLEMENTED", "This is named by the interface but not built in this version.",
         "Leave it out, or use a version that has it."),
        ("LEVEL_NOT_IMPLEMENTED", "This level is not built in this version.",
         "Use level eventual."),
        ("OP_NOT_IMPLEMENTED", "This operation is not built in this version.",
         "Use put, patch, delete, add, set-add or set-remove."),
        ("UNKNOWN_METHOD", "The door does not have this method.",
         "Update the older of the two sides, or ask the door that has it."),
    ),
    "PERMISSION_DENIED": (
        ("NOT_ALLOWED", "Whoever asks may not do this here.",
         "Ask the operator for the right, or use the socket of the right actor."),
        ("NEEDS_AUTH", "The hub does not accept this edge's certificate, or there is none to show.",
         "Put a valid certificate in place; writes are accepted and kept meanwhile."),
        ("IDENTITY_REFUSED", "The certificate does not say in one URI who its holder is.",
         "Use a certificate with a URI such as spiffe://TRUST/edge/NAME, of the hub's domain."),
        ("ORIGIN_NOT_YOURS", "The origin belongs to the identity that first used it at this hub.",
         "Use the certificate that this outbox was first used with, or an empty data directory."),
    ),
    "DATA_LOSS": (
        ("DATABASE_CORRUPT", "The database file is damaged.",
         "Stop the daemon, keep the file, and run `doctor`."),
        ("WORKFLOW_DAMAGED", "The record of a workflow is not what its hash says.",
         "Read the history of the record, and restore what it was before."),
        ("BLOB_DAMAGED", "A stored part of a checkpoint is not what its hash says.",
         "Resume from the nearest checkpoint that can be read, and check the disk."),
        ("BLOBS_DAMAGED", "The file of checkpoints' contents is damaged; it is kept aside.",
         "Check the disk; what the hub has is fetched anew when it is asked for."),
        ("REPLICA_DAMAGED", "The replica is damaged; it is kept aside and built anew from the hub.",
         "Wait until it is rebuilt; writes are accepted meanwhile."),
        ("REPLICA_MISSING", "The replica is gone; a new one is built from the hub.",
         "Check who removed the file; writes are accepted meanwhile."),
        ("OUTBOX_DAMAGED", "A row of the outbox does not match its checksum.",
         "Keep the file, check the disk, and run `edge-agent doctor`."),
        ("LOG_DAMAGED", "A batch in the hub's log cannot be read.",
         "Stop the hub, keep the file, and restore a backup."),
    ),
    "INTERNAL": (
        ("INTERNAL", "The software made a mistake; the daemon's log has it under the id.",
         "Report it with the id that the message names."),
        ("UNEXPECTED_STATUS", "The answer has no reason: it is not from a Holdfast daemon.",
         "Check the address, and the proxies on the way."),
    ),
}
# fmt: on


def _table() -> dict[str, Reason]:
    table: dict[str, Reason] = {}
    for status, rows in _ROWS.items():
        for name, meaning, remedy, *retry_ms in rows:
            assert name not in table, name
            table[name] = Reason(name, status, meaning, remedy, *retry_ms)
    return table


REASONS: Mapping[str, Reason] = MappingProxyType(_table())
"""Every reason by its name."""
