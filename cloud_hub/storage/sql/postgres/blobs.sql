-- Contents of checkpoints, and who needs them.

-- name: blobs_chain
WITH RECURSIVE chain (name, base, step) AS (
    SELECT name, base, 0::bigint FROM blobs WHERE space = $1 AND name = $2
    UNION ALL
    SELECT blobs.name, blobs.base, chain.step + 1
    FROM chain JOIN blobs ON blobs.space = $1 AND blobs.name = chain.base
    WHERE chain.step < $3
)
SELECT blobs.name, size, codec, blobs.base, depth, keyframe, packed
FROM chain JOIN blobs ON blobs.space = $1 AND blobs.name = chain.name;

-- name: blobs_hold
SELECT name, size, codec, base, depth, keyframe, octet_length(packed)
FROM blobs WHERE space = $1 AND name = ANY($2::bytea[]) ORDER BY name FOR KEY SHARE;

-- name: blobs_lock
SELECT name FROM blobs WHERE space = $1 AND name = ANY($2::bytea[]) ORDER BY name FOR UPDATE;

-- name: blobs_known
SELECT found.*
FROM unnest($2::bytea[]) AS wanted (name)
CROSS JOIN LATERAL (
    SELECT name, size, codec, base, depth, keyframe, octet_length(packed)
    FROM blobs WHERE space = $1 AND blobs.name = wanted.name LIMIT 1
) AS found;

-- name: blobs_save
INSERT INTO blobs (space, name, size, codec, base, depth, keyframe, packed)
SELECT $1, rows.* FROM unnest(
    $2::bytea[], $3::bigint[], $4::text[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bytea[]
) AS rows
ON CONFLICT (space, name) DO NOTHING;

-- name: blobs_replace
INSERT INTO blobs (space, name, size, codec, base, depth, keyframe, packed)
SELECT $1, rows.* FROM unnest(
    $2::bytea[], $3::bigint[], $4::text[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bytea[]
) AS rows
ON CONFLICT (space, name) DO UPDATE SET
    codec = excluded.codec, base = excluded.base, depth = excluded.depth,
    keyframe = excluded.keyframe, packed = excluded.packed;

-- name: blobs_drop_unused
DELETE FROM blobs WHERE space = $1 AND name = ANY($2::bytea[])
    AND NOT EXISTS (
        SELECT 1 FROM blob_uses
        WHERE blob_uses.space = blobs.space AND blob_uses.name = blobs.name
    );

-- name: blob_uses_save
INSERT INTO blob_uses (space, thread, name)
SELECT $1, $2, rows.* FROM unnest($3::bytea[]) AS rows
ON CONFLICT (space, thread, name) DO NOTHING;

-- name: blob_uses_among
SELECT found.*
FROM unnest($3::bytea[]) AS wanted (name)
CROSS JOIN LATERAL (
    SELECT name FROM blob_uses
    WHERE space = $1 AND thread = $2 AND blob_uses.name = wanted.name LIMIT 1
) AS found;

-- name: blob_uses_page
SELECT name FROM blob_uses WHERE space = $1 AND thread = $2 AND name > $3 ORDER BY name LIMIT $4;

-- name: blob_uses_by_others
SELECT found.*
FROM unnest($3::bytea[]) AS wanted (name)
CROSS JOIN LATERAL (
    SELECT name FROM blob_uses
    WHERE space = $1 AND blob_uses.name = wanted.name AND thread <> $2 LIMIT 1
) AS found;

-- name: blob_uses_drop
DELETE FROM blob_uses WHERE space = $1 AND thread = $2 AND name = ANY($3::bytea[]);
