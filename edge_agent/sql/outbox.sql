-- Statements on outbox.db.

-- name: identity
SELECT edge FROM identity

-- name: begin_identity
INSERT INTO identity (one, edge) VALUES (1, ?)

-- name: origins
SELECT ordinal, id, reason FROM origins ORDER BY ordinal

-- name: begin_origin
INSERT INTO origins (ordinal, id, reason) VALUES (?, ?, ?)

-- name: counters
SELECT space, ordinal, last_seq, last_id, last_stamp, trimmed_seq, bytes FROM counters

-- name: set_counter
INSERT INTO counters (space, ordinal, last_seq, last_id, last_stamp, trimmed_seq, bytes)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (space, ordinal) DO UPDATE SET
    last_seq = excluded.last_seq, last_id = excluded.last_id, last_stamp = excluded.last_stamp,
    trimmed_seq = excluded.trimmed_seq, bytes = excluded.bytes

-- name: append
INSERT INTO outbox (
    space, ordinal, seq, idx, commit_id, base_epoch, base, seen, claimed, actor_id, actor_kind,
    extra, ops, collection, key, kind, payload, checksum
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: read
SELECT space, ordinal, seq, idx, commit_id, base_epoch, base, seen, claimed, actor_id, actor_kind,
    extra, ops, collection, key, kind, payload, checksum
FROM outbox WHERE space = ? AND ordinal = ? AND seq > ? AND seq <= ? ORDER BY seq, idx

-- name: lowest_base
SELECT min(base) FROM outbox WHERE space = ? AND ordinal = ? AND seq > ? AND idx = 0

-- name: empty_operations
DELETE FROM outbox WHERE space = ? AND ordinal = ? AND seq = ?

-- name: emptied
SELECT seq FROM outbox
WHERE space = ? AND ordinal = ? AND seq > ? AND seq <= ? AND idx = 0 AND ops = 0

-- name: ids_at
SELECT seq, commit_id FROM outbox
WHERE space = ? AND ordinal = ? AND idx = 0 AND seq IN (SELECT value FROM json_each(?))

-- name: trim_candidates
SELECT seq, claimed FROM outbox
WHERE space = ? AND ordinal = ? AND idx = 0 AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?

-- name: trim_size
SELECT coalesce(sum(coalesce(length(payload), 0) + coalesce(length(key), 0)), 0), count(*)
FROM outbox WHERE space = ? AND ordinal = ? AND seq <= ?

-- name: trim_ids
DELETE FROM commit_ids WHERE space = ?1 AND commit_id IN (
    SELECT commit_id FROM outbox WHERE space = ?1 AND ordinal = ?2 AND seq <= ?3 AND idx = 0
)

-- name: trim_rows
DELETE FROM outbox WHERE space = ? AND ordinal = ? AND seq <= ?

-- name: remember_id
INSERT INTO commit_ids (space, commit_id, ordinal, seq, fingerprint) VALUES (?, ?, ?, ?, ?)

-- name: find_id
SELECT ordinal, seq, fingerprint FROM commit_ids WHERE space = ? AND commit_id = ?

-- name: move_ids
UPDATE commit_ids SET ordinal = ?, seq = seq + ?
WHERE space = ? AND ordinal = ? AND seq > ?

-- name: delete_above
DELETE FROM outbox WHERE space = ? AND ordinal = ? AND seq > ?

-- name: delete_voids_above
DELETE FROM voids WHERE space = ? AND ordinal = ? AND first_seq > ?

-- name: rename
INSERT INTO renamed (space, old_ordinal, old_first_seq, count, new_ordinal, new_first_seq)
VALUES (?, ?, ?, ?, ?, ?)

-- name: renamed
SELECT space, old_ordinal, old_first_seq, count, new_ordinal, new_first_seq FROM renamed

-- name: declare_void
INSERT INTO voids (space, ordinal, first_seq, count, reason) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (space, ordinal, first_seq) DO NOTHING

-- name: voids
SELECT space, ordinal, first_seq, count, reason FROM voids ORDER BY space, ordinal, first_seq

-- name: epochs
SELECT ordinal, id, parent, forks FROM epochs ORDER BY ordinal

-- name: learn_epoch
INSERT INTO epochs (ordinal, id, parent, forks) VALUES (?, ?, ?, ?)
ON CONFLICT (ordinal) DO UPDATE SET
    id = excluded.id, parent = excluded.parent, forks = excluded.forks

-- name: count_rebuild
INSERT INTO rebuilds (reason, count) VALUES (?, 1)
ON CONFLICT (reason) DO UPDATE SET count = count + 1

-- name: rebuilds
SELECT reason, count FROM rebuilds

-- name: setting
SELECT value FROM settings WHERE name = ?

-- name: set_setting
INSERT INTO settings (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
