-- The edge's copy: the hub's history up to a cursor, and on top of it what the hub has not decided.
-- A cache: lost, it is made again from the hub and the outbox.

CREATE TABLE cursors (
    space             TEXT PRIMARY KEY,
    epoch             INTEGER NOT NULL,
    revision          INTEGER NOT NULL,
    token             BLOB NOT NULL, -- the hub's proof for it
    policies_revision INTEGER NOT NULL, -- the newest that touched a policy
    tail_bytes        INTEGER NOT NULL,
    tail_from         INTEGER NOT NULL -- revisions above it are in the tail, if in scope
) STRICT, WITHOUT ROWID;

-- Pending means above decided_seq; the view of records contains own commits up to overlay_seq.
CREATE TABLE own (
    space       TEXT NOT NULL,
    ordinal     INTEGER NOT NULL,
    origin      BLOB NOT NULL,
    decided_seq INTEGER NOT NULL,
    decided_id  BLOB NOT NULL,
    overlay_seq INTEGER NOT NULL,
    PRIMARY KEY (space, ordinal)
) STRICT, WITHOUT ROWID;

-- The hub's records; a deleted one keeps its last value.
CREATE TABLE records (
    space      TEXT NOT NULL,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    origin     BLOB NOT NULL,
    seq        INTEGER NOT NULL,
    stamp      INTEGER NOT NULL,
    other      INTEGER NOT NULL, -- greatest revision by another origin than the last writer's
    actor_id   TEXT NOT NULL,
    actor_kind INTEGER NOT NULL,
    deleted    INTEGER NOT NULL,
    digest     INTEGER NOT NULL,
    value      BLOB NOT NULL,
    PRIMARY KEY (space, collection, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE digests (
    space      TEXT NOT NULL,
    collection TEXT NOT NULL,
    digest     INTEGER NOT NULL,
    records    INTEGER NOT NULL,
    PRIMARY KEY (space, collection)
) STRICT, WITHOUT ROWID;

-- Operations of own undecided commits.
CREATE TABLE pending (
    space      TEXT NOT NULL,
    ordinal    INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    idx        INTEGER NOT NULL,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    kind       INTEGER NOT NULL,
    payload    BLOB NOT NULL,
    claimed    INTEGER NOT NULL,
    actor_id   TEXT NOT NULL,
    actor_kind INTEGER NOT NULL,
    waits_for  INTEGER NOT NULL, -- a splice that is on a later revision than the cursor's; else 0
    PRIMARY KEY (space, ordinal, seq, idx)
) STRICT, WITHOUT ROWID;

CREATE INDEX pending_waiting ON pending (space, ordinal, seq, idx) WHERE waits_for > 0;

-- Texts and lists with pending edits: threads says which units are the hub's, which pending; ground
-- names an own pending write of another sort that they stand on, 0 for none.
CREATE TABLE weaves (
    space      TEXT NOT NULL,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    field      TEXT NOT NULL,
    ground     TEXT NOT NULL,
    threads    TEXT NOT NULL,
    PRIMARY KEY (space, collection, key, field)
) STRICT, WITHOUT ROWID;

CREATE INDEX pending_by_record ON pending (space, collection, key);

-- Records with pending operations, as those leave them. value is NULL where there never was one.
CREATE TABLE overlay (
    space      TEXT NOT NULL,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    ordinal    INTEGER NOT NULL,
    seq        INTEGER NOT NULL, -- the newest pending commit on it
    claimed    INTEGER NOT NULL,
    actor_id   TEXT NOT NULL,
    actor_kind INTEGER NOT NULL,
    deleted    INTEGER NOT NULL,
    value      BLOB,
    PRIMARY KEY (space, collection, key)
) STRICT, WITHOUT ROWID;

-- Recent decided batches as received, with the records' values after each operation.
CREATE TABLE tail (
    space          TEXT NOT NULL,
    last_revision  INTEGER NOT NULL,
    first_revision INTEGER NOT NULL,
    epoch          INTEGER NOT NULL,
    origin         BLOB NOT NULL,
    first_seq      INTEGER NOT NULL,
    last_seq       INTEGER NOT NULL,
    header         BLOB NOT NULL,
    block          BLOB NOT NULL,
    block_bytes    INTEGER NOT NULL,
    codec          TEXT NOT NULL,
    images         BLOB, -- NULL where they would be too large to keep
    bytes          INTEGER NOT NULL,
    PRIMARY KEY (space, last_revision)
) STRICT, WITHOUT ROWID;

CREATE INDEX tail_by_origin ON tail (space, origin, last_seq);
