-- Questions to replica.db, each asked within one snapshot.

-- name: tail_at
SELECT first_revision, epoch, origin, first_seq, header, block, block_bytes, codec, images
FROM tail WHERE space = ? AND last_revision >= ? ORDER BY last_revision LIMIT 1

-- name: tail_of_seq
SELECT first_revision, epoch, origin, first_seq, header, block, block_bytes, codec, images
FROM tail WHERE space = ? AND origin = ? AND last_seq >= ? ORDER BY last_seq LIMIT 1

-- name: tail_after
SELECT first_revision, epoch, origin, first_seq, header, block, block_bytes, codec, images
FROM tail WHERE space = ? AND last_revision > ? ORDER BY last_revision LIMIT ?

-- name: scan_records
SELECT key, revision, origin, seq, stamp, other, actor_id, actor_kind, deleted, digest, value
FROM records
WHERE space = ? AND collection = ? AND key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?

-- name: scan_overlay
SELECT key, ordinal, seq, claimed, actor_id, actor_kind, deleted, value
FROM overlay
WHERE space = ? AND collection = ? AND key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?

-- name: scan_records_back
SELECT key, revision, origin, seq, stamp, other, actor_id, actor_kind, deleted, digest, value
FROM records
WHERE space = ? AND collection = ? AND key < ? AND key >= ? AND key < ? ORDER BY key DESC LIMIT ?

-- name: scan_overlay_back
SELECT key, ordinal, seq, claimed, actor_id, actor_kind, deleted, value
FROM overlay
WHERE space = ? AND collection = ? AND key < ? AND key >= ? AND key < ? ORDER BY key DESC LIMIT ?

-- name: policies
SELECT key, value FROM records WHERE space = ? AND collection = '_policies' AND deleted = 0

-- name: inbox_page
SELECT collection, key FROM records
WHERE space = ?1 AND collection > ?2 AND collection < ?3 AND key < ?4 AND deleted = 0
ORDER BY key DESC LIMIT ?5;

-- name: inbox_place
SELECT collection FROM records
WHERE space = ?1 AND collection > ?2 AND collection < ?3 AND key = ?4 AND deleted = 0;
