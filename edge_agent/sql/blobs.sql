-- Contents of checkpoints at an edge, and who needs them.

-- name: chain
WITH RECURSIVE chain (name, base, step) AS (
    SELECT name, base, 0 FROM blobs WHERE space = ?1 AND name = ?2
    UNION ALL
    SELECT blobs.name, blobs.base, chain.step + 1
    FROM chain CROSS JOIN blobs ON blobs.space = ?1 AND blobs.name = chain.base
    WHERE chain.step < ?3
)
SELECT blobs.name, size, codec, blobs.base, depth, keyframe, packed
FROM chain CROSS JOIN blobs ON blobs.space = ?1 AND blobs.name = chain.name

-- name: known
SELECT name, size, codec, base, depth, keyframe, length(packed)
FROM blobs WHERE space = ? AND name = ?

-- name: save
INSERT INTO blobs (space, name, size, codec, base, depth, keyframe, packed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: replace
UPDATE blobs SET codec = ?, base = ?, depth = ?, keyframe = ?, packed = ?
WHERE space = ? AND name = ?

-- name: use
INSERT INTO blob_uses (space, thread, name, sent) VALUES (?, ?, ?, ?)
ON CONFLICT (space, thread, name) DO NOTHING

-- name: is_used
SELECT 1 FROM blob_uses WHERE space = ? AND thread = ? AND name = ?

-- name: used
SELECT blobs.name, size, codec, base, depth, keyframe, length(packed)
FROM blob_uses CROSS JOIN blobs ON blobs.space = blob_uses.space AND blobs.name = blob_uses.name
WHERE blob_uses.space = ? AND thread = ? AND blob_uses.name > ? ORDER BY blob_uses.name LIMIT ?

-- name: used_by_others
SELECT 1 FROM blob_uses WHERE space = ? AND name = ? AND thread <> ? LIMIT 1

-- name: drop_use
DELETE FROM blob_uses WHERE space = ? AND thread = ? AND name = ?

-- name: drop_unused
DELETE FROM blobs WHERE space = ?1 AND name = ?2
    AND NOT EXISTS (SELECT 1 FROM blob_uses WHERE space = ?1 AND name = ?2)

-- name: unsent
SELECT number, space, thread, name FROM blob_uses
WHERE sent = 0 AND number > ? ORDER BY number LIMIT ?

-- name: mark_sent
UPDATE blob_uses SET sent = 1 WHERE number = ?

-- name: mark_heard
UPDATE blob_uses SET sent = 1 WHERE space = ? AND thread = ? AND name = ?

-- name: mark_all_unsent
UPDATE blob_uses SET sent = 0 WHERE sent = 1

-- name: totals
SELECT count(*), coalesce(sum(length(packed)), 0) FROM blobs

-- name: count_unsent
SELECT count(*) FROM blob_uses WHERE sent = 0
