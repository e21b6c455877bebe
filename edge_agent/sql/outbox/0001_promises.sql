-- The edge's promises: commits acknowledged to an agent and not yet known durable at the hub.
-- Of all on the device only this file cannot be made again from elsewhere.

CREATE TABLE identity (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    edge TEXT NOT NULL
) STRICT;

-- The incarnations of this database; the last one writes. Elsewhere an origin is its ordinal.
CREATE TABLE origins (
    ordinal INTEGER PRIMARY KEY CHECK (ordinal > 0),
    id      BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    reason  TEXT NOT NULL -- why it began; empty for the first
) STRICT;

CREATE TABLE counters (
    space       TEXT NOT NULL,
    ordinal     INTEGER NOT NULL REFERENCES origins (ordinal),
    last_seq    INTEGER NOT NULL CHECK (last_seq >= 0),
    last_id     BLOB NOT NULL, -- the commit id at last_seq; empty if it is not known
    last_stamp  INTEGER NOT NULL,
    trimmed_seq INTEGER NOT NULL CHECK (trimmed_seq <= last_seq), -- let go on purpose up to here
    bytes       INTEGER NOT NULL,
    PRIMARY KEY (space, ordinal)
) STRICT, WITHOUT ROWID;

-- One row per operation. What belongs to the commit stands at idx 0 only; a commit that was emptied
-- is one row without an operation.
CREATE TABLE outbox (
    space      TEXT NOT NULL,
    ordinal    INTEGER NOT NULL,
    seq        INTEGER NOT NULL CHECK (seq > 0),
    idx        INTEGER NOT NULL CHECK (idx >= 0),
    commit_id  BLOB,
    base_epoch INTEGER,
    base       INTEGER,
    seen       INTEGER,
    claimed    INTEGER,
    actor_id   TEXT,
    actor_kind INTEGER,
    extra      TEXT,    -- JSON, or NULL for nothing
    ops        INTEGER, -- how many rows the commit has operations in
    collection TEXT,
    key        TEXT,
    kind       INTEGER,
    payload    BLOB,
    checksum   INTEGER NOT NULL, -- CRC-32 over all columns before it
    PRIMARY KEY (space, ordinal, seq, idx)
) STRICT, WITHOUT ROWID;

-- Commit ids that clients chose, so that a retry finds the first commit.
CREATE TABLE commit_ids (
    space       TEXT NOT NULL,
    commit_id   BLOB NOT NULL CHECK (length(commit_id) = 16),
    ordinal     INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    fingerprint BLOB NOT NULL, -- of the request, to tell a retry from a mistake
    PRIMARY KEY (space, commit_id)
) STRICT, WITHOUT ROWID;

-- Undecided rows that were given a new origin: old names of commits stay resolvable.
CREATE TABLE renamed (
    space         TEXT NOT NULL,
    old_ordinal   INTEGER NOT NULL,
    old_first_seq INTEGER NOT NULL,
    count         INTEGER NOT NULL CHECK (count > 0),
    new_ordinal   INTEGER NOT NULL,
    new_first_seq INTEGER NOT NULL,
    PRIMARY KEY (space, old_ordinal, old_first_seq)
) STRICT, WITHOUT ROWID;

-- Seqs that will never come, and why.
CREATE TABLE voids (
    space     TEXT NOT NULL,
    ordinal   INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    count     INTEGER NOT NULL CHECK (count > 0),
    reason    TEXT NOT NULL,
    PRIMARY KEY (space, ordinal, first_seq)
) STRICT, WITHOUT ROWID;

-- The histories that the hub has told of: bases of undecided commits name them.
CREATE TABLE epochs (
    ordinal INTEGER PRIMARY KEY,
    id      BLOB NOT NULL,
    parent  INTEGER NOT NULL,
    forks   TEXT NOT NULL -- JSON: space to the last shared revision
) STRICT;

-- How often a replica began from zero; kept here because that destroys the other file.
CREATE TABLE rebuilds (
    reason TEXT PRIMARY KEY,
    count  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a person has set and a restart must not forget, as a pause.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
