-- The table of histories.

-- name: epochs_all
SELECT ordinal, id, parent FROM epochs ORDER BY ordinal;

-- name: epoch_forks_all
SELECT ordinal, space, revision FROM epoch_forks;

-- name: epochs_listed
SELECT ordinal, id, parent, created_ms, timeline, reason, actor FROM epochs
WHERE ordinal > $1 ORDER BY ordinal LIMIT $2;

-- name: epochs_timeline
SELECT timeline_now();

-- name: epochs_insert
INSERT INTO epochs (ordinal, id, parent, created_ms, timeline, reason, actor)
VALUES ($1, $2, $3, $4, timeline_now(), $5, $6)
ON CONFLICT (ordinal) DO NOTHING;

-- name: epochs_hold
SELECT pg_advisory_xact_lock_shared(7093010153419434089);

-- name: epochs_hold_alone
SELECT pg_advisory_xact_lock(7093010153419434089);

-- name: epoch_forks_insert
INSERT INTO epoch_forks (ordinal, space, revision)
SELECT $1, rows.* FROM unnest($2::text[], $3::bigint[]) AS rows;
