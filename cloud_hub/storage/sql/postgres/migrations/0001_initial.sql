-- The hub's schema. Texts are ordered by their bytes (COLLATE "C"), as in SQLite, whatever the
-- database's own collation. Times are unix milliseconds of the hub's clock.

-- What the database is: its id, and the secret under which tokens of revisions are handed out.
CREATE TABLE meta (
    name  text COLLATE "C" NOT NULL PRIMARY KEY,
    value bytea NOT NULL
);

-- The server's timeline: it changes when a standby is promoted or a backup restored, and the tail
-- of the history may then be gone. On a standby this is an error.
CREATE FUNCTION timeline_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint
$$;

-- The histories, oldest first; the last one is the present. `timeline` is that of the database in
-- which it was declared; `reason` and `actor` say why and by whom.
CREATE TABLE epochs (
    ordinal    bigint NOT NULL PRIMARY KEY CHECK (ordinal >= 1),
    id         bytea NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    parent     bigint NOT NULL CHECK (parent >= 0 AND parent < ordinal),
    created_ms bigint NOT NULL,
    timeline   bigint NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    actor      text COLLATE "C" NOT NULL
);

-- The last revision of each space that an epoch shares with its parent.
CREATE TABLE epoch_forks (
    ordinal  bigint NOT NULL REFERENCES epochs,
    space    text COLLATE "C" NOT NULL,
    revision bigint NOT NULL CHECK (revision >= 0),
    PRIMARY KEY (ordinal, space)
);

-- The newest revision of each space. Every transaction that decides locks the row and rewrites
-- its token; stamp_max is the greatest stamp of the space. `timeline` is that of its epoch. Nothing
-- is decided while it differs from the database's, or while `stopped` says why not.
CREATE TABLE heads (
    space     text COLLATE "C" NOT NULL PRIMARY KEY
              CHECK (octet_length(space) BETWEEN 1 AND 64),
    epoch     bigint NOT NULL REFERENCES epochs,
    revision  bigint NOT NULL CHECK (revision >= 0),
    token     bytea NOT NULL CHECK (octet_length(token) = CASE revision WHEN 0 THEN 0 ELSE 16 END),
    stamp_max bigint NOT NULL CHECK (stamp_max >= 0),
    timeline  bigint NOT NULL,
    stopped   text COLLATE "C" NOT NULL DEFAULT '' CHECK (stopped IN ('', 'fork', 'timeline'))
);

-- The history: each row is consecutive commits of one origin. stamp_max is the greatest stamp of
-- the space up to and including the row.
CREATE TABLE log (
    space          text COLLATE "C" NOT NULL,
    first_revision bigint NOT NULL CHECK (first_revision >= 1),
    last_revision  bigint NOT NULL,
    epoch          bigint NOT NULL CHECK (epoch >= 1),
    origin         bigint NOT NULL,
    first_seq      bigint NOT NULL CHECK (first_seq >= 1),
    last_seq       bigint NOT NULL,
    token          bytea NOT NULL CHECK (octet_length(token) = 16),
    stamp_max      bigint NOT NULL CHECK (stamp_max >= 0),
    decided_ms     bigint NOT NULL,
    header         bytea NOT NULL,
    block          bytea NOT NULL,
    block_bytes    bigint NOT NULL CHECK (block_bytes >= 0),
    codec          text COLLATE "C" NOT NULL,
    PRIMARY KEY (space, last_revision),
    CHECK (last_revision >= first_revision),
    CHECK (last_revision - first_revision = last_seq - first_seq)
);
-- Blocks are compressed already.
ALTER TABLE log ALTER COLUMN block SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX log_by_seq ON log (space, origin, last_seq);

-- Small numbers for origins, which never leave the hub. `edge` is empty for an origin that is
-- only known from what others had seen, `identity` until somebody with a certificate has used it.
CREATE TABLE origins (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id     bytea NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    edge   text COLLATE "C" NOT NULL,
    identity text COLLATE "C" NOT NULL DEFAULT ''
);

-- The newest decided commit of each origin in each space: kept for ever, so that nothing is
-- taken twice.
CREATE TABLE watermarks (
    space     text COLLATE "C" NOT NULL,
    origin    bigint NOT NULL REFERENCES origins,
    seq       bigint NOT NULL CHECK (seq >= 1),
    commit_id bytea NOT NULL CHECK (octet_length(commit_id) = 16),
    revision  bigint NOT NULL CHECK (revision >= 1),
    stamp     bigint NOT NULL CHECK (stamp >= 0),
    PRIMARY KEY (space, origin)
);
CREATE INDEX watermarks_by_origin ON watermarks (origin);

-- Commits whose id their client chose in order to be able to retry; kept for days.
CREATE TABLE commit_ids (
    space      text COLLATE "C" NOT NULL,
    commit_id  bytea NOT NULL CHECK (octet_length(commit_id) = 16),
    revision   bigint NOT NULL CHECK (revision >= 1),
    decided_ms bigint NOT NULL,
    PRIMARY KEY (space, commit_id)
);
CREATE INDEX commit_ids_by_time ON commit_ids (decided_ms);

-- The state. `other` is the greatest revision by another origin than the last writer's;
-- `whole_*` wrote the record as such; `parts` is {"field": [revision, origin, seq, stamp]} of
-- fields written after that (more for fields of several writers), `gone` the newest deletion as [revision, origin, seq, stamp]. A
-- deleted record keeps its last value; its digest is zero.
CREATE TABLE records (
    space          text COLLATE "C" NOT NULL,
    collection     text COLLATE "C" NOT NULL CHECK (octet_length(collection) BETWEEN 1 AND 80),
    key            text COLLATE "C" NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 512),
    revision       bigint NOT NULL CHECK (revision >= 1),
    origin         bigint NOT NULL,
    seq            bigint NOT NULL,
    stamp          bigint NOT NULL,
    other          bigint NOT NULL,
    whole_revision bigint NOT NULL,
    whole_origin   bigint NOT NULL,
    whole_seq      bigint NOT NULL,
    whole_stamp    bigint NOT NULL,
    parts          bytea,
    gone           bytea,
    deleted        boolean NOT NULL,
    digest         bigint NOT NULL,
    actor_id       text COLLATE "C" NOT NULL,
    actor_kind     bigint NOT NULL,
    value          bytea NOT NULL,
    PRIMARY KEY (space, collection, key),
    CHECK (NOT deleted OR digest = 0),
    CHECK (other < revision AND whole_revision <= revision)
)
-- Room in each page, so that a new version of a row goes beside the old one and no index is
-- touched.
WITH (fillfactor = 80);

-- Sum of the digests of the live records, and how many they are.
CREATE TABLE digests (
    space      text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    digest     bigint NOT NULL,
    records    bigint NOT NULL CHECK (records >= 0),
    PRIMARY KEY (space, collection)
);

-- Values with long texts as they were at a revision; what was spliced since is in text_edits.
CREATE TABLE documents (
    space      text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    revision   bigint NOT NULL CHECK (revision >= 1),
    value      bytea NOT NULL,
    PRIMARY KEY (space, collection, key)
);

-- Edits of texts and lists as they took effect, by record; effect is null where a field was written
-- in another way, or all of them (an empty field). They stand in the log, too.
CREATE TABLE text_edits (
    space      text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    revision   bigint NOT NULL CHECK (revision >= 1),
    idx        bigint NOT NULL CHECK (idx >= 0),
    field      bytea NOT NULL,
    origin     bigint NOT NULL,
    seq        bigint NOT NULL,
    stamp      bigint NOT NULL,
    effect     bytea,
    PRIMARY KEY (space, collection, key, revision, idx)
);

-- From the document that an origin had at its newest edit to the hub's, where they differ; strands
-- is null after an edit that could not be placed.
CREATE TABLE text_spans (
    space      text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    origin     bigint NOT NULL,
    field      bytea NOT NULL,
    revision   bigint NOT NULL CHECK (revision >= 1),
    seq        bigint NOT NULL,
    stamp      bigint NOT NULL,
    base       bigint NOT NULL CHECK (base >= 0),
    strands    bytea,
    PRIMARY KEY (space, collection, key, origin, field)
);

-- What was written concurrently, and what was decided. Fields are UTF-8 as bytes, since JSON
-- allows them a NUL; an empty field is the whole record, a value that is null was removed.
-- `op` is the kind of the operation that theirs_value is the payload of, where a whole record is
-- meant; actor and claimed are those of their commit; left_revision is the record's after it, zero
-- for none. The id begins with the revision. `answer` is what a person said, as JSON; `result` what
-- stands where the winner is merged; rule_version the revision of the policy;
-- `reason` is of the table of reasons, `detail` is for people.
CREATE TABLE conflicts (
    space         text COLLATE "C" NOT NULL,
    revision      bigint NOT NULL CHECK (revision >= 1),
    idx           bigint NOT NULL CHECK (idx >= 0),
    id            bytea NOT NULL CHECK (octet_length(id) = 16),
    collection    text COLLATE "C" NOT NULL,
    key           text COLLATE "C" NOT NULL,
    field         bytea NOT NULL,
    kind          text COLLATE "C" NOT NULL,
    ours_revision bigint,
    ours_origin   bigint,
    ours_seq      bigint,
    ours_stamp    bigint,
    ours_value    bytea,
    theirs_origin bigint NOT NULL,
    theirs_seq    bigint NOT NULL,
    theirs_stamp  bigint NOT NULL,
    theirs_value  bytea,
    winner        text COLLATE "C" NOT NULL CHECK (winner IN ('ours', 'theirs', 'merged')),
    algorithm     text COLLATE "C" NOT NULL,
    state         text COLLATE "C" NOT NULL CHECK (state IN ('auto', 'open', 'resolved', 'undone')),
    reason        text COLLATE "C" NOT NULL,
    skew_ms       bigint NOT NULL,
    op            bigint NOT NULL,
    base          bigint NOT NULL CHECK (base >= 0),
    left_revision bigint NOT NULL CHECK (left_revision >= 0),
    actor_id      text COLLATE "C" NOT NULL,
    actor_kind    bigint NOT NULL,
    claimed       bigint NOT NULL,
    answer        bytea,
    result        bytea,
    rule_version  bigint NOT NULL CHECK (rule_version >= 0),
    detail        text COLLATE "C" NOT NULL,
    PRIMARY KEY (space, revision, idx)
);
CREATE INDEX conflicts_open ON conflicts (space, revision, idx) WHERE state = 'open';

-- Edges that have ever connected. `alarms` is a JSON array of names.
CREATE TABLE edges (
    edge         text COLLATE "C" NOT NULL PRIMARY KEY,
    origin       bytea NOT NULL CHECK (octet_length(origin) = 16),
    last_seen_ms bigint NOT NULL,
    pending      bigint NOT NULL CHECK (pending >= 0),
    outbox_bytes bigint NOT NULL CHECK (outbox_bytes >= 0),
    skew_ms      bigint NOT NULL,
    alarms       text COLLATE "C" NOT NULL,
    software     text COLLATE "C" NOT NULL
);

-- How far each edge's replica is, and the lowest base of what it has not yet been told is
-- decided.
CREATE TABLE edge_spaces (
    edge        text COLLATE "C" NOT NULL REFERENCES edges,
    space       text COLLATE "C" NOT NULL,
    epoch       bigint NOT NULL CHECK (epoch >= 0),
    revision    bigint NOT NULL CHECK (revision >= 0),
    lowest_base bigint CHECK (lowest_base >= 0),
    PRIMARY KEY (edge, space)
);

-- What showed that a history was put back, or is another than was told before: a replica or a
-- process that had seen `revision` of `epoch`, of which at most `shared` can be of this history.
-- `held` is what a replica said it had above that.
CREATE TABLE fork_signs (
    space    text COLLATE "C" NOT NULL,
    witness  text COLLATE "C" NOT NULL,
    epoch    bigint NOT NULL CHECK (epoch >= 0),
    revision bigint NOT NULL CHECK (revision >= 0),
    shared   bigint NOT NULL CHECK (shared >= 0),
    seen_ms  bigint NOT NULL,
    held     text COLLATE "C" NOT NULL,
    PRIMARY KEY (space, witness, epoch, revision)
);

-- Which stream of an origin is the newest: one that is still open at another process is to end.
CREATE TABLE streams (
    origin   bytea NOT NULL PRIMARY KEY CHECK (octet_length(origin) = 16),
    stream   bytea NOT NULL CHECK (octet_length(stream) = 16),
    hub      text COLLATE "C" NOT NULL,
    since_ms bigint NOT NULL
);
