-- The hub's schema. STRICT, so that a column holds what it says. Tables of small rows are their
-- own index (WITHOUT ROWID); those of large rows are not, since that would leave few keys in an
-- inner page. A NUL in a text is refused, as PostgreSQL refuses it. Times are unix milliseconds
-- of the hub's clock.

-- What the database is: its id, and the secret under which tokens of revisions are handed out.
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The histories, oldest first; the last one is the present. `timeline` is that of the database in
-- which it was declared; `reason` and `actor` say why and by whom.
CREATE TABLE epochs (
    ordinal    INTEGER NOT NULL PRIMARY KEY CHECK (ordinal >= 1),
    id         BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    parent     INTEGER NOT NULL CHECK (parent >= 0 AND parent < ordinal),
    created_ms INTEGER NOT NULL,
    timeline   INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    actor      TEXT NOT NULL
) STRICT;

-- The last revision of each space that an epoch shares with its parent.
CREATE TABLE epoch_forks (
    ordinal  INTEGER NOT NULL REFERENCES epochs,
    space    TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision >= 0),
    PRIMARY KEY (ordinal, space)
) STRICT, WITHOUT ROWID;

-- The newest revision of each space. Every transaction that decides locks the row and rewrites
-- its token; stamp_max is the greatest stamp of the space. `timeline` is that of its epoch. Nothing
-- is decided while it differs from the database's, or while `stopped` says why not.
CREATE TABLE heads (
    space     TEXT NOT NULL PRIMARY KEY
              CHECK (length(CAST(space AS BLOB)) BETWEEN 1 AND 64 AND instr(space, char(0)) = 0),
    epoch     INTEGER NOT NULL REFERENCES epochs,
    revision  INTEGER NOT NULL CHECK (revision >= 0),
    token     BLOB NOT NULL CHECK (length(token) = CASE revision WHEN 0 THEN 0 ELSE 16 END),
    stamp_max INTEGER NOT NULL CHECK (stamp_max >= 0),
    timeline  INTEGER NOT NULL,
    stopped   TEXT NOT NULL DEFAULT '' CHECK (stopped IN ('', 'fork', 'timeline'))
) STRICT, WITHOUT ROWID;

-- The history: each row is consecutive commits of one origin. stamp_max is the greatest stamp of
-- the space up to and including the row.
CREATE TABLE log (
    space          TEXT NOT NULL,
    first_revision INTEGER NOT NULL CHECK (first_revision >= 1),
    last_revision  INTEGER NOT NULL,
    epoch          INTEGER NOT NULL CHECK (epoch >= 1),
    origin         INTEGER NOT NULL,
    first_seq      INTEGER NOT NULL CHECK (first_seq >= 1),
    last_seq       INTEGER NOT NULL,
    token          BLOB NOT NULL CHECK (length(token) = 16),
    stamp_max      INTEGER NOT NULL CHECK (stamp_max >= 0),
    decided_ms     INTEGER NOT NULL,
    header         BLOB NOT NULL,
    block          BLOB NOT NULL,
    block_bytes    INTEGER NOT NULL CHECK (block_bytes >= 0),
    codec          TEXT NOT NULL,
    PRIMARY KEY (space, last_revision),
    CHECK (last_revision >= first_revision),
    CHECK (last_revision - first_revision = last_seq - first_seq)
) STRICT;
CREATE UNIQUE INDEX log_by_seq ON log (space, origin, last_seq);

-- Small numbers for origins, which never leave the hub. `edge` is empty for an origin that is
-- only known from what others had seen, `identity` until somebody with a certificate has used it.
CREATE TABLE origins (
    number INTEGER NOT NULL PRIMARY KEY,
    id     BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    edge   TEXT NOT NULL CHECK (instr(edge, char(0)) = 0),
    identity TEXT NOT NULL DEFAULT '' CHECK (instr(identity, char(0)) = 0)
) STRICT;

-- The newest decided commit of each origin in each space: kept for ever, so that nothing is
-- taken twice.
CREATE TABLE watermarks (
    space     TEXT NOT NULL,
    origin    INTEGER NOT NULL REFERENCES origins,
    seq       INTEGER NOT NULL CHECK (seq >= 1),
    commit_id BLOB NOT NULL CHECK (length(commit_id) = 16),
    revision  INTEGER NOT NULL CHECK (revision >= 1),
    stamp     INTEGER NOT NULL CHECK (stamp >= 0),
    PRIMARY KEY (space, origin)
) STRICT, WITHOUT ROWID;
CREATE INDEX watermarks_by_origin ON watermarks (origin);

-- Commits whose id their client chose in order to be able to retry; kept for days.
CREATE TABLE commit_ids (
    space      TEXT NOT NULL,
    commit_id  BLOB NOT NULL CHECK (length(commit_id) = 16),
    revision   INTEGER NOT NULL CHECK (revision >= 1),
    decided_ms INTEGER NOT NULL,
    PRIMARY KEY (space, commit_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX commit_ids_by_time ON commit_ids (decided_ms);

-- The state. `other` is the greatest revision by another origin than the last writer's;
-- `whole_*` wrote the record as such; `parts` is {"field": [revision, origin, seq, stamp]} of
-- fields written after that (more for fields of several writers), `gone` the newest deletion as [revision, origin, seq, stamp]. A
-- deleted record keeps its last value; its digest is zero.
CREATE TABLE records (
    space          TEXT NOT NULL,
    collection     TEXT NOT NULL
                   CHECK (length(CAST(collection AS BLOB)) BETWEEN 1 AND 80
                          AND instr(collection, char(0)) = 0),
    key            TEXT NOT NULL
                   CHECK (length(CAST(key AS BLOB)) BETWEEN 1 AND 512
                          AND instr(key, char(0)) = 0),
    revision       INTEGER NOT NULL CHECK (revision >= 1),
    origin         INTEGER NOT NULL,
    seq            INTEGER NOT NULL,
    stamp          INTEGER NOT NULL,
    other          INTEGER NOT NULL,
    whole_revision INTEGER NOT NULL,
    whole_origin   INTEGER NOT NULL,
    whole_seq      INTEGER NOT NULL,
    whole_stamp    INTEGER NOT NULL,
    parts          BLOB,
    gone           BLOB,
    deleted        INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    digest         INTEGER NOT NULL,
    actor_id       TEXT NOT NULL CHECK (instr(actor_id, char(0)) = 0),
    actor_kind     INTEGER NOT NULL,
    value          BLOB NOT NULL,
    PRIMARY KEY (space, collection, key),
    CHECK (deleted = 0 OR digest = 0),
    CHECK (other < revision AND whole_revision <= revision)
) STRICT;

-- Sum of the digests of the live records, and how many they are.
CREATE TABLE digests (
    space      TEXT NOT NULL,
    collection TEXT NOT NULL,
    digest     INTEGER NOT NULL,
    records    INTEGER NOT NULL CHECK (records >= 0),
    PRIMARY KEY (space, collection)
) STRICT, WITHOUT ROWID;

-- Values with long texts as they were at a revision; what was spliced since is in text_edits.
CREATE TABLE documents (
    space      TEXT NOT NULL,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    revision   INTEGER NOT NULL CHECK (revision >= 1),
    value      BLOB NOT NULL,
    PRIMARY KEY (space, collection, key)
) STRICT, WITHOUT ROWID;

-- Edits of texts and lists as they took effect, by record; effect is null where a field was written
-- in another way, or all of them (an empty field). They stand in the log, too.
CREATE TABLE text_edits (
    space      TEXT NOT NULL,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    revision   INTEGER NOT NULL CHECK (revision >= 1),
    idx        INTEGER NOT NULL CHECK (idx >= 0),
    field      BLOB NOT NULL,
    origin     INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    stamp      INTEGER NOT NULL,
    effect     BLOB,
    PRIMARY KEY (space, collection, key, revision, idx)
) STRICT, WITHOUT ROWID;

-- From the document that an origin had at its newest edit to the hub's, where they differ; strands
-- is null after an edit that could not be placed.
CREATE TABLE text_spans (
    space      TEXT NOT NULL,
    collection TEXT NOT NULL,
    key        TEXT NOT NULL,
    origin     INTEGER NOT NULL,
    field      BLOB NOT NULL,
    revision   INTEGER NOT NULL CHECK (revision >= 1),
    seq        INTEGER NOT NULL,
    stamp      INTEGER NOT NULL,
    base       INTEGER NOT NULL CHECK (base >= 0),
    strands    BLOB,
    PRIMARY KEY (space, collection, key, origin, field)
) STRICT;

-- What was written concurrently, and what was decided. Fields are UTF-8 as bytes, since JSON
-- allows them a NUL; an empty field is the whole record, a value that is null was removed.
-- `op` is the kind of the operation that theirs_value is the payload of, where a whole record is
-- meant; actor and claimed are those of their commit; left_revision is the record's after it, zero
-- for none. The id begins with the revision. `answer` is what a person said, as JSON; `result` what
-- stands where the winner is merged; rule_version the revision of the policy;
-- `reason` is of the table of reasons, `detail` is for people.
CREATE TABLE conflicts (
    space         TEXT NOT NULL,
    revision      INTEGER NOT NULL CHECK (revision >= 1),
    idx           INTEGER NOT NULL CHECK (idx >= 0),
    id            BLOB NOT NULL CHECK (length(id) = 16),
    collection    TEXT NOT NULL,
    key           TEXT NOT NULL,
    field         BLOB NOT NULL,
    kind          TEXT NOT NULL,
    ours_revision INTEGER,
    ours_origin   INTEGER,
    ours_seq      INTEGER,
    ours_stamp    INTEGER,
    ours_value    BLOB,
    theirs_origin INTEGER NOT NULL,
    theirs_seq    INTEGER NOT NULL,
    theirs_stamp  INTEGER NOT NULL,
    theirs_value  BLOB,
    winner        TEXT NOT NULL CHECK (winner IN ('ours', 'theirs', 'merged')),
    algorithm     TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('auto', 'open', 'resolved', 'undone')),
    reason        TEXT NOT NULL,
    skew_ms       INTEGER NOT NULL,
    op            INTEGER NOT NULL,
    base          INTEGER NOT NULL CHECK (base >= 0),
    left_revision INTEGER NOT NULL CHECK (left_revision >= 0),
    actor_id      TEXT NOT NULL,
    actor_kind    INTEGER NOT NULL,
    claimed       INTEGER NOT NULL,
    answer        BLOB,
    result        BLOB,
    rule_version  INTEGER NOT NULL CHECK (rule_version >= 0),
    detail        TEXT NOT NULL,
    PRIMARY KEY (space, revision, idx)
) STRICT;
CREATE INDEX conflicts_open ON conflicts (space, revision, idx) WHERE state = 'open';

-- Edges that have ever connected. `alarms` is a JSON array of names.
CREATE TABLE edges (
    edge         TEXT NOT NULL PRIMARY KEY CHECK (instr(edge, char(0)) = 0),
    origin       BLOB NOT NULL CHECK (length(origin) = 16),
    last_seen_ms INTEGER NOT NULL,
    pending      INTEGER NOT NULL CHECK (pending >= 0),
    outbox_bytes INTEGER NOT NULL CHECK (outbox_bytes >= 0),
    skew_ms      INTEGER NOT NULL,
    alarms       TEXT NOT NULL,
    software     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each edge's replica is, and the lowest base of what it has not yet been told is
-- decided.
CREATE TABLE edge_spaces (
    edge        TEXT NOT NULL REFERENCES edges,
    space       TEXT NOT NULL,
    epoch       INTEGER NOT NULL CHECK (epoch >= 0),
    revision    INTEGER NOT NULL CHECK (revision >= 0),
    lowest_base INTEGER CHECK (lowest_base >= 0),
    PRIMARY KEY (edge, space)
) STRICT, WITHOUT ROWID;

-- What showed that a history was put back, or is another than was told before: a replica or a
-- process that had seen `revision` of `epoch`, of which at most `shared` can be of this history.
-- `held` is what a replica said it had above that.
CREATE TABLE fork_signs (
    space    TEXT NOT NULL,
    witness  TEXT NOT NULL,
    epoch    INTEGER NOT NULL CHECK (epoch >= 0),
    revision INTEGER NOT NULL CHECK (revision >= 0),
    shared   INTEGER NOT NULL CHECK (shared >= 0),
    seen_ms  INTEGER NOT NULL,
    held     TEXT NOT NULL,
    PRIMARY KEY (space, witness, epoch, revision)
) STRICT, WITHOUT ROWID;

-- Which stream of an origin is the newest: one that is still open at another process is to end.
CREATE TABLE streams (
    origin   BLOB NOT NULL PRIMARY KEY CHECK (length(origin) = 16),
    stream   BLOB NOT NULL CHECK (length(stream) = 16),
    hub      TEXT NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT;
