-- The newest revision of each space.

-- name: heads_lock
SELECT space, epoch, revision, token, stamp_max FROM heads WHERE space = ?1;

-- name: heads_create
INSERT INTO heads (space, epoch, revision, token, stamp_max)
SELECT ?1, max(ordinal), 0, x'', 0 FROM epochs WHERE true
ON CONFLICT (space) DO NOTHING;

-- name: heads_advance
UPDATE heads SET epoch = ?2, revision = ?3, token = ?4, stamp_max = ?5 WHERE space = ?1;

-- name: heads_list
SELECT space, epoch, revision, token, stamp_max FROM heads WHERE space > ?1 ORDER BY space LIMIT ?2;

-- name: heads_of
WITH wanted (space) AS (VALUES [(?)])
SELECT heads.space, heads.epoch, heads.revision, heads.token, heads.stamp_max
FROM wanted CROSS JOIN heads
    ON heads.space = wanted.space;

-- name: heads_enter_epoch
UPDATE heads SET epoch = ?1;
