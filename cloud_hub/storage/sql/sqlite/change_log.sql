-- The history, as the batches that were decided.

-- name: log_append
INSERT INTO log (
    space, first_revision, last_revision, epoch, origin, first_seq, last_seq, token, stamp_max,
    decided_ms, header, block, block_bytes, codec
)
VALUES [(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)];

-- name: log_at
SELECT first_revision, last_revision, epoch, origin,
    (SELECT id FROM origins WHERE number = log.origin), first_seq, last_seq, token, stamp_max,
    decided_ms, header, block, block_bytes, codec
FROM log
WHERE space = ?1 AND last_revision >= ?2
ORDER BY last_revision LIMIT 1;

-- name: log_token_at
SELECT token FROM log WHERE space = ?1 AND last_revision = ?2;

-- name: log_of_seq
SELECT first_revision, last_revision, epoch, origin,
    (SELECT id FROM origins WHERE number = log.origin), first_seq, last_seq, token, stamp_max,
    decided_ms, header, block, block_bytes, codec
FROM log
WHERE space = ?1 AND origin = ?2 AND last_seq >= ?3
ORDER BY last_seq LIMIT 1;

-- name: log_headers_below
SELECT first_revision, first_seq, header
FROM log
WHERE space = ?1 AND origin = ?2 AND last_seq <= ?3
ORDER BY last_seq DESC LIMIT ?4;

-- name: log_sizes_after
SELECT last_revision, last_revision - first_revision + 1, length(header) + length(block)
FROM log
WHERE space = ?1 AND last_revision > ?2
ORDER BY last_revision LIMIT ?3;

-- name: log_between
SELECT first_revision, last_revision, epoch, origin,
    (SELECT id FROM origins WHERE number = log.origin), first_seq, last_seq, token, stamp_max,
    decided_ms, header, block, block_bytes, codec
FROM log
WHERE space = ?1 AND last_revision > ?2 AND last_revision <= ?3
ORDER BY last_revision;

-- name: log_stamps_below
WITH wanted (space, revision) AS (VALUES [(?1, ?)])
SELECT wanted.revision, log.last_revision, log.stamp_max
FROM wanted CROSS JOIN log
ON log.space = wanted.space AND log.last_revision = (
    SELECT max(below.last_revision) FROM log AS below
    WHERE below.space = wanted.space AND below.last_revision <= wanted.revision
);
