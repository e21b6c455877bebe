-- The log of conflicts.

-- name: conflicts_insert
INSERT INTO conflicts (
    space, revision, idx, id, collection, key, field, kind, ours_revision, ours_origin,
    ours_seq, ours_stamp, ours_value, theirs_origin, theirs_seq, theirs_stamp, theirs_value,
    winner, algorithm, state, reason, skew_ms, op, base, left_revision, actor_id, actor_kind,
    claimed, result, rule_version, detail
)
VALUES [(?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)];

-- name: conflicts_list
SELECT space, revision, idx, id, collection, key, field, kind, ours_revision, ours_origin,
    ours_seq, ours_stamp, ours_value, theirs_origin, theirs_seq, theirs_stamp,
    theirs_value, winner, algorithm, state, reason, skew_ms, op, base, left_revision,
    actor_id, actor_kind, claimed, answer, result, rule_version, detail
FROM conflicts
WHERE space = ?1 AND (revision, idx) < (?2, ?3)
ORDER BY revision DESC, idx DESC LIMIT ?4;

-- name: conflicts_list_open
SELECT space, revision, idx, id, collection, key, field, kind, ours_revision, ours_origin,
    ours_seq, ours_stamp, ours_value, theirs_origin, theirs_seq, theirs_stamp,
    theirs_value, winner, algorithm, state, reason, skew_ms, op, base, left_revision,
    actor_id, actor_kind, claimed, answer, result, rule_version, detail
FROM conflicts
WHERE space = ?1 AND (revision, idx) < (?2, ?3) AND state = 'open'
ORDER BY revision DESC, idx DESC LIMIT ?4;

-- name: conflicts_count
SELECT
    (SELECT count(*) FROM conflicts WHERE space = ?1),
    (SELECT count(*) FROM conflicts WHERE space = ?1 AND state = 'open');

-- name: conflicts_at
SELECT space, revision, idx, id, collection, key, field, kind, ours_revision, ours_origin,
    ours_seq, ours_stamp, ours_value, theirs_origin, theirs_seq, theirs_stamp,
    theirs_value, winner, algorithm, state, reason, skew_ms, op, base, left_revision,
    actor_id, actor_kind, claimed, answer, result, rule_version, detail
FROM conflicts
WHERE space = ?1 AND revision = ?2
ORDER BY idx;

-- name: conflicts_answer
UPDATE conflicts SET state = ?4, answer = ?5
WHERE space = ?1 AND revision = ?2 AND id = ?3;
