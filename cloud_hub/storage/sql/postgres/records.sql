-- Records: the state of a space.

-- name: records_load
SELECT found.*
FROM unnest($2::text[], $3::text[]) AS wanted (collection, key)
CROSS JOIN LATERAL (
    SELECT collection, key, revision, origin, seq, stamp, other, whole_revision, whole_origin,
        whole_seq, whole_stamp, parts, gone, deleted, digest, actor_id, actor_kind, value
    FROM records
    WHERE space = $1 AND records.collection = wanted.collection AND records.key = wanted.key
    LIMIT 1
) AS found;

-- name: records_save
INSERT INTO records (
    space, collection, key, revision, origin, seq, stamp, other, whole_revision, whole_origin,
    whole_seq, whole_stamp, parts, gone, deleted, digest, actor_id, actor_kind, value
)
SELECT $1, rows.* FROM unnest(
    $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bytea[],
    $14::bytea[], $15::boolean[], $16::bigint[], $17::text[], $18::bigint[], $19::bytea[]
) AS rows
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
WHERE space = $1 AND collection = $2 AND key >= $3 AND key < $4
ORDER BY key LIMIT $5;

-- name: records_list_back
SELECT collection, key, revision, origin, seq, stamp, other, whole_revision, whole_origin,
    whole_seq, whole_stamp, parts, gone, deleted, digest, actor_id, actor_kind, value
FROM records
WHERE space = $1 AND collection = $2 AND key >= $3 AND key < $4
ORDER BY key DESC LIMIT $5;

-- name: records_of_collection
SELECT key, value, revision FROM records
WHERE space = $1 AND collection = $2 AND NOT deleted
ORDER BY key LIMIT $3;
