-- Statements on replica.db.

-- name: cursor
SELECT epoch, revision, token, policies_revision, tail_bytes, tail_from, scope
FROM cursors WHERE space = ?

-- name: cursors
SELECT space, epoch, revision, token, policies_revision, tail_bytes, tail_from
FROM cursors ORDER BY space

-- name: set_cursor
INSERT INTO cursors (space, epoch, revision, token, policies_revision, tail_bytes, tail_from, scope)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (space) DO UPDATE SET
    epoch = excluded.epoch, revision = excluded.revision, token = excluded.token,
    policies_revision = excluded.policies_revision, tail_bytes = excluded.tail_bytes,
    tail_from = excluded.tail_from, scope = excluded.scope

-- name: own
SELECT ordinal, origin, decided_seq, decided_id, overlay_seq FROM own
WHERE space = ? ORDER BY ordinal

-- name: own_spaces
SELECT DISTINCT space FROM own ORDER BY space

-- name: set_own
INSERT INTO own (space, ordinal, origin, decided_seq, decided_id, overlay_seq)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (space, ordinal) DO UPDATE SET
    decided_seq = excluded.decided_seq, decided_id = excluded.decided_id,
    overlay_seq = excluded.overlay_seq

-- name: records
SELECT key, revision, origin, seq, stamp, other, actor_id, actor_kind, deleted, digest, value
FROM records
WHERE space = ? AND collection = ? AND key IN (SELECT value FROM json_each(?))

-- name: put_record
INSERT INTO records (
    space, collection, key, revision, origin, seq, stamp, other, actor_id, actor_kind, deleted,
    digest, value
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (space, collection, key) DO UPDATE SET
    revision = excluded.revision, origin = excluded.origin, seq = excluded.seq,
    stamp = excluded.stamp, other = excluded.other, actor_id = excluded.actor_id,
    actor_kind = excluded.actor_kind, deleted = excluded.deleted, digest = excluded.digest,
    value = excluded.value

-- name: digests
SELECT collection, digest, records FROM digests WHERE space = ? ORDER BY collection

-- name: set_digest
INSERT INTO digests (space, collection, digest, records) VALUES (?, ?, ?, ?)
ON CONFLICT (space, collection) DO UPDATE SET
    digest = excluded.digest, records = excluded.records

-- name: overlay
SELECT key, ordinal, seq, claimed, actor_id, actor_kind, deleted, value
FROM overlay
WHERE space = ? AND collection = ? AND key IN (SELECT value FROM json_each(?))

-- name: put_overlay
INSERT INTO overlay (
    space, collection, key, ordinal, seq, claimed, actor_id, actor_kind, deleted, value
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (space, collection, key) DO UPDATE SET
    ordinal = excluded.ordinal, seq = excluded.seq, claimed = excluded.claimed,
    actor_id = excluded.actor_id, actor_kind = excluded.actor_kind, deleted = excluded.deleted,
    value = excluded.value

-- name: drop_overlay
DELETE FROM overlay
WHERE space = ?1 AND collection = ?2 AND key IN (SELECT value FROM json_each(?3))
AND NOT EXISTS (
    SELECT 1 FROM pending
    WHERE pending.space = ?1 AND pending.collection = ?2 AND pending.key = overlay.key
)

-- name: add_pending
INSERT INTO pending (
    space, ordinal, seq, idx, collection, key, kind, payload, claimed, actor_id, actor_kind,
    waits_for
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: pending_of_records
SELECT key, kind, payload, ordinal, seq, claimed, actor_id, actor_kind, idx FROM pending
WHERE space = ? AND collection = ? AND key IN (SELECT value FROM json_each(?))
ORDER BY key, ordinal, seq, idx

-- name: waiting_pending
SELECT ordinal, seq, idx, collection, key, kind, payload, claimed, actor_id, actor_kind, waits_for
FROM pending WHERE space = ? AND waits_for > 0 ORDER BY ordinal, seq, idx

-- name: wake_pending
UPDATE pending SET waits_for = 0 WHERE space = ? AND ordinal = ? AND seq = ? AND idx = ?

-- name: waits
SELECT EXISTS (
    SELECT 1 FROM pending WHERE space = ? AND collection = ? AND key = ? AND waits_for > 0
)

-- name: weaves
SELECT key, field, ground, threads FROM weaves
WHERE space = ? AND collection = ? AND key IN (SELECT value FROM json_each(?))

-- name: put_weave
INSERT INTO weaves (space, collection, key, field, ground, threads) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (space, collection, key, field) DO UPDATE SET
    ground = excluded.ground, threads = excluded.threads

-- name: drop_weave
DELETE FROM weaves WHERE space = ? AND collection = ? AND key = ? AND field = ?

-- name: forget_weaves
DELETE FROM weaves WHERE space = ?

-- name: settle_pending
DELETE FROM pending WHERE space = ? AND ordinal = ? AND seq <= ?
RETURNING seq, idx, collection, key, kind

-- name: pending_depth
SELECT count(*) FROM pending WHERE space = ? AND collection = ? AND key = ?

-- name: empty_pending
DELETE FROM pending WHERE space = ? AND ordinal = ? AND seq = ?

-- name: keep_tail
INSERT INTO tail (
    space, last_revision, first_revision, epoch, origin, first_seq, last_seq, header, block,
    block_bytes, codec, images, bytes
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: oldest_tail
SELECT last_revision, bytes FROM tail WHERE space = ? ORDER BY last_revision LIMIT ?

-- name: trim_tail
DELETE FROM tail WHERE space = ? AND last_revision <= ?

-- name: forget_records
DELETE FROM records WHERE space = ?

-- name: forget_digests
DELETE FROM digests WHERE space = ?

-- name: forget_tail
DELETE FROM tail WHERE space = ?

-- name: forget_overlay
DELETE FROM overlay WHERE space = ?

-- name: forget_pending
DELETE FROM pending WHERE space = ?

-- name: forget_own
DELETE FROM own WHERE space = ?

-- name: forget_cursor
DELETE FROM cursors WHERE space = ?

-- name: forget_stranger
DELETE FROM own WHERE space = ? AND ordinal = ?
