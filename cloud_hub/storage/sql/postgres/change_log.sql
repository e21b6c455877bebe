-- The history, as the batches that were decided.

-- name: log_append
INSERT INTO log (
    space, first_revision, last_revision, epoch, origin, first_seq, last_seq, token, stamp_max,
    decided_ms, header, block, block_bytes, codec
)
SELECT $1, rows.* FROM unnest(
    $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bytea[], $9::bigint[], $10::bigint[], $11::bytea[], $12::bytea[], $13::bigint[],
    $14::text[]
) AS rows;

-- name: log_at
SELECT first_revision, last_revision, epoch, origin,
    (SELECT id FROM origins WHERE number = log.origin), first_seq, last_seq, token, stamp_max,
    decided_ms, header, block, block_bytes, codec
FROM log
WHERE space = $1 AND last_revision >= $2
ORDER BY last_revision LIMIT 1;

-- name: log_token_at
SELECT token FROM log WHERE space = $1 AND last_revision = $2;

-- name: log_of_seq
SELECT first_revision, last_revision, epoch, origin,
    (SELECT id FROM origins WHERE number = log.origin), first_seq, last_seq, token, stamp_max,
    decided_ms, header, block, block_bytes, codec
FROM log
WHERE space = $1 AND origin = $2 AND last_seq >= $3
ORDER BY last_seq LIMIT 1;

-- name: log_headers_below
SELECT first_revision, first_seq, header
FROM log
WHERE space = $1 AND origin = $2 AND last_seq <= $3
ORDER BY last_seq DESC LIMIT $4;

-- name: log_sizes_after
SELECT last_revision, last_revision - first_revision + 1, octet_length(header) + octet_length(block)
FROM log
WHERE space = $1 AND last_revision > $2
ORDER BY last_revision LIMIT $3;

-- name: log_between
SELECT first_revision, last_revision, epoch, origin,
    (SELECT id FROM origins WHERE number = log.origin), first_seq, last_seq, token, stamp_max,
    decided_ms, header, block, block_bytes, codec
FROM log
WHERE space = $1 AND last_revision > $2 AND last_revision <= $3
ORDER BY last_revision;

-- name: log_stamps_below
SELECT wanted.revision, below.last_revision, below.stamp_max
FROM unnest($2::bigint[]) AS wanted (revision)
CROSS JOIN LATERAL (
    SELECT last_revision, stamp_max FROM log
    WHERE space = $1 AND last_revision <= wanted.revision
    ORDER BY last_revision DESC LIMIT 1
) AS below;
