-- Contents of checkpoints, and who needs them.

-- name: blobs_chain
WITH RECURSIVE chain (name, base, step) AS (
    SELECT name, base, 0 FROM blobs WHERE space = ?1 AND name = ?2
    UNION ALL
    SELECT blobs.name, blobs.base, chain.step + 1
    FROM chain CROSS JOIN blobs ON blobs.space = ?1 AND blobs.name = chain.base
    WHERE chain.step < ?3
)
SELECT blobs.name, size, codec, blobs.base, depth, keyframe, packed
FROM chain CROSS JOIN blobs ON blobs.space = ?1 AND blobs.name = chain.name;

-- name: blobs_hold
WITH wanted (space, name) AS (VALUES [(?1, ?)])
SELECT blobs.name, size, codec, base, depth, keyframe, length(packed)
FROM wanted CROSS JOIN blobs ON blobs.space = wanted.space AND blobs.name = wanted.name;

-- name: blobs_lock
WITH wanted (space, name) AS (VALUES [(?1, ?)])
SELECT blobs.name FROM wanted CROSS JOIN blobs
    ON blobs.space = wanted.space AND blobs.name = wanted.name;

-- name: blobs_known
WITH wanted (space, name) AS (VALUES [(?1, ?)])
SELECT blobs.name, size, codec, base, depth, keyframe, length(packed)
FROM wanted CROSS JOIN blobs ON blobs.space = wanted.space AND blobs.name = wanted.name;

-- name: blobs_save
INSERT INTO blobs (space, name, size, codec, base, depth, keyframe, packed)
VALUES [(?1, ?, ?, ?, ?, ?, ?, ?)]
ON CONFLICT (space, name) DO NOTHING;

-- name: blobs_replace
INSERT INTO blobs (space, name, size, codec, base, depth, keyframe, packed)
VALUES [(?1, ?, ?, ?, ?, ?, ?, ?)]
ON CONFLICT (space, name) DO UPDATE SET
    codec = excluded.codec, base = excluded.base, depth = excluded.depth,
    keyframe = excluded.keyframe, packed = excluded.packed;

-- name: blobs_drop_unused
WITH wanted (space, name) AS (VALUES [(?1, ?)])
DELETE FROM blobs WHERE space = ?1 AND name IN (SELECT wanted.name FROM wanted)
    AND NOT EXISTS (
        SELECT 1 FROM blob_uses
        WHERE blob_uses.space = blobs.space AND blob_uses.name = blobs.name
    );

-- name: blob_uses_save
INSERT INTO blob_uses (space, thread, name)
VALUES [(?1, ?2, ?)]
ON CONFLICT (space, thread, name) DO NOTHING;

-- name: blob_uses_among
WITH wanted (space, thread, name) AS (VALUES [(?1, ?2, ?)])
SELECT blob_uses.name FROM wanted CROSS JOIN blob_uses
    ON blob_uses.space = wanted.space AND blob_uses.thread = wanted.thread
    AND blob_uses.name = wanted.name;

-- name: blob_uses_page
SELECT name FROM blob_uses WHERE space = ?1 AND thread = ?2 AND name > ?3 ORDER BY name LIMIT ?4;

-- name: blob_uses_by_others
WITH wanted (space, thread, name) AS (VALUES [(?1, ?2, ?)])
SELECT wanted.name FROM wanted WHERE EXISTS (
    SELECT 1 FROM blob_uses
    WHERE blob_uses.space = wanted.space AND blob_uses.name = wanted.name
        AND blob_uses.thread <> wanted.thread
);

-- name: blob_uses_drop
WITH wanted (space, thread, name) AS (VALUES [(?1, ?2, ?)])
DELETE FROM blob_uses
WHERE space = ?1 AND thread = ?2 AND name IN (SELECT wanted.name FROM wanted);
