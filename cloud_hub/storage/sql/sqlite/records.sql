-- Records: the state of a space.

-- name: records_load
WITH wanted (space, collection, key) AS (VALUES [(?1, ?, ?)])
SELECT records.collection, records.key, records.revision, records.origin, records.seq,
    records.stamp, records.other, records.whole_revision, records.whole_origin,
    records.whole_seq, records.whole_stamp, records.parts, records.gone, records.deleted,
    records.digest, records.actor_id, records.actor_kind, records.value
FROM wanted CROSS JOIN records
    ON records.space = wanted.space AND records.collection = wanted.collection
    AND records.key = wanted.key;

-- name: records_save
INSERT INTO records (
    space, collection, key, revision, origin, seq, stamp, other, whole_revision, whole_origin,
    whole_seq, whole_stamp, parts, gone, deleted, digest, actor_id, actor_kind, value
)
VALUES [(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)]
ON CONFLICT (space, collection, key) DO UPDATE SET
    revision = excluded.revision, origin = excluded.origin, seq = excluded.seq,
    stamp = excluded.stamp, other = excluded.other, whole_revision = excluded.whole_revision,
    whole_origin = excluded.whole_origin, whole_seq = excluded.whole_seq,
    whole_stamp = excluded.whole_stamp, parts = excluded.parts, gone = excluded.gone,
    deleted = excluded.deleted, digest = excluded.digest, actor_id = excluded.actor_id,
    actor_kind = excluded.actor_kind, value = excluded.value;

-- name: records_list
SELECT collection, key, revision, origin, seq, stamp, other, whole_revision, whole_origin,
    whole_seq, whole_stamp, parts, gone, deleted, digest, actor_id, actor_kind, value
FROM records
WHERE space = ?1 AND collection = ?2 AND key >= ?3 AND key < ?4
ORDER BY key LIMIT ?5;

-- name: records_list_back
SELECT collection, key, revision, origin, seq, stamp, other, whole_revision, whole_origin,
    whole_seq, whole_stamp, parts, gone, deleted, digest, actor_id, actor_kind, value
FROM records
WHERE space = ?1 AND collection = ?2 AND key >= ?3 AND key < ?4
ORDER BY key DESC LIMIT ?5;

-- name: records_of_collection
SELECT key, value, revision FROM records
WHERE space = ?1 AND collection = ?2 AND NOT deleted
ORDER BY key LIMIT ?3;
