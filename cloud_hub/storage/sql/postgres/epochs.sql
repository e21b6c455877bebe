-- The table of histories.

-- name: epochs_all
SELECT ordinal, id, parent FROM epochs ORDER BY ordinal;

-- name: epoch_forks_all
SELECT ordinal, space, revision FROM epoch_forks;

-- name: epochs_insert
INSERT INTO epochs (ordinal, id, parent, created_ms) VALUES ($1, $2, $3, $4)
ON CONFLICT (ordinal) DO NOTHING;

-- name: epoch_forks_insert
INSERT INTO epoch_forks (ordinal, space, revision)
SELECT $1, rows.* FROM unnest($2::text[], $3::bigint[]) AS rows;
